// The HTTP port of a running server: metrics that a scraper takes, liveness, readiness, the status page.

import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concurrently } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { gatherRow, linear, meanOverBatch } from '../support/onnx-builder.ts';
import { failureOf, TestClient } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  const folder = await modelFolder({
    risk: linear([1], 0),
    gather: [gatherRow(), 'task: regression'],
    company: meanOverBatch(),
  });
  server = await TestServer.start(folder);
});

afterAll(() => server.stop());

test('/livez and /readyz', async () => {
  expect(await server.http('/livez')).toMatchObject({ status: 200, body: 'alive\n' });
  expect(await server.http('/readyz')).toMatchObject({ status: 200, body: 'SERVING\n' });
});

describe('/metrics', () => {
  test('counts calls, rows, batches and scores, by model', async () => {
    const labels = { model: 'risk' };
    const calls = () => server.metric('rpc_server_call_duration_seconds_count', { ...labels, rpc_status_code: 'OK' });
    const before = await calls();
    await concurrently(32, Array.from({ length: 200 }), (_, i) => server.client.score('risk', [i / 100]));
    expect((await calls()) - before).toBe(200);

    const samples = await server.samples();
    const of = (name: string) =>
      samples.filter((sample) => sample.name === name && sample.labels.model === 'risk').map(({ value }) => value);
    expect(of('scorewire_batch_rows_sum')).toEqual([before + 200]);
    expect(of('scorewire_queue_duration_seconds_count')).toEqual([before + 200]);
    expect(of('scorewire_feature_duration_seconds_count')).toEqual([before + 200]);
    expect(of('scorewire_score_probability_count')).toEqual([before + 200]);
    expect(of('scorewire_inference_duration_seconds_count')).toEqual(of('scorewire_batch_rows_count'));
    // Every score was 0.5 or more.
    const low = samples.find(
      ({ name, labels: { model, le } }) =>
        name === 'scorewire_score_probability_bucket' && model === 'risk' && le === '0.45',
    );
    expect(low?.value).toBe(0);
    expect(of('scorewire_queue_depth')).toEqual([0]);
  });

  test('the score of a regression is counted as a value', async () => {
    await server.client.score('gather', [3]);
    expect(await server.metric('scorewire_score_value_sum', { model: 'gather' })).toBeCloseTo(0.75);
    expect(await server.metric('scorewire_score_probability_count', { model: 'gather' })).toBe(0);
  });

  test('counts errors under the model that exists', async () => {
    await failureOf(server.client.score('risk', [1, 2, 3]));
    const labels = {
      rpc_method: 'scorewire.v1.ScoringService/Score',
      model: 'risk',
      rpc_status_code: 'INVALID_ARGUMENT',
    };
    expect(await server.metric('rpc_server_call_duration_seconds_count', labels)).toBe(1);
  });

  test('a run that failed is no run', async () => {
    const runs = () => server.metric('scorewire_inference_duration_seconds_count', { model: 'gather' });
    const before = await runs();
    await failureOf(server.client.score('gather', [99]));
    expect(await runs()).toBe(before);
  });

  test('workers, memory, event loop', async () => {
    const samples = await server.samples();
    const value = (name: string, key = '', label = '') =>
      samples.find((sample) => sample.name === name && (key === '' || sample.labels[key] === label))?.value;
    expect(value('scorewire_workers', 'state', 'ready')).toBe(1);
    expect(value('scorewire_workers', 'state', 'starting')).toBe(0);
    expect(value('process_memory_usage_bytes')).toBeGreaterThan(1e7);
    expect(value('process_uptime_seconds')).toBeGreaterThan(0);
    expect(value('scorewire_event_loop_delay_seconds', 'quantile', '1')).toBeGreaterThanOrEqual(0);
    expect(value('target_info', 'service_name', 'scorewire')).toBe(1);
  });
});

describe('the status page', () => {
  test('says what is served, where, and why a model is not batched', async () => {
    const { status, type, body } = await server.http('/');
    expect(status).toBe(200);
    expect(type).toContain('text/html');
    expect(body).toContain('SERVING');
    expect(body).toContain(server.address);
    for (const name of ['risk', 'gather', 'company']) expect(body).toContain(`<td>${name}</td>`);
    expect(body).toContain('one row a run: a row&#39;s score changes with the rows beside it');
    expect(body).toMatch(/<td>1<\/td><td><span class="good">idle<\/span><\/td>/);
  });
});

test('what is not there', async () => {
  expect((await server.http('/nothing')).status).toBe(404);
});

test('off: no port', async () => {
  const other = await TestServer.start(await modelFolder({ risk: linear([1], 0) }), ['server.http_port=off']);
  expect(other.running.httpPort).toBeUndefined();
  expect((await other.client.score('risk', [0])).score).toBe(0.5);
  await other.stop();
});

const hasIpv6 = Object.values(networkInterfaces()).some((found) => found?.some(({ address }) => address === '::1'));

test.runIf(hasIpv6)('an address of IPv6 stands in brackets', async () => {
  const other = await TestServer.start(await modelFolder({ risk: linear([1], 0) }), ['server.host=::1']);
  expect(other.running.address).toBe(`[::1]:${other.running.port}`);
  const client = new TestClient(other.running.address);
  expect((await client.score('risk', [0])).score).toBe(0.5);
  const page = await (await fetch(`http://${other.running.httpAddress}/`)).text();
  expect(page).toContain(`gRPC on ${other.running.address}`);
  client.close();
  await other.stop();
});
