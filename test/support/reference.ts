// What onnxruntime gives for one row alone: the truth that every served score is held against. Knows nothing of the
// server's own encoding.

import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-node';
import type { ModelSpec } from '../../src/models/model.ts';

export type ReferenceRow = readonly number[] | ReadonlyMap<string, number | string | boolean>;

export class Reference {
  readonly #spec: ModelSpec;
  readonly #session: ort.InferenceSession;

  private constructor(spec: ModelSpec, session: ort.InferenceSession) {
    this.#spec = spec;
    this.#session = session;
  }

  static async load(spec: ModelSpec): Promise<Reference> {
    const bytes = spec.source.kind === 'bytes' ? new Uint8Array(spec.source.bytes) : readFileSync(spec.source.path);
    const extra = { session: { model_external_initializers_file_folder_path: spec.directory } };
    const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1, extra });
    return new Reference(spec, session);
  }

  /** The elements of every output, by name, of this row alone. */
  async run(row: ReferenceRow): Promise<Map<string, (number | string)[]>> {
    const results = await this.#session.run(this.#feeds(row));
    return new Map(
      Object.entries(results).map(([name, { data }]) => [
        name,
        Array.from(data as ArrayLike<number | bigint | string>, (value) =>
          typeof value === 'bigint' ? Number(value) : value,
        ),
      ]),
    );
  }

  /** The score of this row alone, by the model's rule. */
  async score(row: ReferenceRow): Promise<number> {
    const { score } = this.#spec;
    if (score === undefined) throw new Error(`${this.#spec.name} has no score`);
    const values = (await this.run(row)).get(score.output) as number[];
    return values[score.column === 'predicted' ? values.indexOf(Math.max(...values)) : score.column] as number;
  }

  #feeds(row: ReferenceRow): Record<string, ort.Tensor> {
    const { inputs, rows } = this.#spec;
    if (rows.kind !== 'features') throw new Error('only rows of features');
    const values = rows.features.map(({ name, default: value }, index) =>
      row instanceof Map ? (row.get(name) ?? value) : (row as readonly number[])[index],
    );
    return Object.fromEntries(
      inputs.map(({ name, type, shape }, input) => {
        const own = rows.features.flatMap((feature, index) => (feature.input === input ? [values[index]] : []));
        const dims = (shape ?? [1, own.length]).map((dim, at) => (at === 0 ? 1 : (dim ?? own.length)));
        return [name, tensorOf(type, own, dims)];
      }),
    );
  }
}

function tensorOf(type: string, values: readonly unknown[], dims: number[]): ort.Tensor {
  switch (type) {
    case 'string':
      return new ort.Tensor('string', values as string[], dims);
    case 'int64':
      return new ort.Tensor('int64', BigInt64Array.from(values as number[], BigInt), dims);
    case 'bool':
      return new ort.Tensor('bool', Uint8Array.from(values as number[], Number), dims);
    case 'float32':
      return new ort.Tensor('float32', Float32Array.from(values as number[]), dims);
    default:
      throw new Error(`no reference for inputs of type ${type}`);
  }
}
