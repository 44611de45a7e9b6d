// The metrics as Prometheus reads them.

import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { MetricData, MetricProducer } from '@opentelemetry/sdk-metrics';

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

// Prometheus wants the unit in the name, which OpenTelemetry's serialiser leaves out.
const UNIT_SUFFIX: Readonly<Record<string, string>> = { s: 'seconds', By: 'bytes' };

/** Renders what `producer` has; `onError` hears of values that could not be read and are left out. */
export function prometheusText(producer: MetricProducer, onError: (error: unknown) => void): () => Promise<string> {
  const serializer = new PrometheusSerializer('', false, undefined, false, true);
  return async () => {
    const { resourceMetrics, errors } = await producer.collect();
    for (const error of errors) onError(error);
    const scopeMetrics = resourceMetrics.scopeMetrics.map(({ scope, metrics }) => ({
      scope,
      metrics: metrics.map(withUnitInName),
    }));
    return serializer.serialize({ ...resourceMetrics, scopeMetrics });
  };
}

function withUnitInName(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor;
  const suffix = UNIT_SUFFIX[unit];
  const descriptor =
    suffix === undefined
      ? { ...metric.descriptor, unit: '' }
      : { ...metric.descriptor, name: `${name}.${suffix}`, unit: suffix };
  return { ...metric, descriptor };
}
