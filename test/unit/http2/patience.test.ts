import { expect, test } from 'vitest';
import { ConnectionError, ErrorCode } from '../../../src/http2/error-codes.ts';
import { Patience } from '../../../src/http2/patience.ts';

function patience(): { take: (times: number) => void; answered: () => void; pass: (ms: number) => void } {
  let nowMs = 5000;
  const one = new Patience(() => nowMs);
  return {
    take(times) {
      for (let taken = 0; taken < times; taken++) one.take();
    },
    answered: () => one.answered(),
    pass(ms) {
      nowMs += ms;
    },
  };
}

test('ten thousand at once, and not one more', () => {
  const { take } = patience();
  take(10_000);
  expect(() => take(1)).toThrow(expect.objectContaining({ code: ErrorCode.enhanceYourCalm }));
  expect(() => take(1)).toThrow(ConnectionError);
});

test('a thousand a second for ever, and no more than that', () => {
  const { take, pass } = patience();
  for (let second = 0; second < 100; second++) {
    take(1000);
    pass(1000);
  }
  const other = patience();
  expect(() => {
    for (let second = 0; second < 100; second++) {
      other.take(1200);
      other.pass(1000);
    }
  }).toThrow(ConnectionError);
});

test('a long rest saves up no more than the most', () => {
  const { take, pass } = patience();
  pass(1e9);
  take(10_000);
  // What it rested before the first counts once.
  take(10_000);
  expect(() => take(1)).toThrow(ConnectionError);
});

test('each answer makes up for ten', () => {
  const { take, answered } = patience();
  take(10_000);
  for (let answer = 0; answer < 5; answer++) answered();
  take(50);
  expect(() => take(1)).toThrow(ConnectionError);
});

test('answers save up no more than the most either', () => {
  const { take, answered } = patience();
  for (let answer = 0; answer < 100; answer++) answered();
  take(10_000);
  expect(() => take(1)).toThrow(ConnectionError);
});
