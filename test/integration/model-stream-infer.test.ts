// ModelStreamInfer: responses in the order of the requests, errors among them, and how a stream ends.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelStreamInferResponse } from '../../src/gen/inference/inference.ts';
import { eventually } from '../support/concurrently.ts';
import { floats, floatsOf, inferRequest, type RequestInit, rawOutput } from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { modelFolder } from '../support/model-folder.ts';
import { identity, linear, slowLinear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

let folder: string;
let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  folder = await modelFolder({
    score: linear([1, -1], 0),
    slow: slowLinear([1, -1], 0, 2000),
    same: identity('float32', ['N', 'W']),
  });
  server = await TestServer.start(folder, ['workers.count=2']);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

const row = (model: string, init: RequestInit = {}) =>
  inferRequest(model, [{ name: 'x', datatype: 'FP32', shape: [1, 2], raw: floats(0, 0) }], init);

const FINAL = new Map([['triton_final_response', { parameterChoice: { $case: 'boolParam', value: true } }]]);

function idOf({ inferResponse }: ModelStreamInferResponse): string {
  return inferResponse?.id ?? '';
}

test('every request has one response, in order, though the first ones take the longest', async () => {
  const stream = client.stream();
  const ids = Array.from({ length: 40 }, (_, index) => `${index}`);
  stream.send(...ids.map((id, index) => row(index < 2 ? 'slow' : 'score', { id })));
  const responses = await stream.end();
  expect(responses.map(idOf)).toEqual(ids);
  expect(await stream.ended).toEqual({ code: 'OK', message: '' });
  for (const { errorMessage, inferResponse } of responses) {
    expect(errorMessage).toBe('');
    expect(inferResponse?.parameters).toEqual(FINAL);
    expect(inferResponse?.modelVersion).toBe('1');
    expect(floatsOf(rawOutput(inferResponse as never, 'score'))).toEqual([0.5]);
  }
});

test('an error is a response, and the stream goes on', async () => {
  const stream = client.stream();
  stream.send(row('score', { id: 'a' }), row('nothing', { id: 'b' }), row('score', { id: 'c', outputs: ['no'] }));
  stream.send(row('score', { id: 'd' }));
  const responses = await stream.end();
  expect(responses.map((response) => [idOf(response), response.errorMessage])).toEqual([
    ['a', ''],
    ['b', "Request for unknown model: 'nothing' is not found"],
    ['c', "unexpected inference output 'no' for model 'score'"],
    ['d', ''],
  ]);
  expect(responses[1]?.inferResponse?.parameters).toEqual(FINAL);
});

test('an error ends the stream by its status where the caller asks for that, after the responses before it', async () => {
  const stream = client.stream({ triton_grpc_error: 'true' });
  stream.send(row('slow', { id: 'a' }), row('nothing', { id: 'b' }));
  expect(await stream.ended).toEqual({
    code: 'NOT_FOUND',
    message: "Request for unknown model: 'nothing' is not found",
  });
  expect(stream.responses.map(idOf)).toEqual(['a']);
});

test('a caller that waits for each response gets it', async () => {
  const stream = client.stream();
  for (let index = 0; index < 5; index++) {
    stream.send(row('score', { id: `${index}` }));
    await eventually(() => stream.responses.length === index + 1);
  }
  await stream.end();
});

test('a caller that sends ever more waits, and gets all in the end', async () => {
  const stream = client.stream();
  const count = 2000;
  for (let index = 0; index < count; index++) stream.send(row('score', { id: `${index}` }));
  const responses = await stream.end();
  expect(responses.map(idOf)).toEqual(Array.from({ length: count }, (_, index) => `${index}`));
});

test('large requests follow each other on one stream, small ones among them', async () => {
  const stream = client.stream();
  const large = Float32Array.from({ length: 600_000 }, (_, index) => index);
  const request = (id: string, form: 'raw' | 'typed') => {
    const contents = form === 'raw' ? { raw: Buffer.from(large.buffer) } : { typed: [...large] };
    return inferRequest('same', [{ name: 'x', datatype: 'FP32', shape: [2, 300_000], ...contents }], { id });
  };
  const forms = ['raw', 'typed', 'raw'] as const;
  for (const [index, form] of forms.entries())
    stream.send(request(`${index}`, form), row('score', { id: `s${index}` }));
  const responses = await stream.end();
  expect(responses.map(idOf)).toEqual(['0', 's0', '1', 's1', '2', 's2']);
  for (const index of [0, 2, 4]) {
    const output = rawOutput(responses[index]?.inferResponse as never, 'y');
    expect(output.equals(Buffer.from(large.buffer))).toBe(true);
  }
});

describe('a stream that is', () => {
  test('cancelled leaves nothing behind', async () => {
    const stream = client.stream();
    stream.send(...Array.from({ length: 20 }, () => row('slow')));
    await eventually(async () => (await server.metric('scorewire_calls_in_flight')) > 0);
    stream.call.cancel();
    expect((await stream.ended).code).toBe('CANCELLED');
    await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
  });

  test('open when the server drains has its requests answered, and ends', async () => {
    const other = await TestServer.start(folder, ['workers.count=1']);
    const otherClient = new InferenceClient(other.address);
    const stream = otherClient.stream();
    stream.send(row('slow', { id: 'a' }), row('slow', { id: 'b' }));
    await eventually(async () => (await other.metric('scorewire_calls_in_flight')) === 2);
    const stopped = other.stop();
    expect(await stream.ended).toEqual({
      code: 'UNAVAILABLE',
      message: 'GRPC server is shutting down and has stopped accepting new requests.',
    });
    expect(stream.responses.map(idOf)).toEqual(['a', 'b']);
    otherClient.close();
    await stopped;
  });
});
