// What a job that is done says to people.
import type { JobDefinition } from '../config/job-definition.ts';
import { type JobSummary, tooManyRejected } from '../jobs/job-run.ts';

export function summaryText(summary: JobSummary, definition: JobDefinition): string {
  const { stored } = summary;
  const { model, version, rows, scored, rejected, segments, resumed, highRisk, seconds, rowsPerSecond } = summary;
  const lines: [string, string][] = [
    ['model', `${model}, version ${version}`],
    ['rows', `${count(rows)}${resumed > 0 ? `, ${count(resumed)} of them scored by an earlier run` : ''}`],
    ['scored', count(scored)],
  ];
  for (const [name, found] of Object.entries(segments))
    lines.push([`  ${name}`, `${count(found)}${part(found, scored)}`]);
  if (highRisk !== null) lines.push(['high risk', `${count(highRisk)} (${Object.keys(segments).at(-1)})`]);
  lines.push(['rejected', `${count(rows - scored)}${part(rows - scored, rows)}`]);
  for (const [reason, found] of Object.entries(rejected)) lines.push([`  ${reason}`, count(found)]);
  lines.push(['seconds', seconds.toFixed(1)]);
  lines.push(['rows a second', count(Math.round(rowsPerSecond))]);
  lines.push(['scores', definition.output]);
  if (stored !== undefined) {
    lines.push(['stored', count(stored.stored)]);
    if (stored.outdated > 0) lines.push(['  outdated', count(stored.outdated)]);
    if (stored.invalidated > 0) lines.push(['  invalidated', count(stored.invalidated)]);
  }
  if (rows > scored) lines.push(['rejected rows', definition.rejects]);
  const width = Math.max(...lines.map(([name]) => name.length));
  const text = lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
  if (!tooManyRejected(summary, definition)) return text;
  return `${text}More rows were rejected than the job allows (${definition.maxRejected * 100} %).\n`;
}

export function count(number: number): string {
  return number.toLocaleString('en-US');
}

function part(some: number, all: number): string {
  return all === 0 ? '' : ` (${((100 * some) / all).toFixed(1)} %)`;
}
