// A result as one HTML file that needs nothing else: no script, no font, no network.

import { LatencyHistogram } from './histogram.ts';
import { formatShare, formatUs } from './quantity.ts';
import { flowOf } from './report.ts';
import { type BenchResult, doubtsOf, metricsOf } from './result.ts';
import { callsUnit, describeRpc } from './rpc.ts';
import type { ScenarioResult } from './scenario.ts';
import type { SplitPart } from './server-split.ts';
import { median } from './statistics.ts';
import { type Axis, barChart, escapeHtml, lineChart, logAxis, type Series } from './svg-chart.ts';

/** The file's text. */
export function htmlReport(result: BenchResult): string {
  const { target, settings, machine, startedAt, label, commit, broken, scenarios } = result;
  const title = `${target.model} ${target.version} at ${target.address}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p>${[
    label,
    startedAt,
    `API ${target.api}`,
    describeRpc(settings.rpc),
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}`,
    commit === undefined ? '' : `commit ${commit}`,
    target.digest === undefined ? '' : `model ${target.digest.slice(0, 12)}`,
    `requests of ${target.requestBytes} bytes`,
  ]
    .filter((part) => part !== '')
    .map(escapeHtml)
    .join(' · ')}</p>
${broken === undefined ? '' : broken.length === 0 ? '<p class="good">Kept every limit.</p>' : list('bad', broken)}
${scenarios.map(section).join('\n')}
</body>
</html>
`;
}

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #dde3e9; }
svg { width: 100%; height: auto; } .bad { color: #b3261e; } .good { color: #1b6e3c; }
figure { margin: 1rem 0; } figcaption { color: #56646f; }`;

function section(scenario: ScenarioResult): string {
  const { name, found, split } = scenario;
  const parts = [`<h2>${escapeHtml(name)}</h2>`, list('bad', doubtsOf(scenario)), metricsTable(scenario)];
  if (found !== undefined) parts.push(searchChart(scenario));
  parts.push(percentileChart(scenario));
  if (split !== undefined) parts.push(splitTable(split.parts), ...split.parts.filter(isShown).map(bucketChart));
  return parts.filter((part) => part !== '').join('\n');
}

function list(kind: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `<ul class="${kind}">${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

function metricsTable(scenario: ScenarioResult): string {
  const rows = metricsOf(scenario)
    .filter(({ values }) => values.length > 0)
    .map(({ name, unit, values }) => {
      const cells = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
        formatMetric(value, unit),
      );
      return `<tr><td>${escapeHtml(name)}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
    });
  return `<table><tr><th></th><th>median</th><th>least</th><th>most</th></tr>${rows.join('')}</table>`;
}

/** A figure with its unit, for people. */
export function formatMetric(value: number, unit: string): string {
  if (unit === 'us') return formatUs(value);
  if (unit === 'share') return formatShare(value);
  return `${Math.round(value).toLocaleString('en-US')} ${unit}`;
}

/** Where the curve is read: evenly in the number of nines. */
const PERCENTILES = [0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99];

/** 1 at 90 %, 2 at 99 %, 3 at 99.9 %. */
function nines(percent: number): number {
  return -Math.log10(1 - percent / 100);
}

function percentileChart({ reports }: ScenarioResult): string {
  const series = reports.map((report, index): Series => {
    const answers = LatencyHistogram.decode(flowOf(report).answers.histogram);
    // A percentile that fewer than two answers lie beyond says nothing.
    const known = PERCENTILES.filter((percent) => answers.count * (1 - percent / 100) >= 2);
    return {
      name: `repetition ${index + 1}`,
      points: known.map((percent) => [nines(percent), Math.max(1, answers.percentileUs(percent))]),
    };
  });
  if (series.every(({ points }) => points.length === 0)) return '';
  const values = series.flatMap(({ points }) => points.map(([, y]) => y));
  const x: Axis = {
    title: 'percentile',
    from: 0,
    to: Math.max(...series.flatMap(({ points }) => points.map(([at]) => at))),
    log: false,
    ticks: [0, 50, 90, 99, 99.9, 99.99].map((percent) => [nines(percent), String(percent)]),
  };
  return figure(lineChart(series, x, logAxis('latency', values, formatUs)), 'Latency of the answers by percentile');
}

function searchChart({ found, reports }: ScenarioResult): string {
  const trials = found?.trials.filter(({ p99Us }) => p99Us > 0) ?? [];
  if (trials.length === 0) return '';
  const points = (kept: boolean) =>
    trials
      .filter((trial) => trial.kept === kept)
      .map(({ ratePerSecond, p99Us }): [number, number] => [ratePerSecond, p99Us]);
  const most = Math.max(...trials.map(({ ratePerSecond }) => ratePerSecond));
  const x: Axis = {
    title: `${callsUnit(reports[0] && flowOf(reports[0]).rpc)}, Poisson`,
    from: 0,
    to: most,
    log: false,
    ticks: [0, 0.25, 0.5, 0.75, 1].map((part) => [part * most, Math.round(part * most).toLocaleString('en-US')]),
  };
  const y = logAxis(
    'p99',
    trials.map(({ p99Us }) => p99Us),
    formatUs,
  );
  const series: Series[] = [
    { name: 'kept', points: points(true), dots: true },
    { name: 'broke', points: points(false), dots: true },
  ];
  return figure(lineChart(series, x, y), 'Latency against throughput: every rate that was tried');
}

function splitTable(parts: readonly SplitPart[]): string {
  const rows = parts.map(
    ({ name, count, mean }) =>
      `<tr><td>${escapeHtml(name)}</td><td>${count.toLocaleString('en-US')}</td><td>${partValue(name, mean)}</td></tr>`,
  );
  return `<h3>What the server says of it</h3><table><tr><th></th><th>times</th><th>mean</th></tr>${rows.join('')}</table>`;
}

function isShown({ name, count }: SplitPart): boolean {
  return count > 0 && (name === 'rows a batch' || name === 'GC pause');
}

function bucketChart({ name, buckets }: SplitPart): string {
  const used = buckets.filter(([, count]) => count > 0);
  const bars = used.map(([upTo, count]): [string, number] => [
    upTo === null ? 'more' : `≤ ${partValue(name, upTo)}`,
    count,
  ]);
  return figure(barChart(bars), `${name}: how often`);
}

function partValue(name: string, value: number): string {
  return name === 'rows a batch' ? String(Math.round(10 * value) / 10) : formatUs(value * 1e6);
}

function figure(svg: string, caption: string): string {
  return `<figure>${svg}<figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}
