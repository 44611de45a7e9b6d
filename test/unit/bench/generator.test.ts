// The generator against servers that it was not written with: Node's own HTTP/2, made to answer as gRPC servers do and to be
// as awkward as HTTP/2 allows.

import {
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { generateLoad } from '../../../src/bench/generator.ts';
import type { FlowPlan, LoadPlan } from '../../../src/bench/plan.ts';
import type { FlowReport } from '../../../src/bench/report.ts';

const servers: Http2Server[] = [];
const sessions = new Set<ServerHttp2Session>();

afterEach(() => {
  for (const session of sessions) session.destroy();
  sessions.clear();
  for (const server of servers.splice(0)) server.close();
});

async function serve(
  onCall: (stream: ServerHttp2Stream, request: Buffer) => void,
  settings: Settings = {},
): Promise<number> {
  const server = createServer({ settings });
  servers.push(server);
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    expect(headers[':path']).toBe('/test.Service/Call');
    expect(headers.te).toBe('trailers');
    const pieces: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => onCall(stream, Buffer.concat(pieces)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Answers like a gRPC server, with the request as the answer's message. */
function answer(
  stream: ServerHttp2Stream,
  message: Buffer,
  trailers: Record<string, string> = { 'grpc-status': '0' },
): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(message);
}

function flowPlan(changes: Partial<FlowPlan> = {}): FlowPlan {
  return {
    name: 'test',
    path: '/test.Service/Call',
    messages: [Buffer.from('one'), Buffer.from('two!')],
    connections: 1,
    shape: { kind: 'closed', inFlight: 4 },
    sampleEvery: 0,
    ...changes,
  };
}

async function load(port: number, flow: FlowPlan, changes: Partial<LoadPlan> = {}): Promise<FlowReport> {
  const plan = { host: '127.0.0.1', port, warmUpSeconds: 0, seconds: 0.3, drainSeconds: 1, serverPids: [], ...changes };
  const report = await generateLoad({ ...plan, flows: [flow] });
  return report.flows[0] as FlowReport;
}

test('closed loop: answers, and their bytes where sampled', async () => {
  const port = await serve((stream, request) => answer(stream, request));
  const flow = await load(port, flowPlan({ sampleEvery: 1, connections: 2 }));
  expect(flow.errors).toEqual({});
  expect(flow.answers.count).toBeGreaterThan(20);
  expect(flow.answeredPerSecond).toBeGreaterThan(60);
  const texts = new Set(flow.samples.map(({ message, answer }) => `${message} ${Buffer.from(answer)}`));
  expect(texts).toEqual(new Set(['0 one', '1 two!']));
});

test('open loop: every call that was meant to start is accounted for', async () => {
  const port = await serve((stream, request) => answer(stream, request));
  const arrivals = { process: 'even', ratePerSecond: 200 } as const;
  const flow = await load(port, flowPlan({ shape: { kind: 'open', arrivals, maxInFlight: 100 } }));
  expect(flow.calls).toBe(60);
  expect(flow.answers.count).toBe(60);
  expect(flow.lateness?.count).toBe(60);
});

test('open loop: a stall of the server is in the latency of every call that it delays', async () => {
  let stalled = false;
  const port = await serve(
    (stream, request) => {
      if (!stalled) {
        stalled = true;
        setTimeout(() => answer(stream, request), 150);
        return;
      }
      answer(stream, request);
    },
    { maxConcurrentStreams: 1 },
  );
  const arrivals = { process: 'even', ratePerSecond: 100 } as const;
  const flow = await load(port, flowPlan({ shape: { kind: 'open', arrivals, maxInFlight: 100 } }));
  expect(flow.answers.count).toBe(30);
  expect(flow.answers.maxUs).toBeGreaterThan(140_000);
  expect(flow.heldBack).toBeGreaterThan(5);
});

test('open loop: what is never answered is counted', async () => {
  const port = await serve(() => {});
  const arrivals = { process: 'even', ratePerSecond: 100 } as const;
  const flow = await load(port, flowPlan({ shape: { kind: 'open', arrivals, maxInFlight: 10 } }), {
    drainSeconds: 0.1,
  });
  expect(flow.errors).toEqual({ NO_ANSWER: 30 });
});

test('statuses in trailers, in trailers-only answers, and instead of gRPC', async () => {
  let call = 0;
  const port = await serve((stream, request) => {
    switch (call++ % 4) {
      case 0:
        return answer(stream, request, { 'grpc-status': '13', 'grpc-message': 'a%20fault' });
      case 1:
        return stream.respond({ ':status': 200, 'grpc-status': '8', 'grpc-message': 'full' }, { endStream: true });
      case 2:
        return stream.respond({ ':status': 503 }, { endStream: true });
      default:
        stream.respond({ ':status': 404, 'content-type': 'text/html' });
        return stream.end('<html>');
    }
  });
  const flow = await load(port, flowPlan());
  expect(Object.keys(flow.errors).sort()).toEqual(['INTERNAL', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE', 'UNKNOWN']);
  expect(flow.errorDetails.INTERNAL).toBe('a fault');
  expect(flow.errorDetails.RESOURCE_EXHAUSTED).toBe('full');
  expect(flow.answers.count).toBe(0);
  expect(flow.refusals.count).toBe(flow.errors.RESOURCE_EXHAUSTED);
});

test('an OK without a message is no answer', async () => {
  const port = await serve((stream) => answer(stream, Buffer.alloc(0)));
  const flow = await load(port, flowPlan());
  expect(Object.keys(flow.errors)).toEqual(['INTERNAL']);
});

test('resets are errors, and the load goes on', async () => {
  let call = 0;
  const port = await serve((stream, request) => {
    if (call++ % 2 === 0) stream.close(8);
    else answer(stream, request);
  });
  const flow = await load(port, flowPlan());
  expect(flow.errors.CANCELLED).toBeGreaterThan(10);
  expect(flow.answers.count).toBeGreaterThan(10);
});

test('trailers that take several frames', async () => {
  const details = 'x'.repeat(20_000);
  const port = await serve((stream, request) => answer(stream, request, { details, 'grpc-status': '3' }));
  const flow = await load(port, flowPlan());
  expect(Object.keys(flow.errors)).toEqual(['INVALID_ARGUMENT']);
});

test('a message of several frames, answered with as much', async () => {
  const message = Buffer.alloc(50_000, 'y');
  const port = await serve((stream, request) => answer(stream, request));
  const flow = await load(port, flowPlan({ messages: [message], sampleEvery: 1 }));
  expect(flow.errors).toEqual({});
  expect(Buffer.from(flow.samples[0]?.answer ?? []).equals(message)).toBe(true);
});

test('the connection window of the peer holds calls back and lets them go on', async () => {
  const message = Buffer.alloc(30_000, 'z');
  const port = await serve((stream, request) => answer(stream, request));
  const flow = await load(port, flowPlan({ messages: [message], shape: { kind: 'closed', inFlight: 50 } }));
  expect(flow.errors).toEqual({});
  expect(flow.answers.count).toBeGreaterThan(50);
});

test('the peer says how many streams it takes', async () => {
  let open = 0;
  let most = 0;
  const port = await serve(
    (stream, request) => {
      open++;
      most = Math.max(most, open);
      stream.on('close', () => open--);
      setTimeout(() => answer(stream, request), 1);
    },
    { maxConcurrentStreams: 3 },
  );
  const flow = await load(port, flowPlan({ shape: { kind: 'closed', inFlight: 20 } }));
  expect(flow.errors).toEqual({});
  expect(most).toBeLessThanOrEqual(3);
});

test.each([0, 100, 65_536])('a peer with a dynamic table of %i bytes', async (headerTableSize) => {
  const port = await serve((stream, request) => answer(stream, request), { headerTableSize });
  const flow = await load(port, flowPlan());
  expect(flow.errors).toEqual({});
  expect(flow.answers.count).toBeGreaterThan(20);
});

test('a message beyond the stream window is refused with a reason', async () => {
  const port = await serve((stream, request) => answer(stream, request), { initialWindowSize: 1_000 });
  await expect(load(port, flowPlan({ messages: [Buffer.alloc(2_000)] }))).rejects.toThrow(/window of 1000/);
});

test('GOAWAY: calls in flight are answered, a new connection takes over', async () => {
  let call = 0;
  const port = await serve((stream, request) => {
    if (++call % 50 === 0) stream.session?.close();
    answer(stream, request);
  });
  const flow = await load(port, flowPlan());
  expect(flow.lostConnections).toBeGreaterThan(0);
  expect(flow.answers.count).toBeGreaterThan(100);
});

test('a connection that breaks: its calls are UNAVAILABLE, a new one takes over', async () => {
  let call = 0;
  const port = await serve((stream, request) => {
    if (++call === 20) stream.session?.destroy();
    else answer(stream, request);
  });
  const flow = await load(port, flowPlan());
  expect(flow.errors.UNAVAILABLE).toBeGreaterThan(0);
  expect(flow.answers.count).toBeGreaterThan(30);
});

test('no server: the run fails and says where', async () => {
  const port = await serve(() => {});
  await new Promise((resolve) => servers.splice(0)[0]?.close(resolve));
  await expect(load(port, flowPlan())).rejects.toThrow(`127.0.0.1:${port}`);
});

test('two flows at once have figures of their own', async () => {
  const port = await serve((stream, request) => answer(stream, request));
  const report = await generateLoad({
    host: '127.0.0.1',
    port,
    warmUpSeconds: 0,
    seconds: 0.2,
    drainSeconds: 1,
    serverPids: [process.pid],
    flows: [
      flowPlan({ name: 'a' }),
      flowPlan({
        name: 'b',
        shape: { kind: 'open', arrivals: { process: 'even', ratePerSecond: 100 }, maxInFlight: 9 },
      }),
    ],
  });
  expect(report.flows.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(report.flows[0]?.calls).toBeGreaterThan(20);
  expect(report.flows[1]?.calls).toBe(20);
  expect(report.client.spins).toBe(true);
});

test('a plan that can not be is refused', async () => {
  await expect(load(1, flowPlan({ messages: [] }))).rejects.toThrow(RangeError);
  await expect(load(1, flowPlan(), { seconds: 0 })).rejects.toThrow(/seconds/);
});
