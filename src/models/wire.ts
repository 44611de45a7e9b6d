// Walks a protobuf message without a schema and without touching what the caller doesn't ask for.

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

const NOTHING = new Uint8Array(0);
const decoder = new TextDecoder();

export type WireField = {
  field: number;
  /** Where the field lies in its message, tag included. */
  start: number;
  end: number;
  /** A view on the content of a length-delimited field; empty for all others. */
  bytes: Uint8Array;
  /** Value of a varint field; 0 for all others. */
  number: number;
  packed: boolean;
};

/**
 * The fields of one message in the order in which they stand; contents are views, so that weights are never read.
 * Throws (Error, RangeError) where the bytes are no protobuf message.
 */
export function* wireFields(message: Uint8Array): Generator<WireField> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, type] = reader.tag();
    let bytes: Uint8Array = NOTHING;
    let number = 0;
    if (type === WireType.LengthDelimited) bytes = reader.bytes();
    else if (type === WireType.Varint) number = Number(reader.int64());
    else reader.skip(type, field);
    yield { field, start, end: reader.pos, bytes, number, packed: type === WireType.LengthDelimited };
  }
}

/** Calls the handler of each field that has one, in the order in which the fields stand. */
export function eachField(
  message: Uint8Array,
  handlers: Readonly<Record<number, (field: WireField) => unknown>>,
): void {
  for (const field of wireFields(message)) handlers[field.field]?.(field);
}

/** The varints of a repeated integer field, which stands once a value, or packed. */
export function varints(field: WireField): number[] {
  if (!field.packed) return [field.number];
  const reader = new BinaryReader(field.bytes);
  const values: number[] = [];
  while (reader.pos < reader.len) values.push(Number(reader.int64()));
  return values;
}

export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
