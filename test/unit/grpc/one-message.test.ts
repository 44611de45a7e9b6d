// Methods that take one message: they are asked once it is sure that no other comes.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { GrpcServer } from '../../../src/grpc/grpc-server.ts';
import { oneMessage } from '../../../src/grpc/stream-call.ts';
import { encodeHeaders } from '../../../src/http2/header-encoder.ts';
import { blockFrame, dataFrame, RawPeer } from '../../support/raw-http2.ts';

const PATH = '/test.Test/One';
const REQUEST = encodeHeaders([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', PATH],
  ['content-type', 'application/grpc'],
]);

const asked: string[] = [];
const server = new GrpcServer({
  maxMessageBytes: 1000,
  maxStreamsPerConnection: 100,
  maxConnectionIdleSeconds: 300,
} as never);
server.addStreams([
  {
    path: PATH,
    open: (call) =>
      oneMessage(
        call,
        (message) => message.toString(),
        (text) => {
          asked.push(text);
          call.end();
        },
        { onDrain() {}, onAbort: () => asked.push('(abort)') },
      ),
  },
]);
let peer: RawPeer;

let port: number;
beforeAll(async () => {
  port = await server.listen('127.0.0.1', 0, {} as never);
});
afterAll(() => server.destroy());
beforeEach(async () => {
  asked.length = 0;
  peer = await RawPeer.open(port);
});
afterEach(() => peer.destroy());

const frame = (text: string): Buffer => Buffer.concat([Buffer.of(0, 0, 0, 0, text.length), Buffer.from(text)]);

test.each([
  ['one', frame('1'), '0', ['1']],
  ['none', Buffer.alloc(0), '12', ['(abort)']],
  ['two', Buffer.concat([frame('1'), frame('2')]), '12', ['(abort)']],
  ['half of one', frame('123').subarray(0, 6), '13', ['(abort)']],
])('%s', async (_, body, status, expected) => {
  peer.send(blockFrame(1, REQUEST), dataFrame(1, body, true));
  const { headers, trailers } = await peer.over(1);
  expect({ ...headers, ...trailers }).toMatchObject({ ':status': '200', 'grpc-status': status });
  expect(asked).toEqual(expected);
});
