// The memory of DuckDB's chunks goes back when V8 collects the objects that stand for them, and V8 doesn't know how much hangs on
// those: by itself it would let hundreds of megabytes pile up.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A chunk is 2,048 rows: of 31 columns some 250 KB. */
const CHUNKS = 64;

/** Returns what to call once a chunk: every so often it has the young ones of this thread collected, in less than a millisecond. */
export function chunkCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  let chunks = 0;
  return () => {
    chunks++;
    if (chunks % CHUNKS === 0) collect({ type: 'minor' });
  };
}
