// ScoreStreamResponse of scorewire.v1, read in place.

import { ProtoCursor } from './proto-cursor.ts';
import { RowErrorReader } from './row-error.ts';
import { INTERNAL, OK } from './status.ts';

const RESULTS = 1;
const ID = 1;
const RESPONSE = 2;
const ERROR = 3;

/** Takes one result: bytes[start, end) is the ScoreResponse where the status is OK, else a text that says why; may be empty. */
export type ResultHandler = (id: number, status: number, bytes: Buffer, start: number, end: number) => void;

export class StreamResults {
  readonly #onResult: ResultHandler;
  readonly #message = new ProtoCursor();
  readonly #result = new ProtoCursor();
  readonly #outcome = new ProtoCursor();
  readonly #error = new RowErrorReader();

  constructor(onResult: ResultHandler) {
    this.#onResult = onResult;
  }

  /** Reads the message in bytes[start, end). */
  read(bytes: Buffer, start: number, end: number): void {
    const message = this.#message;
    message.enter(bytes, start, end);
    while (message.next()) if (message.field === RESULTS) this.#readResult(bytes, message.start, message.end);
  }

  #readResult(bytes: Buffer, start: number, end: number): void {
    const result = this.#result;
    const error = this.#error;
    let id = 0;
    let status = INTERNAL;
    let from = 0;
    let to = 0;
    result.enter(bytes, start, end);
    while (result.next()) {
      if (result.field === ID) {
        id = result.value;
      } else if (result.field === RESPONSE) {
        status = OK;
        from = result.start;
        to = result.end;
      } else if (result.field === ERROR) {
        this.#outcome.enter(bytes, result.start, result.end);
        error.read(this.#outcome);
        status = error.status;
        from = error.start;
        to = error.end;
      }
    }
    this.#onResult(id, status, bytes, from, to);
  }
}
