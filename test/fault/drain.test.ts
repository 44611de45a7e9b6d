// Signals to a real process: what is under way is answered, nothing is lost, and it ends.

import http2 from 'node:http2';
import { connect } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { Command, serve } from '../support/command.ts';
import { eventually } from '../support/concurrently.ts';
import { accepts, freePort } from '../support/free-port.ts';
import { modelFolder } from '../support/model-folder.ts';
import { gatherRow, linear, slowLinear } from '../support/onnx-builder.ts';
import { type Failure, TestClient, takeApart } from '../support/test-client.ts';
import { sumOf } from '../support/test-server.ts';
import { parsePrometheus } from '../unit/telemetry/prometheus-parser.ts';

const clients: TestClient[] = [];

afterAll(() => {
  for (const client of clients) client.close();
});

function newClient(address: string): TestClient {
  const client = new TestClient(address);
  clients.push(client);
  return client;
}

/** Runs of `slow` take some 30 ms a row, one row each. */
const models = () =>
  modelFolder({
    fast: linear([1], 0),
    gather: gatherRow(),
    slow: [slowLinear([1], 0, 6000), 'batching: { enabled: false }'],
  });
const PATIENT = ['batching.latency_budget_ms=60000', 'workers.count=1'];

type Outcome = 'OK' | Failure;

const outcomeOf = (call: Promise<unknown>): Promise<Outcome> =>
  call.then(
    () => 'OK' as const,
    (error) => takeApart(error),
  );

async function inFlight(http: string): Promise<number> {
  const text = await (await fetch(`${http}/metrics`)).text();
  return sumOf(
    [...parsePrometheus(text).values()].flatMap(({ samples }) => samples),
    'scorewire_calls_in_flight',
  );
}

/** So many calls of the slow model, all of them with the server. */
async function slowCalls(address: string, http: string, count: number): Promise<Promise<Outcome>[]> {
  const client = newClient(address);
  let settled = 0;
  const calls = Array.from({ length: count }, () =>
    outcomeOf(client.score('slow', [0])).finally(() => {
      settled++;
    }),
  );
  await eventually(async () => (await inFlight(http)) + settled >= count);
  return calls;
}

