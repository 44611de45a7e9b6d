// The memory of DuckDB's chunks goes back when V8 collects the objects that stand for them. V8 doesn't know how much hangs on those,
// and has put them into its old generation by the time that they are scored: by itself it would let hundreds of megabytes pile up.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DuckDBDataChunk } from '@duckdb/node-api';

/** Values between two collections: some 30 MB where they are doubles, and as much in arrays. */
const VALUES = 4_000_000;

export class ChunkCollector {
  readonly #collect: () => void;
  #values = 0;

  constructor() {
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as () => void;
  }

  /** To be called once a chunk: every so often it has the heap of this thread collected, a matter of some 10 ms. */
  count({ rowCount, columnCount }: DuckDBDataChunk): void {
    this.#values += rowCount * columnCount;
    if (this.#values < VALUES) return;
    this.#values = 0;
    this.#collect();
  }

  /** After the last chunk. */
  end(): void {
    this.#collect();
  }
}
