// The answer of one ScoreBatch, read as it comes: how many scores, and whether rows failed.

import { MessageReader } from './grpc-messages.ts';
import { ProtoCursor } from './proto-cursor.ts';
import { RowErrorReader } from './row-error.ts';
import { INTERNAL, OK, UNKNOWN } from './status.ts';

const CHUNK = 1;
const SUMMARY = 2;
const CHUNK_SCORES = 3;
const CHUNK_ERRORS = 7;
const SUMMARY_FAILED = 5;
const SCORE_BYTES = 4;

// One batch is read at a time.
const MESSAGE = new ProtoCursor();
const PART = new ProtoCursor();
const ERROR = new ProtoCursor();
const ROW_ERROR = new RowErrorReader();

export class BatchAnswer {
  /** Of an answer whose trailers said OK. */
  status = OK;
  /** Why the status isn't OK. */
  detail = '';

  readonly #reader = new MessageReader((bytes, start, end) => this.#readMessage(bytes, start, end));
  #scores = 0;
  #failedRows = 0;
  #summaryFailed = 0;

  /** Reads the DATA in bytes[start, end). */
  read(bytes: Buffer, start: number, end: number): void {
    this.#reader.read(bytes, start, end);
  }

  /** The trailers have said OK: settles what came of `rows` rows. One row that failed makes a call that failed. */
  end(rows: number): void {
    if (this.#failedRows > 0) this.detail = `${this.#failedRows} of ${rows} rows: ${this.detail}`;
    else if (this.#summaryFailed > 0) this.#fail(UNKNOWN, `${this.#summaryFailed} of ${rows} rows, by the summary`);
    else if (this.#reader.isInside) this.#fail(INTERNAL, 'the answer ends in the middle of a message');
    else if (this.#scores !== rows) this.#fail(INTERNAL, `${this.#scores} scores for ${rows} rows`);
  }

  #fail(status: number, detail: string): void {
    this.status = status;
    this.detail = detail;
  }

  #readMessage(bytes: Buffer, start: number, end: number): void {
    MESSAGE.enter(bytes, start, end);
    while (MESSAGE.next()) {
      PART.enter(bytes, MESSAGE.start, MESSAGE.end);
      if (MESSAGE.field === CHUNK) this.#readChunk();
      else if (MESSAGE.field === SUMMARY) this.#readSummary();
    }
  }

  #readChunk(): void {
    while (PART.next()) {
      // Packed, or one by one.
      if (PART.field === CHUNK_SCORES) this.#scores += (PART.end - PART.start) / SCORE_BYTES;
      else if (PART.field === CHUNK_ERRORS) this.#readError();
    }
  }

  #readError(): void {
    if (this.#failedRows++ > 0) return;
    ERROR.enter(PART.bytes, PART.start, PART.end);
    ROW_ERROR.read(ERROR);
    this.#fail(ROW_ERROR.status, PART.bytes.toString('utf8', ROW_ERROR.start, ROW_ERROR.end));
  }

  #readSummary(): void {
    while (PART.next()) if (PART.field === SUMMARY_FAILED) this.#summaryFailed = PART.value;
  }
}
