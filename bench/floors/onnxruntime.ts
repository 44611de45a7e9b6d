// The floor of the models: onnxruntime alone in this process, one thread, no server. Prints microseconds a run as JSON,
// by rows a run.
//
// node bench/floors/onnxruntime.ts MODEL.onnx [SECONDS] [ROWS,... GOLDEN.jsonl]
//
// With golden rows (lists of numbers) every row of a run is one of those, its numbers changed by up to a tenth.

import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { randomFrom } from '../../src/bench/arrivals.ts';
import { median } from '../../src/bench/statistics.ts';

const DEFAULT_ROWS = '1,8,64';
const SEED = 7;
const WARM_UP_RUNS = 50;
const BLOCK_RUNS = 50;

const model = process.argv[2];
if (model === undefined) throw new Error('usage: onnxruntime.ts MODEL.onnx [SECONDS]');
const seconds = Number(process.argv[3] ?? 1);
const sizes = (process.argv[4] ?? DEFAULT_ROWS).split(',').map(Number);
const golden =
  process.argv[5] === undefined
    ? undefined
    : readFileSync(process.argv[5], 'utf8')
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { row: number[] }).row);

const session = await InferenceSession.create(model, {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  extra: { session: { intra_op: { allow_spinning: '0' } } },
});
const input = session.inputMetadata[0];
if (input?.isTensor !== true) throw new Error(`${model}: its first input is no tensor`);
const columns = Number(input.shape[1]);
const random = randomFrom(SEED);

const runUs: Record<string, number> = {};
for (const rows of sizes) {
  const values = Float32Array.from({ length: rows * columns }, (_, index) => valueAt(index));
  const feeds = { [input.name]: new Tensor('float32', values, [rows, columns]) };
  const runs = async (count: number): Promise<number> => {
    const startedAt = performance.now();
    for (let run = 0; run < count; run++) await session.run(feeds);
    return (1000 * (performance.now() - startedAt)) / count;
  };
  await runs(WARM_UP_RUNS);
  const blocksUs: number[] = [];
  const endsAt = performance.now() + 1000 * seconds;
  while (performance.now() < endsAt) blocksUs.push(await runs(BLOCK_RUNS));
  runUs[rows] = median(blocksUs);
}
process.stdout.write(`${JSON.stringify(runUs)}\n`);

function valueAt(index: number): number {
  if (golden === undefined) return random();
  const row = golden[Math.floor(index / columns) % golden.length] as number[];
  return (row[index % columns] as number) * (0.9 + 0.2 * random());
}
