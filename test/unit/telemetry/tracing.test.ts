import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTracing, type TracingOptions } from '../../../src/telemetry/tracing.ts';
import { startCollector } from './otlp-collector.ts';

const METHOD = 'scorewire.v1.ScoringService/Score';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

async function setUp(given: Partial<TracingOptions> = {}) {
  const collector = await startCollector();
  onTestFinished(async () => void (await collector.close()));
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const tracing = await createTracing({ ratio: 1, endpoint: collector.endpoint, version: '1.2.3', warn, ...given });
  return { tracing, warnings, ...collector };
}

describe('off', () => {
  it('traces nothing, traced callers included', async () => {
    const { tracing, spans } = await setUp({ ratio: 0 });
    expect(tracing.enabled).toBe(false);
    expect(tracing.start(METHOD, `00-${TRACE}-${PARENT}-01`)).toBeUndefined();
    await tracing.shutdown();
    expect(spans).toEqual([]);
  });

  it.each([
    [0, false],
    [1, true],
  ])('loads OpenTelemetry only when on: at ratio %d it is %s', async (ratio, loaded) => {
    const script = `
      import { registerHooks } from 'node:module';
      const found = [];
      registerHooks({ load(url, context, next) { found.push(url); return next(url, context); } });
      const { createTracing } = await import(${JSON.stringify(new URL('../../../src/telemetry/tracing.ts', import.meta.url))});
      await createTracing({ ratio: ${ratio}, endpoint: 'http://127.0.0.1:9', version: '0', warn() {} });
      console.log(found.some((url) => url.includes('@opentelemetry')));
      process.exit();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    expect(stdout.trim()).toBe(String(loaded));
  });
});

describe('the share of calls that are traced', () => {
  it('changes while the server runs; at 0 traced callers are left out too', async () => {
    const { tracing } = await setUp();
    const traced = `00-${TRACE}-${PARENT}-01`;
    expect(tracing.start(METHOD, undefined)).toBeDefined();
    tracing.setRatio(0);
    expect(tracing.start(METHOD, undefined)).toBeUndefined();
    expect(tracing.start(METHOD, traced)).toBeUndefined();
    tracing.setRatio(1);
    expect(tracing.start(METHOD, undefined)).toBeDefined();
    expect(tracing.start(METHOD, traced)).toBeDefined();
    await tracing.shutdown();
  });
});

describe('a traced call', () => {
  it('reaches the collector with its parts, their times and the status', async () => {
    const { tracing, spans } = await setUp();
    const startMs = performance.now() - 5;
    const call = tracing.start(METHOD, undefined, startMs);
    call?.event('queue', startMs + 1, startMs + 2);
    call?.event('inference', startMs + 2, startMs + 4, { 'scorewire.batch.rows': 8 });
    call?.end('OK', { model: 'churn' });
    await tracing.shutdown();

    const [root, queue, inference] = [METHOD, 'queue', 'inference'].map((wanted) =>
      spans.find(({ name }) => name === wanted),
    );
    expect(spans).toHaveLength(3);
    expect(root).toMatchObject({
      traceId: call?.traceId,
      parentSpanId: '',
      kind: 2,
      status: 0,
      attributes: { 'rpc.system.name': 'grpc', 'rpc.method': METHOD, 'rpc.status_code': 'OK', model: 'churn' },
      resource: { 'service.name': 'scorewire', 'service.version': '1.2.3' },
    });
    for (const part of [queue, inference]) {
      expect(part).toMatchObject({ traceId: root?.traceId, parentSpanId: root?.spanId, kind: 1 });
    }
    expect(inference?.attributes).toEqual({ 'scorewire.batch.rows': 8 });
    const zero = root?.startMs ?? 0;
    expect(Math.abs(Date.now() - zero)).toBeLessThan(5000);
    expect((queue?.startMs ?? 0) - zero).toBeCloseTo(1, 2);
    expect((queue?.endMs ?? 0) - zero).toBeCloseTo(2, 2);
    expect((inference?.endMs ?? 0) - zero).toBeCloseTo(4, 2);
    expect((root?.endMs ?? 0) - zero).toBeGreaterThanOrEqual(5);
  });

  it('continues the trace of its caller', async () => {
    const { tracing, spans } = await setUp({ ratio: 1e-9 });
    tracing.start(METHOD, `00-${TRACE}-${PARENT}-01`)?.end('OK');
    await tracing.shutdown();
    expect(spans).toMatchObject([{ traceId: TRACE, parentSpanId: PARENT }]);
  });

  it.each([
    ['INTERNAL', 2],
    ['DEADLINE_EXCEEDED', 2],
    ['NOT_FOUND', 0],
    ['RESOURCE_EXHAUSTED', 0],
  ])('that ended in %s has the status %d', async (code, status) => {
    const { tracing, spans } = await setUp();
    tracing.start(METHOD, undefined)?.end(code);
    await tracing.shutdown();
    expect(spans).toMatchObject([{ status, attributes: { 'rpc.status_code': code } }]);
  });

  it('ends once', async () => {
    const { tracing, spans } = await setUp();
    const call = tracing.start(METHOD, undefined);
    call?.end('OK');
    call?.end('INTERNAL');
    await tracing.shutdown();
    expect(spans).toMatchObject([{ attributes: { 'rpc.status_code': 'OK' } }]);
  });
});

describe('sampling', () => {
  it('follows the caller who is not traced', async () => {
    const { tracing } = await setUp({ ratio: 1 });
    expect(tracing.start(METHOD, `00-${TRACE}-${PARENT}-00`)).toBeUndefined();
    await tracing.shutdown();
  });

  it('takes its share of the others', async () => {
    const { tracing } = await setUp({ ratio: 0.25 });
    const sampled = Array.from({ length: 4000 }, () => tracing.start(METHOD, undefined)).filter(Boolean).length;
    expect(sampled / 4000).toBeGreaterThan(0.2);
    expect(sampled / 4000).toBeLessThan(0.3);
    await tracing.shutdown();
  });
});

describe('a collector that is not there', () => {
  it('is told once, and does not hold up the shutdown', async () => {
    const { tracing, warnings } = await setUp({ endpoint: 'http://127.0.0.1:9/v1/traces' });
    tracing.start(METHOD, undefined)?.end('OK');
    const before = performance.now();
    await tracing.shutdown(300);
    expect(performance.now() - before).toBeLessThan(1500);
    expect(warnings.length).toBeLessThanOrEqual(1);
  });

  it('is told when it refuses', async () => {
    const server = createServer((_, response) => response.writeHead(400).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
    const { tracing, warnings } = await setUp({ endpoint });
    tracing.start(METHOD, undefined)?.end('OK');
    await tracing.shutdown();
    expect(warnings).toEqual([expect.stringContaining(`spans can't be sent to ${endpoint}: `)]);
  });
});
