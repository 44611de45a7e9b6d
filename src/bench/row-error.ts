// RowError of scorewire.v1: why an item or a row has no score.

import type { ProtoCursor } from './proto-cursor.ts';
import { OK, UNKNOWN } from './status.ts';

const CODE = 2;
const REASON = 3;
const MESSAGE = 5;

/** What `readRowError` has read last. */
export class RowErrorReader {
  status = UNKNOWN;
  /** Where the text lies that says most, in the cursor's bytes. */
  start = 0;
  end = 0;

  /** Reads the error that the cursor has entered. An error without a code is one still. */
  read(cursor: ProtoCursor): void {
    this.status = UNKNOWN;
    this.start = 0;
    this.end = 0;
    let hasMessage = false;
    while (cursor.next()) {
      const { field, start, end } = cursor;
      if (field === CODE && cursor.value !== OK) this.status = cursor.value;
      const isMessage = field === MESSAGE && end > start;
      if (!isMessage && (field !== REASON || hasMessage)) continue;
      hasMessage ||= isMessage;
      this.start = start;
      this.end = end;
    }
  }
}
