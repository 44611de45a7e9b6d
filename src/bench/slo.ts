// Whether a load kept to what was asked of it.

import { LatencyHistogram } from './histogram.ts';
import { formatShare, formatUs, type Slo } from './quantity.ts';
import { errorShare, type FlowReport } from './report.ts';

/** A line for each limit that was broken; empty if all were kept. A load without an answer breaks every latency. */
export function brokenBy(flow: FlowReport, slo: Slo): string[] {
  const broken: string[] = [];
  const answers = LatencyHistogram.decode(flow.answers.histogram);
  for (const { percentile, limitUs } of slo.latencyUs) {
    const found = answers.count === 0 ? Number.POSITIVE_INFINITY : answers.percentileUs(percentile);
    if (found > limitUs) {
      const said = Number.isFinite(found) ? formatUs(found) : 'no answer at all';
      broken.push(`p${percentile}: ${said}, at most ${formatUs(limitUs)} allowed`);
    }
  }
  const errors = errorShare(flow);
  if (slo.errorShare !== undefined && errors > slo.errorShare) {
    const statuses = Object.entries(flow.errors).map(([status, count]) => `${count} ${status}`);
    broken.push(
      `errors: ${formatShare(errors)}, at most ${formatShare(slo.errorShare)} allowed${statuses.length > 0 ? ` (${statuses.join(', ')})` : ''}`,
    );
  }
  return broken;
}
