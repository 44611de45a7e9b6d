// Spans, written by hand at the few places that matter; off at the cost of one branch a call.

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** One traced call. Times are readings of `performance.now()`, in milliseconds. */
export interface CallSpan {
  /** 32 hex digits, for the log. */
  readonly traceId: string;
  /** A part of the call that is over, as a child span: `queue`, `inference`, `features`. */
  event(name: string, startMs: number, endMs: number, attributes?: SpanAttributes): void;
  /** Ends the call, once; `code` is the gRPC status by name, such as `OK`. */
  end(code: string, attributes?: SpanAttributes): void;
}

export interface Tracing {
  readonly enabled: boolean;
  /**
   * The span of a call that starts now, or started at `startMs`; undefined when it is not sampled. `method` is
   * `scorewire.v1.ScoringService/Score`; `traceparent` the W3C header, whose caller's choice to sample is followed.
   */
  start(method: string, traceparent: string | undefined, startMs?: number): CallSpan | undefined;
  /** Changes the share of calls that are traced, 0 to 1; without effect where tracing was off from the start. */
  setRatio(ratio: number): void;
  /** Sends what is left, for at most `timeoutMs` (default 2,000). Never fails. */
  shutdown(timeoutMs?: number): Promise<void>;
}

export type TracingOptions = {
  /** Share of the calls without a traced caller that are traced, 0 to 1; 0 turns tracing off altogether. */
  readonly ratio: number;
  /** OTLP over HTTP, protobuf: `http://127.0.0.1:4318/v1/traces`. */
  readonly endpoint: string;
  /** Version of this server, for the resource. */
  readonly version: string;
  /** Hears once of each outage of the endpoint. */
  readonly warn: (message: string) => void;
};

const off: Tracing = { enabled: false, start: () => undefined, setRatio: () => {}, shutdown: async () => {} };

/** Loads OpenTelemetry's tracing only when it is on. */
export async function createTracing(options: TracingOptions): Promise<Tracing> {
  if (options.ratio === 0) return off;
  const { OtelTracing } = await import('./otel-tracing.ts');
  return new OtelTracing(options);
}
