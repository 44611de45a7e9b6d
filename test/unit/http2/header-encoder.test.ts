// What is encoded once is read back by Node's own client, whatever table it offers.
import http2 from 'node:http2';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FrameType, SettingId, settingsFrame } from '../../../src/http2/frames.ts';
import { encodeHeaderBlocks, encodeHeaders, type HeaderField } from '../../../src/http2/header-encoder.ts';
import type { PreparedResponse } from '../../../src/http2/stream.ts';
import { EMPTY, Http2Port, RESPONSE, Recorder } from '../../support/http2-port.ts';
import { headersFrame, RawPeer } from '../../support/raw-http2.ts';

const HEADERS: readonly HeaderField[] = [
  [':status', '200'],
  ['content-type', 'application/grpc+proto'],
  ['x-long', 'l'.repeat(300)],
  ['date', 'never'],
  ['grpc-accept-encoding', 'identity,deflate,gzip'],
];
const TRAILERS: readonly HeaderField[] = [
  ['grpc-status', '0'],
  ['grpc-message', ''],
];

function prepare(headers: readonly HeaderField[], trailers: readonly HeaderField[]): PreparedResponse {
  const last = encodeHeaderBlocks(trailers);
  return { headers: encodeHeaderBlocks(headers, last.tableEntries), trailers: last };
}

let port: Http2Port;
let client: http2.ClientHttp2Session | undefined;

beforeEach(async () => {
  port = await Http2Port.open();
});
afterEach(() => {
  client?.destroy();
  client = undefined;
  port.destroy();
});

function serve(response: PreparedResponse, body = Buffer.from('body')): void {
  port.serve = (stream) => new Recorder(stream, { onEnd: () => stream.respond(response, EMPTY, body) });
}

async function ask(session: http2.ClientHttp2Session): Promise<{ headers: object; trailers: object; body: string }> {
  const request = session.request({ ':method': 'POST' });
  const found = { headers: {}, trailers: {}, body: '' };
  request.on('response', (headers) => {
    found.headers = plain(headers);
  });
  request.on('trailers', (headers) => {
    found.trailers = plain(headers);
  });
  request.on('data', (chunk) => {
    found.body += chunk;
  });
  request.end('x');
  await new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('close', resolve);
  });
  return found;
}

const plain = (headers: http2.IncomingHttpHeaders): object =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
const expected = {
  headers: Object.fromEntries(HEADERS),
  trailers: Object.fromEntries(TRAILERS),
  body: 'body',
};

async function changeTable(session: http2.ClientHttp2Session, headerTableSize: number): Promise<void> {
  await new Promise<void>((resolve) => session.settings({ headerTableSize }, () => resolve()));
}

describe('a client whose table has', () => {
  test.each([undefined, 0, 1, 100, 600, 4096, 65_536])('%s bytes', async (headerTableSize) => {
    serve(prepare(HEADERS, TRAILERS));
    client = http2.connect(`http://127.0.0.1:${port.port}`, {
      settings: headerTableSize === undefined ? {} : { headerTableSize },
    });
    for (let times = 0; times < 5; times++) expect(await ask(client)).toEqual(expected);
  });

  test.each([
    [4096, 0],
    [4096, 0, 4096],
    [4096, 0, 0, 4096, 100],
    [0, 4096],
    [100, 8192, 50, 4096],
    [65_536, 4096, 65_536],
  ])('%i, then %i bytes, and so on', async (first, ...later) => {
    serve(prepare(HEADERS, TRAILERS));
    client = http2.connect(`http://127.0.0.1:${port.port}`, { settings: { headerTableSize: first } });
    for (const size of [...later, undefined]) {
      for (let times = 0; times < 3; times++) expect(await ask(client)).toEqual(expected);
      if (size !== undefined) await changeTable(client, size);
    }
  });
});

