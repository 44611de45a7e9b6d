// `scorewire check --skew`: a training frame beside what a server would feed the model.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Settings } from '../config/settings.ts';
import { entityColumn } from '../duckdb/input-columns.ts';
import { ScorewireError, SetupError } from '../errors.ts';
import { FrameInput, RowFeeder } from '../jobs/feature-input.ts';
import { type RowProblems, SkewCheck } from '../jobs/feature-skew.ts';
import type { Feature } from '../models/model.ts';
import { createLogger } from '../telemetry/log.ts';
import { type ModelFeatures, modelFeatures } from './feature-options.ts';
import { JobProgressView } from './job-progress.ts';
import { count } from './job-summary.ts';
import { table } from './table.ts';

export type SkewFlags = {
  skew: string;
  model?: string;
  modelVersion?: number;
  entity?: string;
  at?: number;
  tolerance?: number;
};

/** More than 32-bit numbers are rounded by. */
export const DEFAULT_TOLERANCE = 1e-6;

/** Returns whether the frame is what a server would feed. */
export async function checkSkew(settings: Settings, flags: SkewFlags): Promise<boolean> {
  const { level } = settings.log;
  const log = createLogger({ ...settings.log, level: level === 'info' ? 'warn' : level }, process.stderr);
  const model = await modelFeatures(settings, flags.model, flags.modelVersion, log);
  const view = new JobProgressView(process.stderr);
  try {
    const folder = mkdtempSync(join(tmpdir(), 'scorewire-skew-'));
    const source = { input: [flags.skew], query: undefined, entity: flags.entity };
    const frame = await FrameInput.open(source, folder, model.spec.name, model.layout, () => true);
    try {
      return await compare(frame, model, flags, view);
    } finally {
      frame.close();
    }
  } catch (error) {
    view.end();
    if (error instanceof ScorewireError && error.kind !== 'internal') throw new SetupError(error.message, error);
    throw error;
  } finally {
    await model.close();
  }
}

async function compare(
  frame: FrameInput,
  { spec, layout, pipeline }: ModelFeatures,
  { skew, entity, at, tolerance = DEFAULT_TOLERANCE }: SkewFlags,
  view: JobProgressView,
): Promise<boolean> {
  const has = (name: string): boolean => frame.columns.some((column) => column.toLowerCase() === name.toLowerCase());
  const sourceOf = ({ source }: Feature): 'store' | 'computed' | 'request' =>
    source === 'store' && pipeline.byEntity
      ? 'store'
      : source === 'computed' && at !== undefined
        ? 'computed'
        : 'request';
  const present = layout.features.filter(({ name }) => has(name));
  const missing = layout.features.filter(({ name }) => !has(name));
  const brought = present.filter((feature) => sourceOf(feature) === 'request');
  const compared = present.filter((feature) => sourceOf(feature) !== 'request');
  for (const feature of missing) {
    if (sourceOf(feature) !== 'request' || feature.source === 'computed' || feature.default !== undefined) continue;
    throw new SetupError(
      `${skew}: expected a column ${feature.name}, found none: requests bring it, and it has no default`,
    );
  }
  if (compared.length === 0) {
    const hint = present.some(({ source }) => source === 'computed')
      ? '; --at TIME has computed features compared'
      : '';
    throw new SetupError(
      `${skew}: nothing to compare: none of its columns is a feature that the server finds itself${hint}`,
    );
  }
  const feeder = new RowFeeder(spec.name, layout, pipeline, at ?? Date.now());
  const check = new SkewCheck(
    spec.name,
    layout,
    feeder,
    compared,
    brought.map(({ name }) => name),
    tolerance,
  );
  let done = 0;
  for await (const chunk of frame.chunks()) {
    await check.take(chunk);
    done += chunk.rows;
    view.show({ phase: 'scoring', rows: frame.rows, done, resumed: 0, rejected: 0 });
  }
  view.end();
  const text = [
    `${spec.name}, version ${spec.version}, against ${skew}: ${count(frame.rows)} rows\n`,
    listed(
      'as requests bring them, not compared',
      brought.map(({ name }) => name),
    ),
    listed(
      'features that the frame has no column of',
      missing.map(({ name }) => name),
    ),
    listed('columns that are no features', extraColumns(frame, layout.features, entity)),
    problemText('rows that a server could not feed the model', check.unserved),
    problemText('rows that the model can not be fed as they are', check.unreadable),
    skewText(check),
  ];
  process.stdout.write(text.join(''));
  const differing = check.features.some((feature) => feature.differing > 0);
  return !differing && check.unserved.rows === 0 && check.unreadable.rows === 0;
}

function extraColumns(frame: FrameInput, features: readonly Feature[], entity: string | undefined): string[] {
  const columns = frame.columns.map((name) => ({ name, type: '' }));
  const whom = entityColumn(columns, features, entity, '').name;
  const known = new Set([whom, ...features.map(({ name }) => name)].map((name) => name.toLowerCase()));
  return frame.columns.filter((name) => !known.has(name.toLowerCase()));
}

function listed(what: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const shown = names.length > 20 ? `${names.slice(0, 20).join(', ')} and ${names.length - 20} more` : names.join(', ');
  return `${what}: ${shown}\n`;
}

function problemText(what: string, { rows, examples }: RowProblems): string {
  if (rows === 0) return '';
  const lines = examples.map(
    ({ entity, message }) => `  ${entity === '' ? 'no entity' : `entity ${entity}`}: ${message}\n`,
  );
  return `${what}: ${count(rows)}\n${lines.join('')}`;
}

function skewText(check: SkewCheck): string {
  const { features } = check;
  const wrong = features.filter(({ differing }) => differing > 0);
  if (wrong.length === 0) return `${count(features.length)} features agree in all rows that were compared\n`;
  const rows = wrong.map(({ feature, compared, differing, largest, examples }) => [
    feature.name,
    feature.source ?? 'request',
    count(differing),
    `${((100 * differing) / compared).toFixed(2)} %`,
    largest === 0 ? '-' : largest.toPrecision(3),
    examples.map(({ entity, trained, served }) => `${entity}: ${trained} trained, ${served} served`).join('; '),
  ]);
  return `${count(features.length - wrong.length)} of ${count(features.length)} features agree\n${table(
    ['feature', 'source', 'rows differ', 'share', 'largest', 'such as entity'],
    rows,
  )}`;
}
