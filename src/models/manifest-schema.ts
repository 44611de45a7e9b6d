// The keys of model.yaml. Each schema's error text says what is allowed: messages read "found X; allowed is <text>".

import { z } from 'zod';
import {
  COMPUTED_FEATURES,
  type ComputedFeature,
  FEATURE_SOURCES,
  FEATURE_TYPES,
  type FeatureDefault,
  type FeatureType,
  TASKS,
} from './model.ts';

const ZONE_ALLOWED = 'the name of a time zone, such as Europe/Zurich or UTC';

const name = z.string({ error: 'text (in quotes where it looks like a number)' }).min(1, { error: 'a name' });
const number = z.number({ error: 'a number' });
const truth = z.boolean({ error: 'true or false' });
const columnAllowed = { error: 'a column from 0 on, or predicted' };
const column = z.union([z.int().min(0, columnAllowed), z.literal('predicted')], columnAllowed);

function above(least: number, allowed: string) {
  return z.number({ error: allowed }).gt(least, { error: allowed });
}

function atLeast(least: number, allowed: string) {
  return z.number({ error: allowed }).min(least, { error: allowed });
}

const feature = z.strictObject(
  {
    name,
    type: z.enum(FEATURE_TYPES, { error: oneOf(FEATURE_TYPES) }).optional(),
    default: z
      .union([z.number(), z.nan(), z.string(), z.boolean()], { error: 'a number, text, true or false' })
      .optional(),
    allow_nan: truth.optional(),
    source: z.enum(FEATURE_SOURCES, { error: oneOf(FEATURE_SOURCES) }).optional(),
    max_age_seconds: above(0, 'a number of seconds above 0').optional(),
  },
  { error: 'a map with name, type, default, allow_nan, source and max_age_seconds' },
);

const featureView = z.strictObject(
  {
    store: name.optional(),
    time_zone: z.string({ error: ZONE_ALLOWED }).refine(isTimeZone, { error: ZONE_ALLOWED }).optional(),
  },
  { error: 'a map with store and time_zone' },
);

const storedScores = z.strictObject(
  {
    fresh_for_seconds: above(0, 'a number of seconds above 0').optional(),
    kept_for_seconds: above(0, 'a number of seconds above 0').optional(),
    written_back_for_seconds: above(0, 'a number of seconds above 0').optional(),
    write_back: truth.optional(),
    allow_stale: truth.optional(),
  },
  { error: 'a map with fresh_for_seconds, kept_for_seconds, written_back_for_seconds, write_back and allow_stale' },
);

const score = z.strictObject(
  { output: name.optional(), column: column.optional() },
  { error: 'a map with output and column' },
);

const label = z.strictObject(
  { threshold: number.optional(), names: z.array(name, { error: 'a list of names' }).optional() },
  { error: 'a map with threshold and names' },
);

const segment = z.strictObject({ name, from: number.optional() }, { error: 'a map with name and from' });

const batching = z.strictObject(
  {
    enabled: truth.optional(),
    max_rows: z.int({ error: 'a whole number from 1 on' }).min(1, { error: 'a whole number from 1 on' }).optional(),
    max_delay_ms: atLeast(0, 'a number of milliseconds, 0 or more').optional(),
  },
  { error: 'a map with enabled, max_rows and max_delay_ms' },
);

const golden = z.strictObject(
  {
    file: z.string({ error: 'a path' }).min(1, { error: 'a path' }),
    tolerance: atLeast(0, 'a number, 0 or more').optional(),
  },
  { error: 'a map with file and tolerance' },
);

export const manifestSchema = z
  .strictObject(
    {
      task: z.enum(TASKS, { error: oneOf(TASKS) }).optional(),
      description: z.string({ error: 'text' }).optional(),
      features: z.array(feature, { error: 'a list of features' }).min(1, { error: 'at least one feature' }).optional(),
      score: score.optional(),
      label: label.optional(),
      segments: z.array(segment, { error: 'a list of segments' }).optional(),
      latency_budget_ms: above(0, 'a number of milliseconds above 0').optional(),
      batching: batching.optional(),
      golden: golden.optional(),
      feature_view: featureView.optional(),
      stored_scores: storedScores.optional(),
      default_score: number.optional(),
    },
    { error: 'a map of keys' },
  )
  .superRefine((manifest, context) => {
    const mistake = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    checkFeatures(manifest.features ?? [], mistake);
    checkSources(manifest.features ?? [], manifest.feature_view?.store !== undefined, mistake);
    checkSegments(manifest.segments ?? [], mistake);
    checkUnique(manifest.label?.names ?? [], (index) => ['label', 'names', index], mistake);
  });

