// The reader of HTTP/1.1 answers, on bytes cut anywhere.

import { expect, test } from 'vitest';
import { AnswerReader } from '../../../src/bench/http1-reader.ts';

interface Answer {
  status: number;
  body: string;
  bodyBytes: number;
  keepAlive: boolean;
}

/** What a reader makes of the text, given `chunkBytes` at a time; the chunks' buffer holds other bytes behind them. */
function read(text: string, chunkBytes: number, closed = false): Answer[] {
  const answers: Answer[] = [];
  let body = '';
  const reader = new AnswerReader({
    body(_, bytes, start, end) {
      body += bytes.toString('latin1', start, end);
    },
    answered(status, bodyBytes, keepAlive) {
      answers.push({ status, body, bodyBytes, keepAlive });
      body = '';
    },
  });
  const bytes = Buffer.from(text, 'latin1');
  const buffer = Buffer.alloc(chunkBytes + 20, '\r\n');
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    reader.read(buffer, bytes.copy(buffer, 0, at, at + chunkBytes));
  }
  if (closed) reader.close();
  return answers;
}

const OK_HEAD = 'HTTP/1.1 200 OK\r\n';

test.each([1, 2, 3, 7, 31, 1000])('answers of every form, %i bytes at a time', (chunkBytes) => {
  const text = [
    `${OK_HEAD}date: today\r\ncontent-length: 5\r\n\r\n{"a"}`,
    `${OK_HEAD}Content-Length:\t12 \r\nCONNECTION: Keep-Alive\r\n\r\nline\r\n\r\nline`,
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422 \r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 204 No Content\r\n\r\n',
    `${OK_HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\nB;name=value\r\npedia\r\nand \r\n0\r\nx-trailer: 1\r\n\r\n`,
    `${OK_HEAD}connection: close\r\ncontent-length: 2\r\n\r\nok`,
  ];
  expect(read(text.join(''), chunkBytes)).toEqual([
    { status: 200, body: '{"a"}', bodyBytes: 5, keepAlive: true },
    { status: 200, body: 'line\r\n\r\nline', bodyBytes: 12, keepAlive: true },
    { status: 422, body: '', bodyBytes: 0, keepAlive: true },
    { status: 204, body: '', bodyBytes: 0, keepAlive: true },
    { status: 200, body: 'wikipedia\r\nand ', bodyBytes: 15, keepAlive: true },
    { status: 200, body: 'ok', bodyBytes: 2, keepAlive: false },
  ]);
});

test('a body without a length ends with the connection', () => {
  const text = `${OK_HEAD}content-type: text/plain\r\n\r\nall that there is`;
  expect(read(text, 5)).toEqual([]);
  expect(read(text, 5, true)).toEqual([{ status: 200, body: 'all that there is', bodyBytes: 17, keepAlive: false }]);
});

test('a body that breaks off is no answer', () => {
  expect(read(`${OK_HEAD}content-length: 10\r\n\r\nhalf`, 5, true)).toEqual([]);
});

test('HTTP/1.0 goes on only where it says so', () => {
  const answer = (head: string) => read(`HTTP/1.0 200 OK\r\n${head}content-length: 1\r\n\r\nx`, 9)[0]?.keepAlive;
  expect([answer(''), answer('Connection: keep-alive\r\n')]).toEqual([false, true]);
});

test('headers whose names only begin like those that count', () => {
  const text = `${OK_HEAD}content-length-x: 9\r\nx-content-length: 9\r\nconnectionless: close\r\ncontent-length: 1\r\n\r\nx`;
  expect(read(text, 4)).toEqual([{ status: 200, body: 'x', bodyBytes: 1, keepAlive: true }]);
});

test.each([
  ['SSH-2.0-OpenSSH_9.9\r\n', /no HTTP\/1\.1: "SSH-2\.0/],
  ['HTTP/2 200\r\n', /no HTTP\/1\.1/],
  ['HTTP/1.1 2x0 OK\r\n', /no HTTP\/1\.1/],
  ['HTTP/1.1\r\n', /no HTTP\/1\.1/],
  [`${OK_HEAD}content-length: many\r\n\r\n`, /content-length/],
  [`${OK_HEAD}content-length:\r\n\r\n`, /content-length/],
  [`${OK_HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`, /chunk/],
  [`${OK_HEAD}transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n`, /longer than it says/],
  [`${OK_HEAD}x: ${'y'.repeat(20_000)}\r\n`, /a header of more than 16384 bytes/],
])('%j is refused', (text, message) => {
  expect(() => read(text, 6)).toThrow(message);
});
