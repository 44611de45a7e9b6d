import type { Socket } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { Outbox } from '../../../src/http2/outbox.ts';

const BUFFER_BYTES = 16 * 1024;

/** A socket that keeps what it is given until the test takes it. */
class Slow {
  readonly writes: { bytes: Buffer; done: () => void }[] = [];
  taken = '';
  destroyed = false;
  writableEnded = false;

  get writableLength(): number {
    return this.writes.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  write(bytes: Buffer, done: () => void): void {
    this.writes.push({ bytes, done });
  }

  /** Takes the oldest. */
  take(): void {
    const { bytes, done } = this.writes.shift() as Slow['writes'][0];
    this.taken += bytes.toString('latin1');
    done();
  }
}

let socket: Slow;
let outbox: Outbox;
const turnEnded = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  socket = new Slow();
  outbox = new Outbox(socket as unknown as Socket);
});

test('what comes in one turn goes out in one write, at its end', async () => {
  outbox.add(Buffer.from('one, '));
  const at = outbox.reserve(3);
  outbox.buffer.write('two', at);
  expect(socket.writes).toHaveLength(0);
  await turnEnded();
  expect(socket.writes.map(({ bytes }) => bytes.toString())).toEqual(['one, two']);
  await turnEnded();
  expect(socket.writes).toHaveLength(1);
});

test('what doesn’t fit into a buffer goes into the next, in order', async () => {
  outbox.add(Buffer.alloc(10_000, 'a'));
  outbox.add(Buffer.alloc(10_000, 'b'));
  outbox.add(Buffer.alloc(100_000, 'c'));
  outbox.add(Buffer.from('d'));
  await turnEnded();
  expect(socket.writes.map(({ bytes }) => bytes.length)).toEqual([10_000, 10_000, 100_000, 1]);
  expect(socket.writes.map(({ bytes }) => bytes.toString('latin1', 0, 1)).join('')).toBe('abcd');
});

test('just a buffer', async () => {
  outbox.add(Buffer.alloc(BUFFER_BYTES, 'a'));
  outbox.add(Buffer.from('b'));
  await turnEnded();
  expect(socket.writes.map(({ bytes }) => bytes.length)).toEqual([BUFFER_BYTES, 1]);
});

test('a buffer is not written anew before the socket has done with it, and then is', async () => {
  outbox.add(Buffer.from('first'));
  await turnEnded();
  const memory = socket.writes[0]?.bytes.buffer;
  outbox.add(Buffer.from('second'));
  expect(outbox.buffer.buffer).not.toBe(memory);
  await turnEnded();
  socket.take();
  outbox.add(Buffer.from('third'));
  expect(outbox.buffer.buffer).toBe(memory);
  await turnEnded();
  while (socket.writes.length > 0) socket.take();
  expect(socket.taken).toBe('firstsecondthird');
});

test('while the socket is busy, what comes is gathered, and goes out once it is not', async () => {
  let expected = '';
  for (let turn = 0; turn < 100; turn++) {
    outbox.add(Buffer.from(`<${turn}>`));
    expected += `<${turn}>`;
    await turnEnded();
  }
  expect(socket.writes.length).toBeLessThan(6);
  while (socket.writes.length > 0) socket.take();
  expect(socket.taken).toBe(expected);
});

test('flush doesn’t wait', () => {
  for (let turn = 0; turn < 10; turn++) {
    outbox.add(Buffer.from('x'));
    outbox.flush();
  }
  expect(socket.writes).toHaveLength(10);
  outbox.flush();
  expect(socket.writes).toHaveLength(10);
});

test('says when the socket holds too much back', async () => {
  outbox.add(Buffer.alloc(256 * 1024));
  outbox.flush();
  expect(outbox.congested).toBe(false);
  outbox.add(Buffer.alloc(1));
  outbox.flush();
  expect(outbox.congested).toBe(true);
  socket.take();
  expect(outbox.congested).toBe(false);
});

describe.each(['destroyed', 'writableEnded'] as const)('to a socket that is %s', (gone) => {
  test('nothing is written any more', async () => {
    outbox.add(Buffer.from('before'));
    await turnEnded();
    socket[gone] = true;
    outbox.add(Buffer.from('after'));
    await turnEnded();
    expect(socket.writes).toHaveLength(1);
    socket.take();
    outbox.add(Buffer.from('later'));
    outbox.flush();
    expect(socket.writes).toHaveLength(0);
  });
});
