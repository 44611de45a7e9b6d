// Which number of a model's outputs is the score, and what it means: task, labels, threshold, segments.

import type { TensorSpec } from '../tensor.ts';
import { type ClassEvidence, classEvidence } from './class-evidence.ts';
import type { Manifest } from './manifest.ts';
import type { ModelSpec, ScoreRule, Segment, Task } from './model.ts';
import type { OnnxGraph } from './onnx-graph.ts';

export type Scoring = Pick<
  ModelSpec,
  'task' | 'score' | 'scoreProblem' | 'labelOutput' | 'labels' | 'threshold' | 'segments'
>;

const BINARY_SEGMENTS: readonly Segment[] = [
  { name: 'Low' },
  { name: 'Medium', from: 0.3 },
  { name: 'High', from: 0.6 },
];
const BINARY_THRESHOLD = 0.5;

/** What is known of the output that the score comes from. */
type ScoreOutput = {
  spec: TensorSpec;
  /** Elements a row, from the shape, else from the number of classes; undefined where neither tells. */
  width: number | undefined;
  evidence: ClassEvidence;
};

/**
 * Decides score, task and labels from the graph and what the manifest says of them. `model` is for messages.
 * Throws SetupError where the manifest contradicts the graph. Where the score can't be told, `scoreProblem` says what
 * to set.
 */
export function scoring(model: string, graph: OnnxGraph, outputs: readonly TensorSpec[], manifest: Manifest): Scoring {
  const chosen = scoreOutput(model, graph, outputs, manifest);
  const output = typeof chosen === 'string' ? undefined : chosen;
  const evidence = output?.evidence ?? classEvidence(graph, undefined);
  const task = manifest.task ?? inferTask(output, evidence);
  if (output !== undefined) checkTask(task, output, manifest);

  const rule = typeof chosen === 'string' ? chosen : scoreRule(model, task, chosen, manifest);
  checkLabelKeys(task, manifest);
  return {
    task,
    score: typeof rule === 'string' ? undefined : rule,
    scoreProblem: typeof rule === 'string' ? rule : '',
    labelOutput: task === 'regression' ? undefined : labelOutput(outputs),
    labels: task === 'regression' ? [] : classNames(task, output, evidence, manifest),
    threshold: manifest.threshold ?? BINARY_THRESHOLD,
    segments: manifest.segments ?? (task === 'binary' ? BINARY_SEGMENTS : []),
  };
}

/** The output that the score comes from, or why it can't be told. */
function scoreOutput(
  model: string,
  graph: OnnxGraph,
  outputs: readonly TensorSpec[],
  manifest: Manifest,
): ScoreOutput | string {
  const floats = outputs.filter(isFloat);
  const names = floats.map(({ name }) => name).join(', ');
  const wanted = manifest.scoreOutput;
  if (wanted !== undefined) {
    const named = floats.find(({ name }) => name === wanted);
    if (named !== undefined) return described(named, graph);
    const other = outputs.find(({ name }) => name === wanted);
    const allowed = floats.length > 0 ? `a float output: ${names}` : 'nothing: the model has no float output';
    const found = other && `"${wanted}", which is ${other.type}`;
    throw manifest.mistake(['score', 'output'], allowed, found);
  }
  const [only] = floats;
  if (only === undefined) return `model "${model}" has no float output, so it has no score; ask for its outputs`;
  if (floats.length === 1) return described(only, graph);
  if (manifest.scoreColumn !== undefined) {
    throw manifest.mistake(
      ['score', 'output'],
      `one of the ${floats.length} float outputs beside score.column: ${names}`,
    );
  }
  return `model "${model}" has ${floats.length} float outputs (${names}); set score.output in ${manifest.file}`;
}

function described(spec: TensorSpec, graph: OnnxGraph): ScoreOutput {
  const evidence = classEvidence(graph, spec.name);
  return { spec, evidence, width: rowWidth(spec) ?? (evidence.labels.length || undefined) };
}

/** Elements a row, as the shape says; converters write a scalar's shape where they don't know it. */
function rowWidth({ shape }: TensorSpec): number | undefined {
  if (shape === undefined || shape.length === 0) return undefined;
  const width = shape.slice(1).reduce<number>((product, dim) => product * (dim ?? Number.NaN), 1);
  return Number.isNaN(width) ? undefined : width;
}

