// Tracing through OpenTelemetry's SDK. Loaded by tracing.ts, and only when tracing is on.

import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { AlwaysOnSampler, BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { serverResource } from './resource.ts';
import { parseTraceparent } from './traceparent.ts';
import type { CallSpan, SpanAttributes, Tracing, TracingOptions } from './tracing.ts';

export class OtelTracing implements Tracing {
  readonly enabled = true;
  #ratio: number;
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;

  constructor({ ratio, endpoint, version, warn }: TracingOptions) {
    this.#ratio = ratio;
    const exporter = warnOnce(new OTLPTraceExporter({ url: endpoint }), endpoint, warn);
    this.#provider = new TracerProvider({
      resource: serverResource(version),
      // Whether a call is sampled is decided in `start`, before the SDK spends a microsecond on it.
      sampler: new AlwaysOnSampler(),
      spanProcessors: [new BatchSpanProcessor({ exporter })],
    });
    this.#tracer = this.#provider.getTracer('scorewire', version);
  }

  setRatio(ratio: number): void {
    this.#ratio = ratio;
  }

  start(method: string, traceparent: string | undefined, startMs = performance.now()): CallSpan | undefined {
    if (this.#ratio === 0) return undefined;
    const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent);
    const sampled = parent === undefined ? Math.random() < this.#ratio : parent.sampled;
    if (!sampled) return undefined;
    const context =
      parent === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId: parent.traceId,
            spanId: parent.spanId,
            traceFlags: TraceFlags.SAMPLED,
            isRemote: true,
          });
    return new OtelCallSpan(this.#tracer, method, context, startMs);
  }

  async shutdown(timeoutMs = 2000): Promise<void> {
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, timeoutMs);
    await Promise.race([this.#provider.shutdown().catch(() => {}), timeout.promise]);
    clearTimeout(timer);
  }
}

// Of the statuses these are the server's fault, by OpenTelemetry's conventions; the others are the caller's.
const SERVER_FAULTS = new Set([
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

class OtelCallSpan implements CallSpan {
  readonly traceId: string;
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;
  // Taken once a call: the monotonic clock drifts from the wall clock over days, and the parts of a call must agree.
  readonly #epochMs = Date.now() - performance.now();

  constructor(tracer: Tracer, method: string, parent: Context, startMs: number) {
    this.#tracer = tracer;
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method };
    const startTime = this.#epochMs + startMs;
    this.#span = tracer.startSpan(method, { kind: SpanKind.SERVER, startTime, attributes }, parent);
    this.#context = trace.setSpan(parent, this.#span);
    this.traceId = this.#span.spanContext().traceId;
  }

  event(name: string, startMs: number, endMs: number, attributes?: SpanAttributes): void {
    const span = this.#tracer.startSpan(name, { startTime: this.#epochMs + startMs, attributes }, this.#context);
    span.end(this.#epochMs + endMs);
  }

  end(code: string, attributes?: SpanAttributes): void {
    if (!this.#span.isRecording()) return;
    this.#span.setAttributes({ ...attributes, 'rpc.status_code': code });
    if (SERVER_FAULTS.has(code)) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end(this.#epochMs + performance.now());
  }
}

/** The SDK tells nobody that spans are lost. */
function warnOnce(exporter: SpanExporter, endpoint: string, warn: (message: string) => void): SpanExporter {
  let failing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        // 0 is success; the enum's package is none of our dependencies.
        const failed = result.code !== 0;
        if (failed && !failing)
          warn(`spans can't be sent to ${endpoint}: ${result.error?.message ?? 'no reason given'}`);
        failing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
