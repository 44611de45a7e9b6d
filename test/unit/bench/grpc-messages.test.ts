import { expect, test } from 'vitest';
import { framed, MessageReader } from '../../../src/bench/grpc-messages.ts';
import { OpenItems } from '../../../src/bench/open-items.ts';
import { FIRST_ID, ID_BYTES, PreparedItems, writeId } from '../../../src/bench/prepared-items.ts';
import { ProtoCursor } from '../../../src/bench/proto-cursor.ts';
import { ScoreRequest, ScoreStreamRequest } from '../../../src/gen/scorewire/v1/scoring.ts';
import { scoreRequest } from '../../support/scoring-stub.ts';

const MESSAGES = ['', 'one', 'x'.repeat(3_000), 'two', ''];

test.each([1, 2, 3, 4, 5, 6, 7, 11, 2_999, 10_000])('messages in pieces of %i bytes', (pieceBytes) => {
  const data = Buffer.concat(MESSAGES.map((text) => framed(Buffer.from(text))));
  const read: string[] = [];
  const reader = new MessageReader((bytes, start, end) => read.push(bytes.toString('utf8', start, end)));
  // Somewhere inside of a larger buffer, as in a frame.
  const padded = Buffer.concat([Buffer.from('abc'), data, Buffer.from('xyz')]);
  for (let at = 0; at < data.length; at += pieceBytes) {
    reader.read(padded, 3 + at, 3 + Math.min(at + pieceBytes, data.length));
  }
  expect(read).toEqual(MESSAGES);
  expect(reader.isInside).toBe(false);
});

test('what is no message of ours', () => {
  const reader = new MessageReader(() => {});
  expect(() => reader.read(Buffer.from([1, 0, 0, 0, 0]), 0, 5)).toThrow(/compressed/);
  expect(() => reader.read(Buffer.from([0, 0xff, 0, 0, 0]), 0, 5)).toThrow(/a message of 4278190080 bytes/);
});

test('fields of every type, and what breaks off', () => {
  const message = Buffer.from([0x08, 0xac, 0x02, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, 0x68, 0x69, 0x25, 1, 2, 3, 4]);
  const cursor = new ProtoCursor();
  cursor.enter(message, 0, message.length);
  expect(cursor.next() && [cursor.field, cursor.value]).toEqual([1, 300]);
  expect(cursor.next() && [cursor.field, cursor.end - cursor.start]).toEqual([2, 8]);
  expect(cursor.next() && [cursor.field, cursor.text()]).toEqual([3, 'hi']);
  expect(cursor.next() && [cursor.field, cursor.end - cursor.start]).toEqual([4, 4]);
  expect(cursor.next()).toBe(false);
  cursor.enter(message, 12, 15);
  expect(() => cursor.next()).toThrow(/in the middle/);
  cursor.enter(Buffer.from([0x0b]), 0, 1);
  expect(() => cursor.next()).toThrow(/not protobuf/);
});

test.each([3, 40, 5_000])('prepared items of %i features are what protobuf makes of them', (width) => {
  const requests = [1, 2].map((score) => scoreRequest(score, width));
  const items = new PreparedItems(requests);
  const ids = [FIRST_ID, 2 ** 32 - 1];
  const message = Buffer.concat(
    items.bytes.map((bytes, index) => {
      const copy = Buffer.from(bytes);
      writeId(copy, items.idOffsets[index] as number, ids[index] as number);
      return copy;
    }),
  );
  expect(items.messageBytes(1, 2)).toBe(5 + message.length);
  const wanted = {
    items: ids.map((id, index) => ({ id: BigInt(id), request: ScoreRequest.decode(requests[index] as Uint8Array) })),
    inOrder: false,
  };
  expect(Buffer.from(ScoreStreamRequest.encode(wanted).finish()).equals(message)).toBe(true);
  expect(ID_BYTES).toBe(5);
});

test('ids: one of a kind in flight, and not the one that the slot had before', () => {
  const open = new OpenItems();
  const slots = [open.open(), open.open(), open.open()];
  const ids = slots.map((slot) => open.idOf(slot));
  expect(new Set(ids).size).toBe(3);
  expect(ids.map((id) => open.slotOf(id))).toEqual(slots);
  open.close(slots[1] as number);
  expect(open.slotOf(ids[1] as number)).toBe(-1);
  const again = open.open();
  expect(again).toBe(slots[1]);
  expect(open.slotOf(ids[1] as number)).toBe(-1);
  expect(open.count).toBe(3);
  const seen: number[] = [];
  open.each((slot) => {
    seen.push(slot);
    open.close(slot);
  });
  expect(seen).toEqual([0, 1, 2]);
  expect(open.count).toBe(0);
  for (let turn = 0; turn < 70_000; turn++) {
    const slot = open.open();
    const id = open.idOf(slot);
    expect(id >= FIRST_ID && id < 2 ** 32).toBe(true);
    open.close(slot);
  }
});

test('items, all that there can be', () => {
  const open = new OpenItems();
  while (open.takes(1)) open.open();
  expect(open.count).toBe(65_536);
  open.each((slot) => open.close(slot));
  expect(open.takes(65_536)).toBe(true);
  const ids = new Set(Array.from({ length: 65_536 }, () => open.idOf(open.open())));
  expect(ids.size).toBe(65_536);
});
