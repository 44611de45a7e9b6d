// The generator over HTTP/1.1, against Node's own server and against bare sockets that answer as awkwardly as they may.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as NetServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { generateLoad } from '../../../src/bench/generator.ts';
import { Http1Connection, prepareRequests } from '../../../src/bench/http1-connection.ts';
import type { ConnectionOwner } from '../../../src/bench/load-connection.ts';
import type { FlowPlan, LoadPlan } from '../../../src/bench/plan.ts';
import type { FlowReport } from '../../../src/bench/report.ts';
import { INTERNAL, OK, UNAVAILABLE } from '../../../src/bench/status.ts';

const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen(server: Server | NetServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

interface TestServer {
  port: number;
  /** How many connections there were. */
  connections: () => number;
}

async function serve(onCall: (response: ServerResponse, body: string, request: IncomingMessage) => void) {
  let connections = 0;
  const server = createServer((request, response) => {
    expect([request.method, request.url]).toEqual(['POST', '/score']);
    expect(request.headers['content-type']).toBe('application/json');
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => onCall(response, Buffer.concat(pieces).toString(), request));
  });
  server.on('connection', () => connections++);
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: await listen(server), connections: () => connections } satisfies TestServer;
}

/** A server of bare sockets: `onRequest` gets each request, whole, and its number on the connection. */
async function serveBytes(onRequest: (socket: Socket, number: number) => void): Promise<TestServer> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createTcpServer({ noDelay: true }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    let number = 0;
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
      for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
        text = text.slice(end + 1);
        onRequest(socket, number++);
      }
    });
  });
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: await listen(server), connections: () => connections };
}

function flowPlan(changes: Partial<FlowPlan> = {}): FlowPlan {
  return {
    name: 'test',
    protocol: 'http1',
    path: '/score',
    messages: [Buffer.from('{"features":[1]}'), Buffer.from('{"features":[2.5]}')],
    connections: 4,
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

interface Outcome {
  status: number;
  detail: string;
  answer: string | undefined;
}

/** A connection of its own, whose calls can be awaited. */
async function connection(port: number) {
  let tell: (outcome: Outcome) => void = () => {};
  let answer: string | undefined;
  const closed = Promise.withResolvers<void>();
  const owner: ConnectionOwner = {
    finished: (_intended, _done, status, detail) => tell({ status, detail, answer }),
    chunkRead: () => {},
    sampled: (_call, framed) => {
      answer = Buffer.from(framed).toString('latin1', 5);
    },
    closed: () => closed.resolve(),
  };
  const requests = prepareRequests('test', '/score', [Buffer.from('{}')]);
  const opened = await Http1Connection.open({ host: '127.0.0.1', port, requests, owner, sampleEvery: 1 });
  closing.push(() => opened.destroy());
  const call = (): Promise<Outcome> =>
    new Promise((resolve) => {
      tell = resolve;
      answer = undefined;
      expect(opened.send(0, 0)).toBe(true);
    });
  return { opened, call, closed: closed.promise };
}

test('closed loop: answers, and their bytes where sampled, over connections that are kept', async () => {
  const server = await serve((response, body) => response.end(`answer to ${body}`));
  const flow = await load(server.port, flowPlan({ sampleEvery: 1 }));
  expect(flow).toMatchObject({ errors: {}, lostConnections: 0, protocol: 'http1' });
  expect(flow.answers.count).toBeGreaterThan(20);
  const texts = new Set(flow.samples.map(({ message, answer }) => `${message} ${Buffer.from(answer)}`));
  expect(texts).toEqual(new Set(['0 answer to {"features":[1]}', '1 answer to {"features":[2.5]}']));
  expect(server.connections()).toBe(4);
});

test('chunked answers', async () => {
  const server = await serve((response) => {
    response.write('{"score":');
    response.end('0.5}');
  });
  const flow = await load(server.port, flowPlan({ sampleEvery: 1 }));
  expect(flow.errors).toEqual({});
  expect(new Set(flow.samples.map(({ answer }) => Buffer.from(answer).toString()))).toEqual(new Set(['{"score":0.5}']));
});

test('one call at a time on a connection', async () => {
  let open = 0;
  let most = 0;
  const server = await serve((response) => {
    most = Math.max(most, ++open);
    setImmediate(() => {
      open--;
      response.end('{}');
    });
  });
  const flow = await load(server.port, flowPlan({ connections: 2, shape: { kind: 'closed', inFlight: 8 } }));
  expect(flow.errors).toEqual({});
  expect(most).toBe(2);
});

test('open loop: with every connection busy calls are held back, and their time counts from when they were meant to start', async () => {
  const waiting: ServerResponse[] = [];
  let stalled = true;
  const server = await serve((response) => {
    if (!stalled) {
      response.end('{}');
      return;
    }
    waiting.push(response);
    if (waiting.length === 1) {
      setTimeout(() => {
        stalled = false;
        for (const held of waiting) held.end('{}');
      }, 150);
    }
  });
  const arrivals = { process: 'even', ratePerSecond: 100 } as const;
  const flow = await load(
    server.port,
    flowPlan({ connections: 2, shape: { kind: 'open', arrivals, maxInFlight: 100 } }),
  );
  expect(waiting).toHaveLength(2);
  expect(flow.answers.count).toBe(30);
  expect(flow.answers.maxUs).toBeGreaterThan(140_000);
  expect(flow.heldBack).toBeGreaterThan(5);
});

test('open loop: what is never answered is counted', async () => {
  const server = await serve(() => {});
  const arrivals = { process: 'even', ratePerSecond: 100 } as const;
  const flow = await load(server.port, flowPlan({ shape: { kind: 'open', arrivals, maxInFlight: 10 } }), {
    drainSeconds: 0.1,
  });
  expect(flow.errors).toEqual({ NO_ANSWER: 30 });
});

test('error statuses, with what the server says', async () => {
  const statuses = [400, 401, 403, 404, 408, 422, 429, 500, 501, 503, 302];
  let call = 0;
  const server = await serve((response) => {
    const status = statuses[call++ % statuses.length] as number;
    response.writeHead(status).end(`no: ${status}`);
  });
  const flow = await load(server.port, flowPlan());
  expect(Object.keys(flow.errors).sort()).toEqual([
    'DEADLINE_EXCEEDED',
    'INTERNAL',
    'INVALID_ARGUMENT',
    'NOT_FOUND',
    'PERMISSION_DENIED',
    'RESOURCE_EXHAUSTED',
    'UNAUTHENTICATED',
    'UNAVAILABLE',
    'UNIMPLEMENTED',
    'UNKNOWN',
  ]);
  expect(flow.errorDetails.RESOURCE_EXHAUSTED).toBe('HTTP status 429: no: 429');
  expect(flow.answers.count).toBe(0);
  expect(flow.refusals.count).toBe(flow.errors.RESOURCE_EXHAUSTED);
});

test('an answer without a body is none', async () => {
  const server = await serve((response) => response.writeHead(204).end());
  const { call } = await connection(server.port);
  expect(await call()).toMatchObject({ status: INTERNAL, detail: 'HTTP status 204 without a body' });
});

test('an answer that comes a byte at a time; then the next, over the same connection', async () => {
  const bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"score":0.5}';
  const server = await serveBytes((socket, number) => {
    if (number > 0) {
      socket.write(bytes.replace('0.5', '0.7'));
      return;
    }
    const next = (at: number): void => {
      if (at < bytes.length) socket.write(bytes[at] as string, () => setImmediate(next, at + 1));
    };
    next(0);
  });
  const { call } = await connection(server.port);
  expect(await call()).toEqual({ status: OK, detail: '', answer: '{"score":0.5}' });
  expect(await call()).toEqual({ status: OK, detail: '', answer: '{"score":0.7}' });
  expect(server.connections()).toBe(1);
});

test('a server that closes after an answer takes no more calls on that connection', async () => {
  const server = await serveBytes((socket) => {
    socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}');
  });
  const { opened, call, closed } = await connection(server.port);
  expect(await call()).toMatchObject({ status: OK, answer: '{}' });
  await closed;
  expect(opened.send(0, 0)).toBe(false);
});

