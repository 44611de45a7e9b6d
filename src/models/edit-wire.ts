// Changes a protobuf message in its encoded form: what isn't changed keeps its bytes, and is copied once and never parsed.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { WireField } from './wire.ts';

/** A field that holds a message. */
export function message(field: number, content: BinaryWriter): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(content.finish()).finish();
}

/**
 * The message with `parts` as the content of one of its length-delimited fields, and with `more` at its end. In memory of
 * its own, not of Node's shared pool, so that it can be handed to another thread.
 */
export function edited(
  whole: Uint8Array,
  { field, start, end }: WireField,
  parts: readonly Uint8Array[],
  more: readonly Uint8Array[] = [],
): Uint8Array {
  const head = new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(lengthOf(parts)).finish();
  return joined([whole.subarray(0, start), head, ...parts, whole.subarray(end), ...more]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(lengthOf(parts));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
