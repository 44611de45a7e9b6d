// Which number of a run's outputs is a row's score, and the label that comes with it: one function for every path.
import { ScorewireError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';
import type { Tensor, TensorData } from '../tensor.ts';
import { binaryLabel, predictedClass } from './classify.ts';

export type Score = {
  /** float32 */
  score: number;
  /** -1 where there is none. */
  label: number;
};

/**
 * The score of row `index` of a run of `rows` rows.
 * @throws ScorewireError INTERNAL for a score that is NaN; Error for an output that has not the shape it should have
 */
export function readScore(spec: ModelSpec, output: Tensor, rows: number, index: number): Score {
  const rule = spec.score as NonNullable<ModelSpec['score']>;
  const values = numbers(output.data);
  const width = values.length / rows;
  const offset = index * width;
  const predicted =
    spec.task === 'multiclass' || rule.column === 'predicted' ? predictedClass(values, offset, width) : -1;
  const column = rule.column === 'predicted' ? predicted : rule.column;
  if (!Number.isInteger(width) || column >= width) {
    throw new Error(`output ${rule.output} has dimensions [${output.dims.join(',')}] for ${rows} rows`);
  }
  const score = Math.fround(values[offset + column] as number);
  if (Number.isNaN(score)) {
    throw new ScorewireError('internal', 'SCORE_IS_NAN', `${spec.name}: the model gave NaN for this row`);
  }
  const label =
    spec.task === 'multiclass' ? predicted : spec.task === 'binary' ? binaryLabel(score, spec.threshold) : -1;
  return { score, label };
}

/** What reading an output failed with, as an answer. */
export function unreadable(spec: ModelSpec, cause: unknown): ScorewireError {
  if (cause instanceof ScorewireError) return cause;
  return new ScorewireError('internal', 'BAD_OUTPUT', `${spec.name}: the model's output can't be read`, { cause });
}

function numbers(data: TensorData): Float32Array | Float64Array {
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  throw new Error('the score output is not of type float32 or float64');
}
