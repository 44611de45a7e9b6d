// What the process itself is doing: event loop, garbage, memory, CPU.

import { constants, monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { HistogramCell } from './instruments.ts';
import type { Metrics } from './metrics.ts';

/** How often the event loop's delay is sampled. Shorter stalls can fall between two samples. */
const RESOLUTION_MS = 10;
/** Readings closer together than this see the same values, so that two scrapers don't take each other's. */
const WINDOW_MS = 1000;

type Delays = { p50: number; p99: number; max: number };

/** Starts to measure; the function that comes back stops it. Keeps no process alive. */
export function observeProcess(metrics: Metrics): () => void {
  const stops = [observeEventLoop(metrics), observeGarbage(metrics), ...observeUsage(metrics)];
  return () => {
    for (const stop of stops) stop();
  };
}

function observeEventLoop(metrics: Metrics): () => void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // Node counts the sampling interval in.
  const seconds = (ns: number): number => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1e3);
  let takenMs = -Infinity;
  let delays: Delays = { p50: 0, p99: 0, max: 0 };
  const take = (): Delays => {
    if (performance.now() - takenMs < WINDOW_MS) return delays;
    takenMs = performance.now();
    delays = {
      p50: seconds(histogram.percentile(50)),
      p99: seconds(histogram.percentile(99)),
      max: seconds(histogram.max),
    };
    histogram.reset();
    return delays;
  };
  const stops = [
    metrics.eventLoopDelay.observe({ quantile: '0.5' }, () => take().p50),
    metrics.eventLoopDelay.observe({ quantile: '0.99' }, () => take().p99),
    metrics.eventLoopDelay.observe({ quantile: '1' }, () => take().max),
  ];
  return () => {
    histogram.disable();
    for (const stop of stops) stop();
  };
}

function observeGarbage(metrics: Metrics): () => void {
  const of = (type: string): HistogramCell => metrics.garbageCollection.cell({ 'v8js.gc.type': type });
  const cells = new Map([
    [constants.NODE_PERFORMANCE_GC_MINOR, of('minor')],
    [constants.NODE_PERFORMANCE_GC_MAJOR, of('major')],
    [constants.NODE_PERFORMANCE_GC_INCREMENTAL, of('incremental')],
    [constants.NODE_PERFORMANCE_GC_WEAKCB, of('weakcb')],
  ]);
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // Node's own types leave `detail` out for the entries of a list.
      const { detail } = entry as typeof entry & { detail: { kind: number } };
      cells.get(detail.kind)?.record(entry.duration / 1e3);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}

function observeUsage(metrics: Metrics): (() => void)[] {
  return [
    metrics.processMemory.observe({}, () => process.memoryUsage.rss()),
    metrics.heapUsed.observe({}, () => getHeapStatistics().used_heap_size),
    metrics.externalMemory.observe({}, () => getHeapStatistics().external_memory),
    metrics.processCpu.observe({ 'cpu.mode': 'user' }, () => process.cpuUsage().user / 1e6),
    metrics.processCpu.observe({ 'cpu.mode': 'system' }, () => process.cpuUsage().system / 1e6),
    metrics.uptime.observe({}, () => process.uptime()),
  ];
}
