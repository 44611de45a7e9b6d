// src/http2 alone, for a conformance suite that knows nothing of gRPC: answers each request, once it is whole, with a short body.
// Says its port on a line.
import { encodeHeaderBlocks } from '../../src/http2/header-encoder.ts';
import { Http2Server } from '../../src/http2/http2-server.ts';

const response = {
  headers: encodeHeaderBlocks([
    [':status', '200'],
    ['content-type', 'text/plain'],
  ]),
  trailers: encodeHeaderBlocks([['x-end', 'yes']]),
};
const BODY = Buffer.from('hello, whoever you are');
const EMPTY = Buffer.alloc(0);

const server = new Http2Server({ maxStreams: 100, maxHeaderListBytes: 65_536, maxIdleMs: 60_000 }, (stream) => {
  stream.listener = {
    onData() {},
    onEnd: () => stream.respond(response, BODY, EMPTY),
    onDrain() {},
    onAbort() {},
  };
});
console.log(await server.listen('127.0.0.1', 0, undefined));
