// What a model was trained on beside what a server feeds it, feature by feature.
import { blockEncoder, type EncodedBlock } from '../features/block-encoder.ts';
import { rowEncoder } from '../features/row-encoder.ts';
import { type Column, ColumnRows } from '../features/row-source.ts';
import type { Feature, FeatureLayout } from '../models/model.ts';
import type { TensorData } from '../tensor.ts';
import { columnOf } from './feature-file.ts';
import type { FrameChunk, RowFeeder } from './feature-input.ts';

/** Values that differ; NaN is NaN. */
export type Difference = { entity: string; trained: string; served: string };

export type FeatureSkew = {
  feature: Feature;
  compared: number;
  differing: number;
  /** Absolute, of numbers; 0 where only texts differ, or NaN from a number. */
  largest: number;
  /** The first ones. */
  examples: readonly Difference[];
};

const EXAMPLES = 3;

type Tally = { compared: number; differing: number; largest: number; examples: Difference[] };
export type RowProblems = { rows: number; examples: { entity: string; message: string }[] };

export class SkewCheck {
  /** Rows that a server could not feed the model. */
  readonly unserved: RowProblems = { rows: 0, examples: [] };
  /** Rows of the frame that the model can't be fed. */
  readonly unreadable: RowProblems = { rows: 0, examples: [] };
  readonly #model: string;
  readonly #layout: FeatureLayout;
  readonly #feeder: RowFeeder;
  readonly #tolerance: number;
  readonly #compared: readonly Feature[];
  readonly #brought: ReadonlySet<string>;
  readonly #tallies: readonly Tally[];

  /**
   * @param compared features that are in the frame and that a server finds elsewhere
   * @param brought names of features that requests bring: as the frame has them
   * @param tolerance by which numbers may differ: so much, or so large a part of the larger one
   */
  constructor(
    model: string,
    layout: FeatureLayout,
    feeder: RowFeeder,
    compared: readonly Feature[],
    brought: readonly string[],
    tolerance: number,
  ) {
    this.#model = model;
    this.#layout = layout;
    this.#feeder = feeder;
    this.#compared = compared;
    this.#brought = new Set(brought);
    this.#tolerance = tolerance;
    this.#tallies = compared.map(() => ({ compared: 0, differing: 0, largest: 0, examples: [] }));
  }

  get features(): FeatureSkew[] {
    return this.#compared.map((feature, index) => ({ feature, ...(this.#tallies[index] as Tally) }));
  }

  /** @throws ScorewireError (rejects with) UNAVAILABLE */
  async take(chunk: FrameChunk): Promise<void> {
    const { entities, columns } = chunk;
    const brought = new Map([...columns].filter(([name]) => this.#brought.has(name)));
    const served = await this.#feeder.feed(chunk, brought);
    const trained = this.#trained(chunk.rows, columns);
    const left = new Map(Array.from(served.rows, (row, place) => [row, place]));
    const right = new Map(Array.from(trained.rows, (row, place) => [row, place]));
    for (const [block, problems] of [
      [served, this.unserved],
      [trained, this.unreadable],
    ] as const) {
      for (const { row, error } of block.errors) {
        problems.rows++;
        if (problems.examples.length === EXAMPLES) continue;
        problems.examples.push({ entity: entities[row] as string, message: error.message });
      }
    }
    for (const [index, feature] of this.#compared.entries()) {
      const servedValues = columnOf(feature, this.#layout.inputs, served, served.rows.length);
      const trainedValues = trained.inputs[index] as TensorData;
      for (const [row, place] of left) {
        const other = right.get(row);
        if (other === undefined) continue;
        this.#compare(index, entities[row] as string, trainedValues[other], servedValues[place]);
      }
    }
  }

  /** The compared features as the frame has them, each an input of its own. */
  #trained(rows: number, columns: ReadonlyMap<string, Column>): EncodedBlock {
    const features = this.#compared.map((feature, input) => ({ ...feature, input, column: 0 }));
    const inputs = features.map(({ name, dataType }) => ({ name, type: dataType, rowDims: [1], width: 1 }));
    const layout = { ...this.#layout, features, inputs, named: true };
    const own = new Map(features.map(({ name }) => [name, columns.get(name) as Column]));
    return blockEncoder(layout, rowEncoder(this.#model, layout))(new ColumnRows(rows, own), 0, rows);
  }

  #compare(
    index: number,
    entity: string,
    trained: TensorData[number] | undefined,
    served: TensorData[number] | undefined,
  ): void {
    const tally = this.#tallies[index] as Tally;
    tally.compared++;
    if (trained === served || (Number.isNaN(trained) && Number.isNaN(served))) return;
    let apart = Number.NaN;
    if (typeof trained === 'number' && typeof served === 'number') {
      apart = Math.abs(trained - served);
      if (apart <= this.#tolerance * Math.max(1, Math.abs(trained), Math.abs(served))) return;
    } else if (typeof trained === 'bigint' && typeof served === 'bigint') {
      apart = Math.abs(Number(trained - served));
    }
    tally.differing++;
    if (apart > tally.largest) tally.largest = apart;
    if (tally.examples.length === EXAMPLES) return;
    tally.examples.push({ entity, trained: shown(trained), served: shown(served) });
  }
}

function shown(value: TensorData[number] | undefined): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value);
}
