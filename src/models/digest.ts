// The content digest by which stored scores know the very model that made them.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { SetupError } from '../errors.ts';
import type { ModelSpec } from './model.ts';

/**
 * SHA-256, hexadecimal, over the model's bytes and then its data files in the order given (`cat model.onnx FILES |
 * sha256sum`), and their size together. Data files are streamed: they may be larger than memory.
 */
export async function digestOf(
  model: Uint8Array,
  dataFiles: readonly string[],
): Promise<{ digest: string; bytes: number }> {
  const hash = createHash('sha256').update(model);
  let bytes = model.length;
  for (const file of dataFiles) {
    try {
      await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), async (chunks) => {
        for await (const chunk of chunks) {
          hash.update(chunk);
          bytes += chunk.length;
        }
      });
    } catch (error) {
      throw new SetupError(`${file} can't be read: ${(error as Error).message}`, error);
    }
  }
  return { digest: hash.digest('hex'), bytes };
}

/** What `ModelSpec.view` is for a model that reads its rows and its outputs so. */
export function viewOf({
  rows,
  task,
  score,
  labels,
  featureView,
}: Pick<ModelSpec, 'rows' | 'task' | 'score' | 'labels' | 'featureView'>): string {
  const text = JSON.stringify({ rows, task, score, labels, featureView }, (_key, value) =>
    typeof value === 'bigint' ? `${value}n` : Number.isNaN(value) ? 'NaN' : value,
  );
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
