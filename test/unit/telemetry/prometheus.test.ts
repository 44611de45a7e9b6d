import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { beforeEach, describe, expect, it } from 'vitest';
import { CounterFamily, GaugeFamily, HistogramFamily, Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics, LATENCY_BOUNDS_SECONDS, modelCells } from '../../../src/telemetry/metrics.ts';
import { RegistryProducer } from '../../../src/telemetry/otel-producer.ts';
import { prometheusText } from '../../../src/telemetry/prometheus.ts';
import { serverResource } from '../../../src/telemetry/resource.ts';
import { type PrometheusFamily, parsePrometheus } from './prometheus-parser.ts';

let registry: Registry;
let errors: unknown[];
beforeEach(() => {
  registry = new Registry();
  errors = [];
});

function producer(): RegistryProducer {
  return new RegistryProducer(registry, serverResource('1.2.3'));
}

async function scrape() {
  return parsePrometheus(await prometheusText(producer(), (error) => errors.push(error))());
}

describe('the text for Prometheus', () => {
  it('has histograms with cumulative buckets, sum and count, the unit in the name', async () => {
    const family = registry.add(new HistogramFamily('call.duration', 's', 'How long.', [0.00001, 0.001, 1]));
    for (const value of [0.00001, 0.0005, 0.0005, 2])
      family.cell({ model: 'churn', 'rpc.status_code': 'OK' }).record(value);
    const labels = { model: 'churn', rpc_status_code: 'OK' };
    const found = (await scrape()).get('call_duration_seconds');
    expect(found?.type).toBe('histogram');
    expect(found?.help).toBe('How long.');
    expect(found?.samples).toEqual([
      { name: 'call_duration_seconds_bucket', labels: { ...labels, le: '0.00001' }, value: 1 },
      { name: 'call_duration_seconds_bucket', labels: { ...labels, le: '0.001' }, value: 3 },
      { name: 'call_duration_seconds_bucket', labels: { ...labels, le: '1' }, value: 3 },
      { name: 'call_duration_seconds_bucket', labels: { ...labels, le: '+Inf' }, value: 4 },
      { name: 'call_duration_seconds_sum', labels, value: 0.00001 + 0.0005 + 0.0005 + 2 },
      { name: 'call_duration_seconds_count', labels, value: 4 },
    ]);
  });

  it('has counters with _total, gauges, and the monotonic values that someone else keeps', async () => {
    registry
      .add(new CounterFamily('errors', '{error}', 'Errors.'))
      .cell({ code: 'INTERNAL' })
      .add(3);
    registry.add(new GaugeFamily('memory', 'By', 'Bytes.')).observe({}, () => 512);
    registry.add(new GaugeFamily('cpu.time', 's', 'CPU.', true)).observe({ mode: 'user' }, () => 1.5);
    const found = await scrape();
    expect(found.get('errors_total')).toMatchObject({
      type: 'counter',
      samples: [{ labels: { code: 'INTERNAL' }, value: 3 }],
    });
    expect(found.get('memory_bytes')).toMatchObject({ type: 'gauge', samples: [{ value: 512 }] });
    expect(found.get('cpu_time_seconds_total')).toMatchObject({ type: 'counter', samples: [{ value: 1.5 }] });
  });

  it('says who speaks', async () => {
    registry
      .add(new CounterFamily('c', '1', ''))
      .cell()
      .add();
    const [sample] = (await scrape()).get('target_info')?.samples ?? [];
    expect(sample?.labels).toMatchObject({ service_name: 'scorewire', service_version: '1.2.3' });
  });

  it('escapes what models are called', async () => {
    const model = 'a"b\\c\nd';
    registry
      .add(new CounterFamily('c', '1', ''))
      .cell({ model })
      .add();
    expect((await scrape()).get('c_total')?.samples[0]?.labels).toEqual({ model });
  });

  it('leaves out an observer that fails, and tells', async () => {
    const family = registry.add(new GaugeFamily('g', '1', ''));
    family.observe({ a: '1' }, () => {
      throw new Error('gone');
    });
    family.observe({ a: '2' }, () => Number.NaN);
    family.observe({ a: '3' }, () => 3);
    expect((await scrape()).get('g')?.samples).toEqual([{ name: 'g', labels: { a: '3' }, value: 3 }]);
    expect(errors).toEqual([new Error('gone')]);
  });
});

it("says the same as OpenTelemetry's own serialiser", async () => {
  const metrics = createMetrics(registry);
  const cells = modelCells(metrics, 'a"b', '1', 'value');
  for (const value of [-3e9, -0.5, 0, 1e-9, 7.25, 1e300]) {
    cells.score.record(value);
    cells.queueDelay.record(Math.abs(value));
  }
  metrics.errors.cell({ code: 'INTERNAL', reason: 'x' }).add(2);
  metrics.workers.observe({ state: 'idle' }, () => 1);
  metrics.uptime.observe({}, () => Infinity);
  const { resourceMetrics } = await producer().collect();
  const theirs = parsePrometheus(new PrometheusSerializer('', false, undefined, true, true).serialize(resourceMetrics));
  const ours = await scrape();
  expect(ours.delete('target_info')).toBe(true);
  // They leave the unit out of the name, and put sum and count first.
  const comparable = (families: Map<string, PrometheusFamily>) =>
    Array.from(families.values(), ({ type, help, samples }) => ({
      type,
      help,
      samples: samples
        .map(({ name, labels, value }) => [name.replace(/_(seconds|bytes)/, ''), labels, value])
        .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
    }));
  expect(comparable(ours)).toEqual(comparable(theirs));
});

it('lets the event loop run while it renders', async () => {
  const family = registry.add(new HistogramFamily('h', 's', 'H.', LATENCY_BOUNDS_SECONDS));
  for (let i = 0; i < 1500; i++) family.cell({ model: `${i}` }).record(0.001);
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  expect((await scrape()).get('h_seconds')?.samples).toHaveLength(1500 * (LATENCY_BOUNDS_SECONDS.length + 3));
  running = false;
  expect(turns).toBeGreaterThan(5);
});

it('any OpenTelemetry reader sees the registry through the producer', async () => {
  const cell = registry.add(new HistogramFamily('h', 's', 'H.', [1, 2])).cell({ model: 'm' });
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, metricProducers: [producer()] });
  const provider = new MeterProvider({ readers: [reader] });
  cell.record(1);
  await reader.forceFlush();
  cell.record(5);
  await reader.forceFlush();
  const points = exporter
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ metrics }) => metrics)
    .map(({ descriptor, dataPoints: [point] }) => [descriptor.name, point?.attributes, point?.value]);
  expect(points).toEqual([
    ['h', { model: 'm' }, { buckets: { boundaries: [1, 2], counts: [1, 0, 0] }, sum: 1, count: 1 }],
    ['h', { model: 'm' }, { buckets: { boundaries: [1, 2], counts: [1, 0, 1] }, sum: 6, count: 2 }],
  ]);
  await provider.shutdown();
});
