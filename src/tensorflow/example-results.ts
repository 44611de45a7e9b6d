// What a model's scores are as classes, or as numbers, of examples; written in slices, each result as long as all others.
import type { Sliced } from '../grpc/slices.ts';
import type { ModelSpec } from '../models/model.ts';
import { readScore, unreadable } from '../scoring/read-score.ts';
import type { BlockScores } from './example-run.ts';
import type { ExampleMethod } from './signatures.ts';
import { VarintWriter, varintBytes } from './varint-writer.ts';

// Tags: field number times 8, and the wire type.
const RESULT = 10;
const CLASS = 10;
const LABEL = 10;
const SCORE = 21;
const VALUE = 13;

const STEP_VALUES = 1024;

/** Bytes that `writeResults` makes of so many values. */
export function resultBytes(method: ExampleMethod, spec: ModelSpec, scores: readonly BlockScores[]): number {
  const recorder = new ResultWriter(method, spec, classCount(spec, scores), NOTHING);
  return scores.reduce((sum, { rows }) => sum + rows * recorder.bytes, 0);
}

/**
 * A ClassificationResult or a RegressionResult, with one entry a row.
 * @throws ScorewireError INTERNAL for a score that is none
 */
export function* writeResults(
  method: ExampleMethod,
  spec: ModelSpec,
  scores: readonly BlockScores[],
): Sliced<Uint8Array> {
  const classes = classCount(spec, scores);
  const bytes = Buffer.allocUnsafe(resultBytes(method, spec, scores));
  const writer = new ResultWriter(method, spec, classes, bytes);
  let values = 0;
  for (const block of scores) {
    for (let row = 0; row < block.rows; row++) {
      writer.add(block, row);
      values += classes;
      if (values < STEP_VALUES) continue;
      values = 0;
      yield;
    }
  }
  return bytes;
}

/** Classes of an answer: as many as the output has columns, and two of a binary model. */
function classCount(spec: ModelSpec, [first]: readonly BlockScores[]): number {
  if (spec.task === 'binary' || first === undefined) return 2;
  return first.output.data.length / first.rows;
}

class ResultWriter {
  /** Of one row. */
  readonly bytes: number;
  readonly #method: ExampleMethod;
  readonly #spec: ModelSpec;
  readonly #labels: readonly Buffer[];
  readonly #contentBytes: number;
  readonly #target: DataView;
  readonly #writer: VarintWriter;

  constructor(method: ExampleMethod, spec: ModelSpec, classes: number, target: Uint8Array) {
    this.#method = method;
    this.#spec = spec;
    const indexes = method === 'classify' ? Array.from({ length: classes }, (_, index) => index) : [];
    this.#labels = indexes.map((index) => Buffer.from(spec.labels[index] ?? String(index)));
    const lengths = this.#labels.map((label) => framed(classBytes(label)));
    this.#contentBytes = method === 'regress' ? 5 : lengths.reduce((sum, length) => sum + length, 0);
    this.bytes = framed(this.#contentBytes);
    this.#target = new DataView(target.buffer, target.byteOffset, target.byteLength);
    this.#writer = new VarintWriter(target, 0);
  }

  add({ rows, output }: BlockScores, row: number): void {
    const spec = this.#spec;
    let score: number;
    try {
      ({ score } = readScore(spec, output, rows, row));
    } catch (cause) {
      throw unreadable(spec, cause);
    }
    const writer = this.#writer;
    writer.write(RESULT);
    writer.write(this.#contentBytes);
    if (this.#method === 'regress') {
      writer.write(VALUE);
      this.#float(score);
      return;
    }
    const values = output.data as Float32Array;
    const width = values.length / rows;
    // One column is the probability of the second class, as is the one that a manifest chose.
    const columns = spec.task !== 'binary' || (width === 2 && spec.score?.column === 1);
    for (const [index, label] of this.#labels.entries()) {
      writer.write(CLASS);
      writer.write(classBytes(label));
      writer.write(LABEL);
      writer.write(label.length);
      writer.bytes(label);
      writer.write(SCORE);
      this.#float(columns ? (values[row * width + index] as number) : index === 1 ? score : 1 - score);
    }
  }

  #float(value: number): void {
    this.#target.setFloat32(this.#writer.at, value, true);
    this.#writer.at += 4;
  }
}

const NOTHING = new Uint8Array(0);

function classBytes(label: Buffer): number {
  return 1 + varintBytes(label.length) + label.length + 5;
}

/** Of a message of so many bytes as a field. */
function framed(bytes: number): number {
  return 1 + varintBytes(bytes) + bytes;
}