export type ManifestContent = z.infer<typeof manifestSchema>;

/** The keys that the map at `path` may have; none where there is no map. */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  const maps: Record<string, z.ZodObject> = {
    features: feature,
    score,
    label,
    segments: segment,
    batching,
    golden,
    feature_view: featureView,
    stored_scores: storedScores,
  };
  const [first] = path;
  return Object.keys((first === undefined ? manifestSchema : maps[String(first)])?.shape ?? {});
}

/**
 * A default as a feature of this type has it. Returns what is allowed, as text for a message, where it doesn't fit.
 */
export function featureDefault(
  type: FeatureType,
  value: number | string | boolean,
  allowNan: boolean,
): { value: FeatureDefault } | { allowed: string } {
  switch (type) {
    case 'number':
      if (typeof value === 'number' && (allowNan || !Number.isNaN(value))) return { value };
      return { allowed: Number.isNaN(value) ? 'a number (.nan only beside allow_nan: true)' : 'a number' };
    case 'integer':
      if (typeof value === 'number' && Number.isSafeInteger(value)) return { value: BigInt(value) };
      return { allowed: 'a whole number (below 2^53)' };
    case 'text':
      return typeof value === 'string' ? { value } : { allowed: 'text (in quotes where it looks like something else)' };
    case 'flag':
      return typeof value === 'boolean' ? { value } : { allowed: 'true or false' };
  }
}

type Report = (path: (string | number)[], allowed: string) => void;

function checkFeatures(features: readonly z.infer<typeof feature>[], mistake: Report): void {
  const names = features.map((entry) => entry.name);
  checkUnique(names, (index) => ['features', index, 'name'], mistake);
  for (const [index, { type, allow_nan: allowNan = false, default: value }] of features.entries()) {
    if (type === undefined) continue;
    if (allowNan && type !== 'number') mistake(['features', index, 'allow_nan'], `false, as the type is ${type}`);
    const fitted = value === undefined ? undefined : featureDefault(type, value, allowNan);
    if (fitted && 'allowed' in fitted) {
      mistake(['features', index, 'default'], `${fitted.allowed}, as the type is ${type}`);
    }
  }
}

function checkSources(features: readonly z.infer<typeof feature>[], hasStore: boolean, mistake: Report): void {
  for (const [index, { name: own, type, source, max_age_seconds: maxAge }] of features.entries()) {
    if (source === 'store' && !hasStore)
      mistake(['features', index, 'source'], 'request, or feature_view.store is set');
    if (source === 'computed') {
      if (!COMPUTED_FEATURES.includes(own as ComputedFeature)) {
        mistake(['features', index, 'name'], `${oneOf(COMPUTED_FEATURES)}, as the source is computed`);
      } else if (type === 'text' || (type === 'flag' && own !== 'is_weekend')) {
        mistake(['features', index, 'type'], 'number or integer, as the source is computed');
      }
    }
    if (maxAge !== undefined && (source === undefined ? !hasStore : source !== 'store')) {
      mistake(['features', index, 'max_age_seconds'], 'nothing, as the source is not store');
    }
  }
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined;
  } catch {
    return false;
  }
}

function checkSegments(segments: readonly z.infer<typeof segment>[], mistake: Report): void {
  const names = segments.map((entry) => entry.name);
  checkUnique(names, (index) => ['segments', index, 'name'], mistake);
  let last = Number.NEGATIVE_INFINITY;
  for (const [index, { from }] of segments.entries()) {
    if (index === 0) {
      if (from !== undefined) mistake(['segments', 0, 'from'], 'nothing: the first segment has no lower bound');
    } else if (from === undefined) {
      mistake(['segments', index, 'from'], 'a number');
    } else if (Math.fround(from) <= Math.fround(last)) {
      // As scores are compared: in float32.
      mistake(['segments', index, 'from'], `a number above ${last}, where the segment before it begins`);
    }
    last = from ?? last;
  }
}

function checkUnique(names: readonly string[], pathOf: (index: number) => (string | number)[], mistake: Report): void {
  for (const [index, entry] of names.entries()) {
    const first = names.indexOf(entry);
    if (first < index) mistake(pathOf(index), `a name that isn't taken: entry ${first} has it`);
  }
}

function oneOf(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}
