// What a batch fetches for the requests in it, and what must come back for it to be parted among them.
import type { RunReply } from '../workers/messages.ts';
import { RunFailed } from '../workers/worker.ts';
import type { QueuedRows } from './queued-rows.ts';

/** The outputs that any of the rows wants; the shared array itself where all want the same. */
export function union(rows: readonly QueuedRows[]): readonly string[] {
  const first = (rows[0] as QueuedRows).outputNames;
  if (rows.every((row) => row.outputNames === first)) return first;
  return [...new Set(rows.flatMap((row) => row.outputNames))];
}

/** A model whose outputs don't have one entry a row can't be batched: its requests are then run one by one. */
export function requireRows(reply: RunReply, names: readonly string[], rows: number): void {
  for (const [index, output] of reply.outputs.entries()) {
    if (output.dims[0] !== rows) {
      throw new RunFailed(`output ${names[index]} has dimensions [${output.dims.join(',')}] for ${rows} rows`);
    }
  }
}
