import type { ScorewireError } from '../errors.ts';
import type { ScoredChunk } from './scored-chunk.ts';

/** Whoever takes the scores. */
export interface BulkSink {
  /** A chunk is done. False: enough for now, until `resume`. */
  take(chunk: ScoredChunk): boolean;
  /** All chunks were taken. */
  done(): void;
  /** The server can't go on. */
  failed(error: ScorewireError): void;
}
