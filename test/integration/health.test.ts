// grpc.health.v1 and readiness, before, while and after the server serves.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '../../src/server.ts';
import { eventually } from '../support/concurrently.ts';
import { accepts, freePort } from '../support/free-port.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear, slowLinear } from '../support/onnx-builder.ts';
import { failureOf, TestClient } from '../support/test-client.ts';
import { sumOf, TestServer, testLog, testSettings } from '../support/test-server.ts';
import { parsePrometheus } from '../unit/telemetry/prometheus-parser.ts';

const SERVICES = ['', 'scorewire.v1.ScoringService', 'scorewire.v1.ModelService', 'first', 'second'];

describe('a server that serves', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.start(await modelFolder({ first: linear([1], 0), second: linear([1], 0) }));
  });

  afterAll(() => server.stop());

  test.each(SERVICES)('Check of "%s": SERVING', async (service) => {
    expect(await server.client.check(service)).toBe('SERVING');
  });

  test('Check of what is not there: NOT_FOUND', async () => {
    expect((await failureOf(server.client.check('third'))).code).toBe('NOT_FOUND');
  });

  test('Watch of what is not there: SERVICE_UNKNOWN, and the stream stays', async () => {
    const watch = server.client.watch('third');
    expect((await watch.next()).value).toBe('SERVICE_UNKNOWN');
    const more = Promise.race([watch.next(), server.client.check().then(() => 'still open')]);
    expect(await more).toBe('still open');
  });

  test('streams that were cancelled are forgotten', async () => {
    for (let i = 0; i < 50; i++) {
      const watch = server.client.watch();
      expect((await watch.next()).value).toBe('SERVING');
      await watch.return(undefined);
    }
    expect(await server.client.check()).toBe('SERVING');
  });
});

test('NOT_SERVING until every worker has every model, warm; then SERVING', async () => {
  const workers = 2;
  // Takes long enough to warm up for callers to find the door closed.
  const folder = await modelFolder({
    slow: [slowLinear([1], 0, 30_000), 'batching: { enabled: false }'],
    fast: linear([1], 0),
  });
  const port = await freePort();
  const httpPort = await freePort();
  const { log } = testLog();
  const settings = testSettings(folder, [
    `server.port=${port}`,
    `server.http_port=${httpPort}`,
    `workers.count=${workers}`,
  ]);
  const starting = startServer(settings, log);
  // The port is there before the models are.
  await eventually(() => accepts(port));
  const client = new TestClient(`127.0.0.1:${port}`);
  const http = (path: string) => fetch(`http://127.0.0.1:${httpPort}${path}`);
  try {
    const watched = ['', 'slow', 'fast'].map((service) => client.watch(service));
    for (const watch of watched) expect((await watch.next()).value).toBe('NOT_SERVING');
    expect(await client.check('slow')).toBe('NOT_SERVING');
    const ready = await http('/readyz');
    expect([ready.status, await ready.text()]).toEqual([503, 'STARTING\n']);
    expect((await http('/livez')).status).toBe(200);
    expect(await failureOf(client.score('fast', [1]))).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_READY' });
    expect(await failureOf(client.getModel('fast'))).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_READY' });
    expect(await failureOf(client.listModels())).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_READY' });
    const page = await http('/');
    expect(await page.text()).toContain('STARTING');

    for (const watch of watched) expect((await watch.next()).value).toBe('SERVING');
    const samples = [...parsePrometheus(await (await http('/metrics')).text()).values()].flatMap((one) => one.samples);
    for (const model of ['slow', 'fast']) {
      expect(sumOf(samples, 'scorewire_sessions_created_total', { model })).toBe(workers);
    }
    expect(sumOf(samples, 'scorewire_workers', { state: 'ready' })).toBe(workers);
    expect((await http('/readyz')).status).toBe(200);
    expect((await client.score('fast', [0])).score).toBe(0.5);
    for (const watch of watched) await watch.return(undefined);
  } finally {
    client.close();
    await (await starting).drain();
  }
});

test('draining: watchers hear NOT_SERVING, then their streams end and the port is free', async () => {
  const server = await TestServer.start(await modelFolder({ first: linear([1], 0) }));
  const seen = ['', 'first', 'scorewire.v1.ScoringService'].map(async (service) => {
    const statuses: string[] = [];
    for await (const status of server.client.watch(service)) {
      statuses.push(status);
      if (statuses.length === 1 && service === '') void server.running.drain();
    }
    return statuses;
  });
  for (const statuses of await Promise.all(seen)) expect(statuses).toEqual(['SERVING', 'NOT_SERVING']);
  expect(await server.running.drain()).toBe(true);
  expect((await failureOf(server.client.check())).code).toBe('UNAVAILABLE');
  await expect(server.http('/readyz')).rejects.toThrow();
  await server.stop();
});

test('while the drain is put off, health says NOT_SERVING and calls are answered', async () => {
  const server = await TestServer.start(await modelFolder({ first: linear([1], 0) }), ['drain.delay_ms=800']);
  const drained = server.running.drain();
  let answered = 0;
  expect(await server.client.check()).toBe('NOT_SERVING');
  expect(await server.http('/readyz')).toMatchObject({ status: 503, body: 'DRAINING\n' });
  while (answered < 5) {
    expect((await server.client.score('first', [0])).score).toBe(0.5);
    answered++;
  }
  expect(await drained).toBe(true);
  await server.stop();
});