test('several responses, prepared or not, large or not, one after the other and all at once', async () => {
  const first = prepare(HEADERS, TRAILERS);
  const second = prepare([...HEADERS, ['x-other', 'yes']], TRAILERS);
  const error = encodeHeaders([
    [':status', '200'],
    ['grpc-status', '5'],
    ['grpc-message', 'nothing there'],
  ]);
  const large = Buffer.alloc(20_000, 'x');
  let asked = 0;
  port.serve = (stream) =>
    new Recorder(stream, {
      onEnd: () => {
        const which = asked++ % 5;
        if (which === 0 || which === 2) stream.respond(first, EMPTY, Buffer.from('body'));
        else if (which === 1) stream.respond(second, EMPTY, Buffer.from('body'));
        else if (which === 3) stream.headers(error, true);
        else stream.respond(first, EMPTY, large);
      },
    });
  client = http2.connect(`http://127.0.0.1:${port.port}`);
  const session = client;
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(session)));
  const withOther = { ...expected, headers: { ...expected.headers, 'x-other': 'yes' } };
  const withLarge = { ...expected, body: large.toString() };
  const failed = {
    headers: { ':status': '200', 'grpc-status': '5', 'grpc-message': 'nothing there' },
    trailers: {},
    body: '',
  };
  expect(answers).toEqual(answers.map((_, index) => [expected, withOther, expected, failed, withLarge][index % 5]));
});

test('any fields', async () => {
  client = http2.connect(`http://127.0.0.1:${port.port}`);
  const session = client;
  const name = fc.stringMatching(/^x-[a-z0-9-]{1,20}$/);
  const value = fc.stringMatching(/^[!-~]([ -~]{0,300}[!-~])?$/);
  const fields = fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fields, fields, async (headers, trailers) => {
      const all: HeaderField[] = [[':status', '200'], ...headers];
      const response = prepare(all, [['x-end', ''], ...trailers]);
      serve(response);
      for (let times = 0; times < 3; times++) {
        const found = await ask(session);
        expect(found.headers).toEqual(Object.fromEntries(all));
        expect(found.trailers).toEqual(Object.fromEntries([['x-end', ''], ...trailers]));
      }
    }),
    { numRuns: 30 },
  );
});

test('a connection’s first response fills the table, later ones are indices', async () => {
  const peer = await RawPeer.open(port.port);
  for (const id of [1, 3, 5]) {
    peer.send(headersFrame(id, [], true));
    await peer.over(id);
  }
  const blocksOf = (id: number): Buffer[] =>
    peer.frames.filter((frame) => frame.type === FrameType.headers && frame.id === id).map(({ payload }) => payload);
  const { headers, trailers } = RESPONSE;
  expect(blocksOf(1)).toEqual([Buffer.from(headers.opening), Buffer.from(trailers.opening)]);
  for (const id of [3, 5]) expect(blocksOf(id)).toEqual([Buffer.from(headers.indexed), Buffer.from(trailers.indexed)]);
  peer.destroy();
});

test('a table that was smaller for a moment only is said to be empty nonetheless', async () => {
  const peer = await RawPeer.open(port.port);
  peer.send(headersFrame(1, [], true));
  await peer.over(1);
  peer.send(
    settingsFrame([
      [SettingId.headerTableSize, 0],
      [SettingId.headerTableSize, 4096],
    ]),
    headersFrame(3, [], true),
  );
  await peer.over(3);
  const [first] = peer.frames.filter(({ type, id }) => type === FrameType.headers && id === 3);
  expect(first?.payload[0]).toBe(0x20);
  expect(peer.stream(3)).toMatchObject({ headers: { 'x-begin': 'yes' }, trailers: { 'x-end': 'yes' } });
  peer.destroy();
});

test('headers longer than a frame go on in the next', async () => {
  const fields: HeaderField[] = [
    [':status', '200'],
    ...Array.from({ length: 4 }, (_, at): HeaderField => [`x-${at}`, 'y'.repeat(9000)]),
  ];
  const block = encodeHeaders(fields);
  port.serve = (stream) => new Recorder(stream, { onEnd: () => stream.headers(block, true) });
  const peer = await RawPeer.open(port.port);
  peer.send(headersFrame(1, [], true));
  await peer.find(FrameType.continuation, ({ flags }) => flags === 0x4);
  const parts = peer.frames.filter(({ id }) => id === 1);
  expect(parts.map(({ type, flags, payload }) => [type, flags, payload.length])).toEqual([
    [FrameType.headers, 0x1, 16_384],
    [FrameType.continuation, 0, 16_384],
    [FrameType.continuation, 0x4, block.length - 2 * 16_384],
  ]);
  expect(Buffer.concat(parts.map(({ payload }) => payload))).toEqual(Buffer.from(block));
  peer.destroy();
});