function inferTask(output: ScoreOutput | undefined, evidence: ClassEvidence): Task {
  if (evidence.by === undefined) return 'regression';
  const classes = output?.width ?? evidence.labels.length;
  if (classes === 0) return evidence.by === 'sigmoid' ? 'binary' : 'multiclass';
  // The single column of a classifier is the probability of its second class.
  return classes > 2 ? 'multiclass' : 'binary';
}

function checkTask(task: Task, { width, evidence, spec }: ScoreOutput, manifest: Manifest): void {
  if (width === undefined || task === 'regression') return;
  const classes = width === 1 ? 2 : width;
  const has = `output "${spec.name}" has ${counted(width, 'column')}`;
  if (task === 'binary' && classes > 2 && manifest.scoreColumn === undefined) {
    throw manifest.mistake(['task'], `multiclass or regression, or binary beside score.column, as ${has}`);
  }
  if (task === 'multiclass' && width === 1) {
    const instead = evidence.by === undefined ? 'binary or regression' : 'binary';
    throw manifest.mistake(['task'], `${instead}, as ${has}`);
  }
}

function scoreRule(model: string, task: Task, output: ScoreOutput, manifest: Manifest): ScoreRule | string {
  const { width, spec } = output;
  const rule = (column: ScoreRule['column']): ScoreRule => ({ output: spec.name, column, width });
  const wanted = manifest.scoreColumn;
  if (wanted === undefined) {
    if (task === 'binary' && width === 2) return rule(1);
    const single = output.evidence.by === undefined || output.evidence.by === 'sigmoid';
    if (width === 1 || (width === undefined && single)) return rule(0);
    return columnProblem(model, task, output, manifest);
  }
  if (wanted === 'predicted' ? task === 'multiclass' : width === undefined || wanted < width) return rule(wanted);
  throw manifest.mistake(['score', 'column'], columnsAllowed(task, width));
}

function columnProblem(model: string, task: Task, { width, spec, evidence }: ScoreOutput, manifest: Manifest): string {
  const choice = `set score.column (${columnsAllowed(task, width)}) in ${manifest.file}`;
  if (width === undefined)
    return `model "${model}" doesn't say how many columns its output "${spec.name}" has; ${choice}`;
  const has = evidence.by === undefined ? `${width} columns in its output "${spec.name}"` : `${width} classes`;
  return `model "${model}" has ${has}; ${choice}`;
}

function columnsAllowed(task: Task, width: number | undefined): string {
  const last = width === undefined ? 'a column from 0 on' : width === 1 ? '0' : `0 to ${width - 1}`;
  if (width === 1) return last;
  return task === 'multiclass' ? `${last}, or predicted` : `${last}, or predicted beside task: multiclass`;
}

function checkLabelKeys(task: Task, manifest: Manifest): void {
  if (manifest.threshold !== undefined && task !== 'binary') {
    throw manifest.mistake(
      ['label', 'threshold'],
      `nothing, as the task is ${task}: only binary models have a threshold`,
    );
  }
  if (manifest.labelNames !== undefined && task === 'regression') {
    throw manifest.mistake(['label', 'names'], 'nothing, as the task is regression');
  }
}

function classNames(
  task: Task,
  output: ScoreOutput | undefined,
  evidence: ClassEvidence,
  manifest: Manifest,
): readonly string[] {
  const known = evidence.labels.map(String);
  const classes = task === 'binary' ? 2 : (output?.width ?? known.length);
  const names = manifest.labelNames;
  if (names === undefined) {
    // Numbers that are their own index would add nothing to the label.
    const telling = evidence.labels.some((label, index) => label !== index);
    return telling && known.length === classes ? known : [];
  }
  if (classes > 0 && names.length !== classes) {
    throw manifest.mistake(
      ['label', 'names'],
      `a list of ${classes} names, one a class`,
      counted(names.length, 'name'),
    );
  }
  const sorted = (list: readonly string[]): string => [...list].sort().join();
  if (sorted(names) === sorted(known) && names.join() !== known.join()) {
    throw manifest.mistake(['label', 'names'], `the graph's own order, ${known.join(', ')}`, names.join(', '));
  }
  return names;
}

/** The only output that can be a class a row. */
function labelOutput(outputs: readonly TensorSpec[]): string | undefined {
  const candidates = outputs.filter((output) => {
    const width = rowWidth(output);
    return ['int64', 'int32', 'string'].includes(output.type) && (width === undefined || width === 1);
  });
  return candidates.length === 1 ? candidates[0]?.name : undefined;
}

function isFloat({ type }: TensorSpec): boolean {
  return type.startsWith('float');
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
