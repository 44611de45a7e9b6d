import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Registry } from '../../../src/telemetry/instruments.ts';
import {
  callCells,
  createMetrics,
  metricsMarkdown,
  modelCells,
  removeModelCells,
} from '../../../src/telemetry/metrics.ts';
import { RegistryProducer } from '../../../src/telemetry/otel-producer.ts';
import { observeProcess } from '../../../src/telemetry/process-metrics.ts';
import { prometheusText } from '../../../src/telemetry/prometheus.ts';
import { serverResource } from '../../../src/telemetry/resource.ts';
import { parsePrometheus } from './prometheus-parser.ts';

function setUp() {
  const registry = new Registry();
  const producer = new RegistryProducer(registry, serverResource('0'));
  const text = prometheusText(producer, (error) => {
    throw error;
  });
  return { registry, metrics: createMetrics(registry), scrape: async () => parsePrometheus(await text()) };
}

it('calls are counted by method, model and status, in the same cells for every caller', async () => {
  const { metrics, scrape } = setUp();
  const calls = callCells(metrics, 'scorewire.v1.ScoringService/Score', 'churn');
  for (let i = 0; i < 10; i++) calls.record('OK', 0.002);
  callCells(metrics, 'scorewire.v1.ScoringService/Score', 'churn').record('OK', 0.002);
  calls.record('NOT_FOUND', 0.001);
  const counts = (await scrape())
    .get('rpc_server_call_duration_seconds')
    ?.samples.filter(({ name }) => name.endsWith('_count'))
    .map(({ labels, value }) => [labels, value]);
  const labels = { rpc_system_name: 'grpc', rpc_method: 'scorewire.v1.ScoringService/Score', model: 'churn' };
  expect(counts).toEqual([
    [{ ...labels, rpc_status_code: 'OK' }, 11],
    [{ ...labels, rpc_status_code: 'NOT_FOUND' }, 1],
  ]);
});

it('a model has its own cells, scores in the buckets of their kind, until it is removed', async () => {
  const { metrics, scrape } = setUp();
  const cells = modelCells(metrics, 'churn', '3', 'probability');
  cells.queueDelay.record(0.0001);
  cells.score.record(0.31);
  cells.sessionsCreated.add(2);
  modelCells(metrics, 'price', '1', 'value').score.record(-250);
  const before = await scrape();
  const bucket = (name: string, le: string) => before.get(name)?.samples.find(({ labels }) => labels.le === le)?.value;
  expect([bucket('scorewire_score_probability', '0.3'), bucket('scorewire_score_probability', '0.35')]).toEqual([0, 1]);
  expect([bucket('scorewire_score_value', '-300'), bucket('scorewire_score_value', '-100')]).toEqual([0, 1]);
  expect(before.get('scorewire_sessions_created_total')?.samples[0]).toMatchObject({
    labels: { model: 'churn', version: '3' },
    value: 2,
  });
  removeModelCells(metrics, 'churn', '3');
  const after = [...(await scrape()).values()].flatMap(({ samples }) => samples);
  expect(after.filter(({ labels }) => labels.model === 'churn')).toEqual([]);
  expect(after.filter(({ labels }) => labels.model === 'price')).not.toEqual([]);
});

it('every metric is in the reference, with its unit', () => {
  const { registry } = setUp();
  const text = metricsMarkdown(registry);
  expect(text).toContain('| `rpc.server.call.duration` | histogram | s |');
  expect(text).toContain('| `process.cpu.time` | counter | s |');
  for (const { name, description } of registry.families()) {
    expect(text).toContain(`| \`${name}\` |`);
    expect(description).toMatch(/\.$/);
  }
});

it('the process shows its event loop, garbage, memory and CPU', async () => {
  const { metrics, scrape } = setUp();
  const stop = observeProcess(metrics);
  // The monitor must have ticked once, so that the stall falls between two ticks.
  await sleep(50);
  const until = performance.now() + 80;
  while (performance.now() < until);
  await sleep(30);
  const found = await scrape();
  const value = (name: string, label = '', is = '') =>
    found.get(name)?.samples.find(({ labels }) => label === '' || labels[label] === is)?.value ?? Number.NaN;
  expect(value('scorewire_event_loop_delay_seconds', 'quantile', '1')).toBeGreaterThan(0.05);
  expect(value('scorewire_event_loop_delay_seconds', 'quantile', '0.5')).toBeLessThan(0.05);
  expect(value('process_memory_usage_bytes')).toBeGreaterThan(10e6);
  expect(value('v8js_memory_heap_used_bytes')).toBeGreaterThan(1e6);
  expect(value('process_cpu_time_seconds_total', 'cpu_mode', 'user')).toBeGreaterThan(0);
  expect(value('process_uptime_seconds')).toBeGreaterThan(0);
  expect(found.get('v8js_gc_duration_seconds')?.type).toBe('histogram');
  stop();
  expect((await scrape()).has('scorewire_event_loop_delay_seconds')).toBe(false);
});
