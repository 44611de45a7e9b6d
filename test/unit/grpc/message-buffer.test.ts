import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { MessageBuffer } from '../../../src/grpc/message-buffer.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

function add(buffer: MessageBuffer, bytes: Uint8Array): void {
  buffer.add(Buffer.from(bytes), 0, bytes.length);
}

test('is empty at first, and after clear', () => {
  const buffer = new MessageBuffer();
  expect({ size: buffer.size, bytes: buffer.bytes.length, length: buffer.length }).toEqual({ size: 0, bytes: 0 });
  add(buffer, prefix(7));
  buffer.clear();
  expect({ size: buffer.size, bytes: buffer.bytes.length, length: buffer.length }).toEqual({ size: 0, bytes: 0 });
});

test('knows the length once the prefix is whole', () => {
  const buffer = new MessageBuffer();
  add(buffer, prefix(300).subarray(0, 4));
  expect(buffer.length).toBeUndefined();
  add(buffer, prefix(300).subarray(4));
  expect(buffer.length).toBe(300);
});

test('copies only what it is told to, and keeps it though the source changes', () => {
  const buffer = new MessageBuffer();
  const source = Buffer.from('abcdefgh');
  buffer.add(source, 2, 5);
  source.fill('x');
  expect(buffer.bytes.toString()).toBe('cde');
});

test('whatever is added and dropped: the bytes between stay in order', () => {
  const step = fc.oneof(fc.record({ add: fc.uint8Array({ maxLength: 40 }) }), fc.record({ drop: fc.nat(60) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const buffer = new MessageBuffer();
      let expected = Buffer.alloc(0);
      for (const { add: bytes, drop } of steps as { add?: Uint8Array; drop?: number }[]) {
        if (bytes !== undefined) {
          add(buffer, bytes);
          expected = Buffer.concat([expected, bytes]);
        } else {
          const dropped = Math.min(drop as number, expected.length);
          buffer.drop(dropped);
          expected = expected.subarray(dropped);
        }
        expect(buffer.bytes).toEqual(expected);
        expect(buffer.size).toBe(expected.length);
        expect(buffer.length).toBe(expected.length < 5 ? undefined : expected.readUInt32BE(1));
      }
    }),
  );
});

/** Bytes of the buffers that `work` makes. */
function made(work: () => void): number[] {
  const allocUnsafe = vi.spyOn(Buffer, 'allocUnsafe');
  work();
  const sizes = allocUnsafe.mock.calls.map(([bytes]) => bytes);
  allocUnsafe.mockRestore();
  return sizes;
}

test('a claim of 4 GB gets little room', () => {
  const buffer = new MessageBuffer();
  const sizes = made(() => {
    add(buffer, prefix(0xffffffff));
    add(buffer, Buffer.alloc(1000));
  });
  expect(sizes).toEqual([64 * 1024]);
});

test('a message whose length is known gets no more than that', () => {
  const buffer = new MessageBuffer();
  const sizes = made(() => {
    add(buffer, prefix(100));
    add(buffer, Buffer.alloc(60));
    add(buffer, Buffer.alloc(40));
  });
  expect(sizes).toEqual([105]);
});

test('what is to be used is used, if it is large enough', () => {
  const large = Buffer.alloc(300_005);
  for (const [given, allocated] of [
    [large, []],
    [Buffer.alloc(1000), [65_536]],
  ] as const) {
    const buffer = new MessageBuffer();
    const sizes = made(() => {
      buffer.use(given);
      add(buffer, prefix(300_000));
      add(buffer, Buffer.of(1, 2, 3));
    });
    expect(sizes).toEqual(allocated);
    expect(buffer.bytes).toEqual(Buffer.concat([prefix(300_000), Buffer.of(1, 2, 3)]));
  }
  expect(large.subarray(5, 8)).toEqual(Buffer.of(1, 2, 3));
});

test.each([
  ['one long message', [prefix(200_000)]],
  ['many short ones', [prefix(0), prefix(0)]],
  ['one with half a prefix behind it', [prefix(1), Buffer.of(1, 2)]],
])('bytes that come one by one don’t move those that are there each time: %s', (_, first) => {
  const buffer = new MessageBuffer();
  const sizes = made(() => {
    add(buffer, Buffer.concat(first));
    for (let byte = 0; byte < 200_000; byte++) add(buffer, Buffer.of(byte));
  });
  expect(sizes.length).toBeLessThan(25);
  expect(buffer.size).toBe(Buffer.concat(first).length + 200_000);
});
