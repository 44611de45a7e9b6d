// model.yaml, the optional file beside a model's versions: read, checked whole, every mistake named.

import { closest } from 'fastest-levenshtein';
import { type Document, isNode, LineCounter, parseDocument, type YAMLParseError } from 'yaml';
import { SetupError } from '../errors.ts';
import { knownKeys, type ManifestContent, manifestSchema } from './manifest-schema.ts';
import type { Feature, FeatureType, FeatureView, Segment, StoredScoreRules, Task } from './model.ts';
import { foundAndAllowed, keyPath } from './wording.ts';

export const MANIFEST_NAME = 'model.yaml';

const DEFAULT_TOLERANCE = 1e-5;

/** A feature as the manifest has it; its type and place in the graph are decided against the graph's inputs. */
export type ManifestFeature = {
  name: string;
  type?: FeatureType;
  default?: number | string | boolean;
  allowNan: boolean;
  source?: Feature['source'];
  maxAgeSeconds?: number;
};

export type Manifest = {
  /** For messages; the file needn't exist. */
  file: string;
  task?: Task;
  description: string;
  features?: readonly ManifestFeature[];
  scoreOutput?: string;
  scoreColumn?: number | 'predicted';
  threshold?: number;
  labelNames?: readonly string[];
  segments?: readonly Segment[];
  latencyBudgetMs?: number;
  batchingEnabled: boolean;
  maxBatchRows?: number;
  maxDelayMs?: number;
  featureView: FeatureView;
  storedScores: StoredScoreRules;
  defaultScore?: number;
  /** `file` as written: relative to the version's directory or to the manifest's. */
  golden?: { file: string; tolerance: number };
  /** An error in one line: file and line, key, what was found there (the value, unless given) and what is allowed. */
  mistake: (path: readonly (string | number)[], allowed: string, found?: string) => SetupError;
};

/** What a model without model.yaml has. `file` is where it would be. */
export function emptyManifest(file: string): Manifest {
  return parseManifest('', file);
}

/** Reads the text of model.yaml. Throws SetupError with a line for each mistake in it. */
export function parseManifest(text: string, file: string): Manifest {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  if (document.errors.length > 0) {
    const lineAt = (error: YAMLParseError): string => `${file}:${lines.linePos(error.pos[0]).line}`;
    throw new SetupError(
      document.errors.map((error) => `${lineAt(error)}: not valid YAML: ${error.message}`).join('\n'),
    );
  }
  const content: unknown = document.toJS() ?? {};
  const lineOf = (path: readonly PropertyKey[]): number => keyLine(path, document, lines);
  const place = (path: readonly PropertyKey[]): string => (lineOf(path) > 0 ? `${file}:${lineOf(path)}` : file);

  const parsed = manifestSchema.safeParse(content);
  if (!parsed.success) {
    const mistakes = parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => ({ path: [...issue.path, key], message: unknownKey(issue.path, key, place) }))
        : [
            {
              path: issue.path,
              message: `${place(issue.path)}: ${foundAndAllowed(content, issue.path, issue.message)}`,
            },
          ],
    );
    mistakes.sort((a, b) => lineOf(a.path) - lineOf(b.path));
    throw new SetupError(mistakes.map((mistake) => mistake.message).join('\n'));
  }
  return {
    ...manifestOf(parsed.data),
    file,
    mistake: (path, allowed, found) =>
      new SetupError(`${place(path)}: ${foundAndAllowed(content, path, allowed, found)}`),
  };
}

function manifestOf(content: ManifestContent): Omit<Manifest, 'file' | 'mistake'> {
  const { golden } = content;
  return {
    task: content.task,
    description: content.description ?? '',
    features: content.features?.map((feature) => featureOf(feature, content.feature_view?.store)),
    scoreOutput: content.score?.output,
    scoreColumn: content.score?.column,
    threshold: content.label?.threshold,
    labelNames: content.label?.names,
    segments: content.segments,
    latencyBudgetMs: content.latency_budget_ms,
    batchingEnabled: content.batching?.enabled ?? true,
    maxBatchRows: content.batching?.max_rows,
    maxDelayMs: content.batching?.max_delay_ms,
    featureView: { store: content.feature_view?.store, timeZone: content.feature_view?.time_zone ?? 'UTC' },
    storedScores: {
      freshForSeconds: content.stored_scores?.fresh_for_seconds,
      keptForSeconds: content.stored_scores?.kept_for_seconds,
      writtenBackForSeconds: content.stored_scores?.written_back_for_seconds,
      writeBack: content.stored_scores?.write_back,
      allowStale: content.stored_scores?.allow_stale ?? false,
    },
    defaultScore: content.default_score,
    golden: golden && { file: golden.file, tolerance: golden.tolerance ?? DEFAULT_TOLERANCE },
  };
}

/** Of a model with a feature store, features come from there unless they say otherwise. */
function featureOf(
  { name, type, default: value, allow_nan: allowNan = false, source, max_age_seconds }: ContentFeature,
  store: string | undefined,
): ManifestFeature {
  const from = source ?? (store === undefined ? 'request' : 'store');
  return {
    name,
    type,
    default: value,
    allowNan,
    ...(from === 'request' ? {} : { source: from }),
    ...(max_age_seconds === undefined ? {} : { maxAgeSeconds: max_age_seconds }),
  };
}

type ContentFeature = NonNullable<ManifestContent['features']>[number];

function unknownKey(map: readonly PropertyKey[], key: string, place: (path: readonly PropertyKey[]) => string): string {
  const known = knownKeys(map);
  const [path, nearest] = [key, closest(key, known)].map((name) => keyPath([...map, name]));
  return `${place([...map, key])}: ${path}: no such key; did you mean ${nearest}? Allowed are ${known.join(', ')}`;
}

/** The line of a key, or of the nearest one above it that is in the file; 0 where there is none. */
function keyLine(path: readonly PropertyKey[], document: Document, lines: LineCounter): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 0;
}