test('a server that closes without a word: no call is lost, none is taken', async () => {
  const server = await serveBytes((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
    socket.end();
  });
  const { opened, call, closed } = await connection(server.port);
  expect(await call()).toMatchObject({ status: OK });
  await closed;
  expect(opened.send(0, 0)).toBe(false);
});

test('an answer that ends with the connection', async () => {
  const server = await serveBytes((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\n{"score":1}'));
  const { call, closed } = await connection(server.port);
  expect(await call()).toEqual({ status: OK, detail: '', answer: '{"score":1}' });
  await closed;
});

test('a connection that breaks in an answer: the call is UNAVAILABLE', async () => {
  const server = await serveBytes((socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"sc'));
  const { call, closed } = await connection(server.port);
  expect(await call()).toMatchObject({ status: UNAVAILABLE, detail: 'the peer closed the connection' });
  await closed;
});

test('what is no HTTP/1.1 is said', async () => {
  const server = await serveBytes((socket) => void socket.write('hello there\r\n'));
  const { call, closed } = await connection(server.port);
  expect(await call()).toMatchObject({ status: UNAVAILABLE, detail: 'no HTTP/1.1: "hello there"' });
  await closed;
});

test('an answer that nobody asked for ends the connection', async () => {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';
  const server = await serveBytes((socket) => void socket.write(answer + answer));
  const { opened, call, closed } = await connection(server.port);
  expect(await call()).toMatchObject({ status: OK });
  await closed;
  expect(opened.send(0, 0)).toBe(false);
});

test('lost connections are replaced, and the load goes on', async () => {
  let call = 0;
  const server = await serve((response, _, { socket }) => {
    if (++call % 20 === 0) socket.destroy();
    else {
      if (call % 7 === 0) response.setHeader('connection', 'close');
      response.end('{}');
    }
  });
  const flow = await load(server.port, flowPlan());
  expect(Object.keys(flow.errors)).toEqual(['UNAVAILABLE']);
  expect(flow.lostConnections).toBeGreaterThan(2);
  expect(flow.answers.count).toBeGreaterThan(30);
});

test('no server: the run fails and says where', async () => {
  const server = createTcpServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  await expect(load(port, flowPlan())).rejects.toThrow(`127.0.0.1:${port}: `);
});
