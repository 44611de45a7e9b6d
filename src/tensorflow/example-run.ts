// Examples through a model: rows encoded as those of native calls are, run as tensors of rows, and their part of the score's output.
import { type ScorewireError, toScorewireError } from '../errors.ts';
import type { EncodedRow } from '../features/row.ts';
import type { Sliced } from '../grpc/slices.ts';
import { unreadable } from '../scoring/read-score.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { RunTensors, TensorAnswer } from '../scoring/tensor-call.ts';
import { allocate, copyInto, type Tensor, type TensorData } from '../tensor.ts';
import type { ExampleBytes } from './example-request.ts';
import { ExampleRows, inExample, readExample } from './example-row.ts';
import type { SlicedCall } from './sliced-method.ts';

/** Examples that run together, as far as the model lets them. */
export type ExampleBlock = { rows: number; inputs: ReadonlyMap<string, Tensor> };

/** What a run gave for a block: the score's output, with one entry a row. */
export type BlockScores = { rows: number; output: Tensor };

export type ExampleRunParts = {
  run: RunTensors;
  /** Told about every run; must not throw. */
  ran: (model: ServedModel, answer: TensorAnswer) => void;
};

const STEP_ROWS = 16;
/** Blocks that are in the queue at once: enough to keep workers busy, and few beside what others have there. */
const WINDOW = 4;

/** @throws NotWellFormed; ScorewireError for an example that is no row of the model, by its place */
export function* encodeExamples(model: ServedModel, examples: ExampleBytes): Sliced<ExampleBlock[]> {
  const context = examples.context === undefined ? NO_FEATURES : readExample(examples.context, 'context');
  const rowsOf = new ExampleRows(model.spec.rows, context);
  const blocks: ExampleBlock[] = [];
  let waiting: EncodedRow[] = [];
  for (let index = 0; index < examples.count; index++) {
    if (index % STEP_ROWS === STEP_ROWS - 1) yield;
    const place = `examples[${index}]`;
    const row = encodeExample(model, rowsOf, examples.at(index), place);
    const [first] = waiting;
    // Models whose scores other rows change run each alone.
    if (first !== undefined && (first.shapeKey !== row.shapeKey || model.batchingProblem !== '')) {
      blocks.push(yield* joinedBlock(model, waiting));
      waiting = [];
    }
    waiting.push(row);
  }
  if (waiting.length > 0) blocks.push(yield* joinedBlock(model, waiting));
  return blocks;
}

const NO_FEATURES = new Map();

function encodeExample(model: ServedModel, rows: ExampleRows, bytes: Uint8Array, place: string): EncodedRow {
  const row = rows.row(readExample(bytes, place), place);
  try {
    const complete = model.features.complete(row, '', Date.now(), 0);
    if (complete instanceof Promise) throw new Error('a row without an entity was looked up');
    return model.encode(complete.row);
  } catch (error) {
    throw inExample(toScorewireError(error), place);
  }
}

function* joinedBlock({ shape }: ServedModel, rows: readonly EncodedRow[]): Sliced<ExampleBlock> {
  const [first] = rows as [EncodedRow];
  const inputs = new Map<string, Tensor>();
  for (const [index, { name, type, rowDims: fixed }] of shape.inputs.entries()) {
    const rowDims = first.dims?.[index] ?? fixed;
    const width = (first.inputs[index] as TensorData).length;
    const data = allocate(type, width * rows.length);
    for (const [place, row] of rows.entries()) {
      copyInto(data, place * width, row.inputs[index] as TensorData);
      if (place % 1024 === 1023) yield;
    }
    inputs.set(name, { type, dims: shape.batchDimension ? [rows.length, ...rowDims] : rowDims, data });
  }
  return { rows: rows.length, inputs };
}

/** Runs all blocks for a call; `done` gets what they gave, in their order, unless one of them fails. */
export function runExamples(
  { run, ran }: ExampleRunParts,
  call: SlicedCall,
  model: ServedModel,
  blocks: readonly ExampleBlock[],
  done: (scores: readonly BlockScores[]) => void,
): void {
  const { receivedMs, deadlineMs, abandoned } = call.context;
  const scores: BlockScores[] = new Array(blocks.length);
  let next = 0;
  let left = blocks.length;
  let failed = false;
  const fail = (error: unknown): void => {
    if (failed) return;
    failed = true;
    call.fail(error);
  };
  const take = (index: number, rows: number, answer: TensorAnswer): void => {
    const [output] = answer.outputs as [Tensor];
    if (output.data.length % rows !== 0) {
      throw unreadable(model.spec, new Error(`dimensions [${output.dims.join(',')}] for ${rows} rows`));
    }
    ran(model, answer);
    model.statistics.answered(rows, {
      queueUs: 1000 * (answer.startedMs - answer.queuedMs),
      inferUs: answer.inferenceUs,
      totalUs: 1000 * (answer.endedMs - receivedMs),
    });
    scores[index] = { rows, output };
    left--;
    if (left === 0) done(scores);
    else start();
  };
  const start = (): void => {
    const index = next++;
    const block = blocks[index];
    if (block === undefined || failed) return;
    const { rows, inputs } = block;
    try {
      const wanted = { model, inputs, outputNames: model.scoreOutputs, receivedMs, deadlineMs, abandoned };
      run(wanted, (error, answer) => {
        if (answer === undefined) {
          fail(error as ScorewireError);
          return;
        }
        try {
          take(index, rows, answer);
        } catch (fault) {
          fail(fault);
        }
      });
    } catch (error) {
      fail(error);
    }
  };
  for (let begun = 0; begun < WINDOW; begun++) start();
}
