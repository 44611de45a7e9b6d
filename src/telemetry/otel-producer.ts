// Shows the registry to OpenTelemetry: give the producer to any metric reader (`metricProducers`), or serialise it.

import { type HrTime, ValueType } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type CollectionResult,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { AnyFamily, Attributes, CounterFamily, GaugeFamily, HistogramFamily, Registry } from './instruments.ts';

/** Makes a data point of one collection. */
type PointMaker = <T>(attributes: Attributes, value: T) => DataPoint<T>;

export class RegistryProducer implements MetricProducer {
  readonly #registry: Registry;
  readonly #resource: Resource;
  readonly #startTime = hrNow();

  constructor(registry: Registry, resource: Resource) {
    this.#registry = registry;
    this.#resource = resource;
  }

  /** A snapshot of all families, cumulative since the start. An observer that throws is left out and in `errors`. */
  async collect(): Promise<CollectionResult> {
    const errors: unknown[] = [];
    const endTime = hrNow();
    const point: PointMaker = (attributes, value) => ({
      startTime: this.#startTime,
      endTime,
      attributes,
      value,
    });
    const metrics = [...this.#registry.families()]
      .map((family) => familyData(family, point, errors))
      .filter((data) => data.dataPoints.length > 0);
    return {
      resourceMetrics: { resource: this.#resource, scopeMetrics: [{ scope: { name: 'scorewire' }, metrics }] },
      errors,
    };
  }
}

function hrNow(): HrTime {
  const ms = Date.now();
  return [Math.trunc(ms / 1000), (ms % 1000) * 1e6];
}

function familyData(family: AnyFamily, point: PointMaker, errors: unknown[]): MetricData {
  const base = {
    descriptor: {
      name: family.name,
      unit: family.unit,
      description: family.description,
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  switch (family.kind) {
    case 'histogram':
      return { ...base, dataPointType: DataPointType.HISTOGRAM, dataPoints: histogramPoints(family, point) };
    case 'counter':
      return {
        ...base,
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
        dataPoints: counterPoints(family, point),
      };
    case 'gauge': {
      const dataPoints = gaugePoints(family, point, errors);
      return family.monotonic
        ? { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
        : { ...base, dataPointType: DataPointType.GAUGE, dataPoints };
    }
  }
}

function histogramPoints(family: HistogramFamily, point: PointMaker): DataPoint<Histogram>[] {
  const boundaries = [...family.buckets.bounds];
  return Array.from(family.cells(), (cell) =>
    point(cell.attributes, {
      buckets: { boundaries, counts: Array.from(cell.counts) },
      sum: cell.sum,
      count: cell.count,
    }),
  );
}

function counterPoints(family: CounterFamily, point: PointMaker): DataPoint<number>[] {
  return Array.from(family.cells(), (cell) => point(cell.attributes, cell.value));
}

function gaugePoints(family: GaugeFamily, point: PointMaker, errors: unknown[]): DataPoint<number>[] {
  const found: DataPoint<number>[] = [];
  for (const { attributes, read } of family.observers()) {
    try {
      const value = read();
      if (!Number.isNaN(value)) found.push(point(attributes, value));
    } catch (error) {
      errors.push(error);
    }
  }
  return found;
}
