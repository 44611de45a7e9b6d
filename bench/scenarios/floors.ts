// What can't be undercut: onnxruntime without a server. (The other floor, the grpc-js echo, runs beside each load.)

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pinned } from '../../src/bench/pinning.ts';
import { BENCH_MODELS, SERVER_CORE } from '../harness/settings.ts';
import type { Scenario, Suite } from '../harness/suite.ts';

const ENTRY = fileURLToPath(new URL('../floors/onnxruntime.ts', import.meta.url));
const MODEL = join(BENCH_MODELS, 'boosted-trees', '1', 'model.onnx');
const LIMIT_MS = 120_000;

export const floors: Scenario = {
  name: 'floors',
  title: 'onnxruntime alone, boosted-trees, one thread',
  async run(suite: Suite) {
    const repetitions: Record<string, number>[] = [];
    for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
      repetitions.push(await measure(suite.settings.seconds / 3));
    }
    for (const rows of Object.keys(repetitions[0] ?? {})) {
      const runsUs = repetitions.map((runUs) => runUs[rows] as number);
      suite.figure(`onnxruntime, a run of ${rows}`, 'us', runsUs);
    }
  },
};

async function measure(seconds: number): Promise<Record<string, number>> {
  const [command, ...args] = pinned(SERVER_CORE, [process.execPath, ENTRY, MODEL, String(seconds)]);
  const { stdout } = await promisify(execFile)(command as string, args, { timeout: LIMIT_MS });
  return JSON.parse(stdout) as Record<string, number>;
}