/** A call that the server waits for: its message never comes. */
async function unfinishedCall(address: string): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`http://${address}`);
  session.on('error', () => {});
  const stream = session.request({
    ':method': 'POST',
    ':path': '/scorewire.v1.ScoringService/Score',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  // An answer to a ping says that the server has read what came before it.
  await new Promise((resolve) => session.ping(resolve));
  return session;
}

// At once, since each of them mostly waits for a process to start.
describe.concurrent('a signal', () => {
  test.each([
    ['SIGTERM', ['SIGTERM']],
    // As a terminal signals the whole group, and npm in it passes the signal on.
    ['SIGINT that comes three times at once', ['SIGINT', 'SIGINT', 'SIGINT']],
  ] as const)('%s: what the server has is answered, exit 0', async (_, signals) => {
    const { command, address, http } = await serve(await models(), PATIENT);
    const watch = newClient(address).watch();
    expect((await watch.next()).value).toBe('SERVING');
    const calls = await slowCalls(address, http, 12);
    for (const signal of signals) command.signal(signal);
    expect((await watch.next()).value).toBe('NOT_SERVING');
    expect((await watch.next()).done).toBe(true);
    expect(await Promise.all(calls)).toEqual(new Array(12).fill('OK'));
    expect(await command.ended).toEqual({ code: 0, signal: null });
    expect(command.stderr).toBe('');
    expect(command.log.at(-1)?.msg).toBe('drained: every call was answered');
  });

  test('SIGTERM under load: every call is answered or told to go elsewhere', async () => {
    const { command, address } = await serve(await models(), PATIENT);
    const tally = { ok: 0, unavailable: 0, other: [] as Outcome[] };
    let stopped = false;
    const lanes = Array.from({ length: 32 }, async (_, lane) => {
      const client = newClient(address);
      while (!stopped) {
        const outcome = await outcomeOf(client.score(lane % 8 === 0 ? 'slow' : 'fast', [0]));
        if (outcome === 'OK') tally.ok++;
        else if (outcome.code === 'UNAVAILABLE') {
          tally.unavailable++;
          return;
        } else tally.other.push(outcome);
      }
    });
    await eventually(() => tally.ok > 300);
    command.signal('SIGTERM');
    expect(await command.ended).toEqual({ code: 0, signal: null });
    stopped = true;
    await Promise.all(lanes);
    expect(tally.other).toEqual([]);
    expect(command.log.at(-1)?.msg).toBe('drained: every call was answered');
  });

  test('connections on which nothing happens hold nobody up', async () => {
    const { command, address, http } = await serve(await models(), [...PATIENT, 'drain.timeout_ms=600000']);
    const [host, port] = address.split(':') as [string, string];
    const silent = connect(Number(port), host);
    const silentHttp = connect(Number(new URL(http).port), host);
    for (const socket of [silent, silentHttp]) socket.on('error', () => {}).resume();
    const idle = http2.connect(`http://${address}`);
    idle.on('error', () => {});
    await new Promise((resolve) => idle.once('connect', resolve));
    const client = newClient(address);
    expect((await client.score('fast', [0])).score).toBe(0.5);
    expect((await fetch(`${http}/livez`, { keepalive: true })).status).toBe(200);
    command.signal('SIGTERM');
    expect(await command.ended).toEqual({ code: 0, signal: null });
    for (const socket of [silent, silentHttp]) socket.destroy();
    idle.destroy();
  });

  test('a drain whose time is over: who is left is told so, exit 0', async () => {
    const { command, address, http } = await serve(await models(), [...PATIENT, 'drain.timeout_ms=100']);
    const calls = await slowCalls(address, http, 40);
    command.signal('SIGTERM');
    const outcomes = await Promise.all(calls);
    const failures = outcomes.filter((outcome) => outcome !== 'OK');
    expect(failures.length).toBeGreaterThan(0);
    for (const failure of failures) expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'DRAINING' });
    expect(await command.ended).toEqual({ code: 0, signal: null });
    expect(command.log.at(-1)?.msg).toBe('the drain took too long: calls that were left got UNAVAILABLE');
    expect(command.stderr).toBe('');
  });

  test('a second signal ends it at once', async () => {
    const { command, address, http } = await serve(await models(), PATIENT);
    const calls = await slowCalls(address, http, 60);
    command.signal('SIGTERM');
    await command.logged(/^draining/);
    // Two in quick succession count as one, so this takes a few.
    const again = setInterval(() => command.signal('SIGTERM'), 20);
    expect(await command.ended).toEqual({ code: null, signal: 'SIGKILL' });
    clearInterval(again);
    expect(command.log.map(({ msg }) => msg)).toContain('a second signal: ending at once');
    for (const outcome of await Promise.all(calls)) {
      if (outcome !== 'OK') expect(outcome.code).toBe('UNAVAILABLE');
    }
  });

  test('neither a call whose message never comes nor a peer that is frozen outlasts the time of the drain', async () => {
    const { command, address } = await serve(await models(), [...PATIENT, 'drain.timeout_ms=100']);
    const session = await unfinishedCall(address);
    const [host, port] = address.split(':') as [string, string];
    // Never reads, and so never sees that the server hangs up.
    const frozen = connect(Number(port), host);
    await new Promise((resolve) => frozen.once('connect', resolve));
    expect((await newClient(address).score('fast', [0])).score).toBe(0.5);
    command.signal('SIGTERM');
    expect(await command.ended).toEqual({ code: 0, signal: null });
    session.destroy();
    frozen.destroy();
  });

  test('SIGTERM as soon as it says SERVING drains as well', async () => {
    const { command } = await serve(await models(), PATIENT);
    command.signal('SIGTERM');
    expect(await command.ended).toEqual({ code: 0, signal: null });
  });

  test('SIGTERM while it loads its models ends it, without an abort', async () => {
    const port = await freePort();
    const command = new Command(['serve', '--models', await models(), '--port', String(port), '--http-port', 'off']);
    await eventually(() => accepts(port));
    command.signal('SIGTERM');
    expect(await command.ended).toEqual({ code: null, signal: 'SIGTERM' });
    expect(command.stderr).toBe('');
  });

  test('a log that nobody reads any more takes nobody down', async () => {
    const { command, address } = await serve(await models(), PATIENT);
    command.hangUp();
    // Each of them writes to the log.
    const client = newClient(address);
    for (let i = 0; i < 3; i++)
      expect(await outcomeOf(client.score('gather', [99]))).toMatchObject({ code: 'INTERNAL' });
    expect((await client.score('fast', [0])).score).toBe(0.5);
    command.signal('SIGTERM');
    expect(await command.ended).toEqual({ code: 0, signal: null });
  });
});
