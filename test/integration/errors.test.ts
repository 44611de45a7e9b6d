// What callers are told when a call can't be answered: code, stable reason, the fields at fault, and nothing of ours.

import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concurrently } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { gatherRow, identityText, linear, onnxModel, openWidth } from '../support/onnx-builder.ts';
import { failureOf, type NamedValue, promised, scoreRequest } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

/** float32 [N, 1] -> its square root: NaN below 0. */
function squareRoot(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    nodes: [{ op: 'Sqrt', inputs: ['x'], outputs: ['score'] }],
  });
}

/** An int64, a bool, a text and a float32 column, of which the last is the score. */
function mixed(): Uint8Array {
  return onnxModel({
    inputs: [
      { name: 'count', type: 'int64', dims: ['N', 1] },
      { name: 'open', type: 'bool', dims: ['N', 1] },
      { name: 'colour', type: 'string', dims: ['N', 1] },
      { name: 'size', type: 'float32', dims: ['N', 1] },
    ],
    outputs: [
      { name: 'score', type: 'float32', dims: ['N', 1] },
      { name: 'count_out', type: 'int64', dims: ['N', 1] },
      { name: 'open_out', type: 'bool', dims: ['N', 1] },
      { name: 'colour_out', type: 'string', dims: ['N', 1] },
    ],
    nodes: ['count', 'open', 'colour']
      .map((name) => ({ op: 'Identity', inputs: [name], outputs: [`${name}_out`] }))
      .concat({ op: 'Identity', inputs: ['size'], outputs: ['score'] }),
  });
}

/** Names of features, as long and as foreign as people make them. */
const LONG_NAMES = Array.from(
  { length: 40 },
  (_, i) => `Durchschnittlicher Überziehungskreditrahmen in Jahr ${i} 平均`,
);

function features(list: readonly { name: string; default?: number }[]): string {
  return `features: ${JSON.stringify(list)}`;
}

let server: TestServer;

beforeAll(async () => {
  const folder = await modelFolder({
    risk: [linear([1, -1], 0), 'features: [{ name: age }, { name: income }]'],
    nameless: linear([1, -1], 0),
    mixed: [mixed(), 'task: regression'],
    gather: [gatherRow(), 'task: regression'],
    root: [squareRoot(), 'task: regression'],
    text: identityText(),
    open: openWidth(),
    wide: [linear(new Array(40).fill(1), 0), features(LONG_NAMES.map((name) => ({ name })))],
    lenient: [linear(new Array(40).fill(1), 0), features(LONG_NAMES.map((name) => ({ name, default: 0 })))],
    short: [linear(new Array(40).fill(1), 0), features(LONG_NAMES.map((_, i) => ({ name: `f${i}` })))],
  });
  server = await TestServer.start(folder);
});

afterAll(() => server.stop());

const score = (...args: Parameters<TestServer['client']['score']>) => failureOf(server.client.score(...args));

describe('NOT_FOUND', () => {
  test('a model that is not there, with the nearest name', async () => {
    expect(await score('rsik', [1, 2])).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'MODEL_NOT_FOUND',
      domain: 'scorewire',
      message: 'no model is called "rsik"; did you mean "risk"?',
      metadata: { model: 'rsik' },
    });
  });

  test('a name that is like none: what there is', async () => {
    const { message } = await score('something-else', [1, 2]);
    expect(message).toContain('there are gather, lenient, mixed, nameless, open, risk, root, short, text, wide');
  });

  test('no name at all', async () => {
    expect(await score('', [1, 2])).toMatchObject({ code: 'NOT_FOUND', reason: 'MODEL_NOT_FOUND' });
  });

  test.each([7n, 0n, -1n, 2n ** 63n - 1n])('version %s', async (version) => {
    expect(await score('risk', [1, 2], { version })).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'VERSION_NOT_FOUND',
      message: `model "risk" has no version ${version}; it has 1`,
      metadata: { model: 'risk', version: String(version) },
    });
  });

  test('the entity comes back in the details', async () => {
    const failure = await score('none', [1], { entity: { $case: 'entityNumber', value: 42n } });
    expect(failure.metadata.entity_id).toBe('42');
  });
});

describe('INVALID_ARGUMENT', () => {
  const good = { count: 1n, open: true, colour: 'red', size: 1 };
  const cases: [what: string, model: string, row: Parameters<typeof score>[1], field: string, description: string][] = [
    ['too few values', 'risk', [1], 'row.dense.values', 'expected 2 values, found 1'],
    ['too many values', 'risk', [1, 2, 3], 'row.dense.values', 'expected 2 values, found 3'],
    ['no values', 'risk', [], 'row.dense.values', 'expected 2 values, found 0'],
    ['NaN', 'risk', [1, Number.NaN], 'row.dense.values[1]', 'income: expected a finite 32-bit number, found NaN'],
    [
      'infinity',
      'risk',
      [-Infinity, 1],
      'row.dense.values[0]',
      'age: expected a finite 32-bit number, found -Infinity',
    ],
    ['a missing feature', 'risk', { age: 1 }, 'row.named.values["income"]', 'expected a number, found nothing'],
    [
      'NaN by name',
      'risk',
      { age: 1, income: Number.NaN },
      'row.named.values["income"]',
      'expected a finite 32-bit number, found NaN',
    ],
    [
      'beyond float32',
      'risk',
      { age: 1e39, income: 1 },
      'row.named.values["age"]',
      'expected a finite 32-bit number, found 1e+39',
    ],
    [
      'a text for a number',
      'risk',
      { age: '1', income: 1 },
      'row.named.values["age"]',
      'expected a number, found text "1"',
    ],
    [
      'a flag for a number',
      'risk',
      { age: true, income: 1 },
      'row.named.values["age"]',
      'expected a number, found flag true',
    ],
    [
      'names for a nameless model',
      'nameless',
      { age: 1 },
      'row.named',
      'nameless has no feature names: expected row.dense with 2 values, found row.named (names come from "features" in its model.yaml)',
    ],
    [
      'a fraction for an integer',
      'mixed',
      { ...good, count: 1.5 },
      'row.named.values["count"]',
      'expected an integer, found 1.5',
    ],
    ['a number for a flag', 'mixed', { ...good, open: 2 }, 'row.named.values["open"]', 'expected a flag, found 2'],
    ['a number for a text', 'mixed', { ...good, colour: 3 }, 'row.named.values["colour"]', 'expected text, found 3'],
    [
      'a dense row where there are texts',
      'mixed',
      [1, 1, 1, 1],
      'row.dense',
      'mixed has text features: expected row.named, found row.dense',
    ],
    ['no values for an open width', 'open', [], 'row.dense.values', 'expected at least one value, found 0'],
    [
      'NaN in an open width',
      'open',
      [1, Number.NaN],
      'row.dense.values[1]',
      'expected a finite 32-bit number, found NaN',
    ],
    ['names for an open width', 'open', { a: 1 }, 'row.named', 'open takes rows of any length: expected row.dense'],
    ['a fraction in a dense integer', 'gather', [0.5], 'row.dense.values[0]', 'index: expected an integer, found 0.5'],
    ['beyond int64', 'gather', [1e19], 'row.dense.values[0]', ''],
  ];

  test.each(cases)('%s', async (_, model, row, field, description) => {
    const failure = await score(model, row);
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'INVALID_ROW', domain: 'scorewire' });
    expect(failure.violations.map((violation) => violation.field)).toEqual([field]);
    expect(failure.violations[0]?.description).toContain(description);
    expect(failure.message).toContain(field);
    expect(failure.message).toContain(description);
  });

  test('a name that the model does not have, with the nearest one', async () => {
    const failure = await score('risk', { age: 1, incme: 2 });
    expect(failure.violations).toEqual([
      { field: 'row.named.values["income"]', description: 'expected a number, found nothing' },
      { field: 'row.named.values["incme"]', description: 'risk has no such feature; did you mean "income"?' },
    ]);
  });

  test('every wrong field at once, sixteen at most', async () => {
    const failure = await score('short', {});
    expect(failure.violations).toHaveLength(16);
    expect(failure.message).toMatch(/; and more$/);
  });

  test('a row that has no form', async () => {
    const request = { ...scoreRequest('risk', undefined), row: {} };
    const failure = await failureOf(promised((done) => server.client.scoring.score(request, done)));
    expect(failure).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_FIELD',
      violations: [{ field: 'row', description: 'expected row.dense or row.named, found neither' }],
    });
  });

  test('an output that the model does not have', async () => {
    const failure = await score('gather', [1], { outputNames: ['score', 'scroe'] });
    expect(failure).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_FIELD',
      violations: [{ field: 'output_names[1]', description: 'expected one of score, found "scroe"' }],
    });
  });
});

test('REAL_TIME_ONLY is what a row has anyway', async () => {
  expect((await server.client.score('risk', [1, 1], { policy: 2 })).score).toBe(0.5);
});

describe('an entity', () => {
  test('alone, of a model without a feature store', async () => {
    const failure = await score('risk', undefined, { entity: { $case: 'entityId', value: 'a' } });
    expect(failure).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'NO_FEATURES' });
  });

  test('and no row is nothing', async () => {
    expect(await score('risk', undefined)).toMatchObject({ code: 'INVALID_ARGUMENT', violations: [{ field: 'row' }] });
  });

  test.each([1, 3] as const)('is what policy %d needs', async (policy) => {
    const violations = [{ field: 'entity_id' }];
    expect(await score('risk', [1, 2], { policy })).toMatchObject({ code: 'INVALID_ARGUMENT', violations });
  });

  test('a policy that there is not', async () => {
    const failure = await score('risk', [1, 2], { policy: 9 as 0 });
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', violations: [{ field: 'policy' }] });
  });
});

describe('INTERNAL', () => {
  test('a row that the model can not run: an id that the log has too, and no word of onnxruntime', async () => {
    const failure = await score('gather', [99], { entity: { $case: 'entityId', value: 'customer 7' } });
    expect(failure).toMatchObject({ code: 'INTERNAL', reason: 'RUN_FAILED' });
    const { id = '', entity_id: entityId } = failure.metadata;
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(entityId).toBe('customer 7');
    expect(failure.message).toBe(`gather: the model could not run this row (entity customer 7, id ${id})`);
    const logged = server.lines.filter((line) => line.id === id);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({ level: 'error', reason: 'RUN_FAILED', entityId: 'customer 7' });
    // Why, is for the log.
    expect(JSON.stringify(logged[0]?.err)).toMatch(/Gather/);
    expect(JSON.stringify(failure)).not.toMatch(/Gather node|onnx|indices|node_modules|\.ts/);
  });

  test('a score that is NaN', async () => {
    const failure = await score('root', [-1]);
    expect(failure).toMatchObject({ code: 'INTERNAL', reason: 'SCORE_IS_NAN' });
    expect(server.lines.some((line) => line.id === failure.metadata.id)).toBe(true);
  });
});

describe('bad rows among good ones', () => {
  test('only they fail, whatever batch they ride in', async () => {
    const table = [0.125, 0.25, 0.5, 0.75];
    const indices = Array.from({ length: 192 }, (_, i) => (i % 16 === 5 ? 1000 + i : i % 4));
    const outcomes = await concurrently(64, indices, (index) =>
      server.client.score('gather', [index]).then(
        (answer) => answer,
        (error: ServiceError) => error,
      ),
    );
    let largest = 0;
    for (const [i, outcome] of outcomes.entries()) {
      const index = indices[i] as number;
      if (index >= 1000) {
        expect(outcome).toBeInstanceOf(Error);
        expect((await failureOf(Promise.reject(outcome))).reason).toBe('RUN_FAILED');
      } else {
        expect(outcome).toMatchObject({ score: table[index] });
        largest = Math.max(largest, (outcome as { timing: { batchRows: number } }).timing.batchRows);
      }
    }
    expect(largest).toBeGreaterThan(1);
  });

  test('NaN scores as well', async () => {
    const values = Array.from({ length: 64 }, (_, i) => (i % 8 === 3 ? -1 : i * i));
    const outcomes = await concurrently(64, values, (value) =>
      server.client.score('root', [value]).then(
        (answer) => answer.score,
        (error: ServiceError) => error.code,
      ),
    );
    expect(outcomes).toEqual(values.map((value, i) => (value < 0 ? 13 : i)));
  });
});

describe('details stay within what clients accept', () => {
  // gRPC's C core, under Python and others, answers metadata above 8 KiB with an error of its own.
  const LIMIT = 8 * 1024;

  const unknown = (name: (i: number) => string) =>
    Object.fromEntries(Array.from({ length: 64 }, (_, i) => [name(i), 1 as NamedValue]));

  test.each([
    ['missing features with long names', 'wide', {}],
    ['unknown features with long names', 'lenient', unknown((i) => `${'ö'.repeat(300)}${i}`)],
    ['unknown features with names of control characters', 'lenient', unknown((i) => `${'\u0001'.repeat(300)}${i}`)],
    ['texts for numbers', 'wide', Object.fromEntries(LONG_NAMES.map((name) => [name, '漢'.repeat(100)]))],
    ['a model that is not there', '漢'.repeat(5000), [1]],
  ] as const)('%s', async (_, model, row) => {
    const entity = { $case: 'entityId', value: '漢'.repeat(5000) } as const;
    const error = await server.client.score(model, row, { entity }).then(
      () => undefined,
      (failed: ServiceError) => failed,
    );
    expect(sizeOf(error as ServiceError)).toBeLessThan(LIMIT);
    expect((await failureOf(Promise.reject(error))).reason).not.toBe('');
  });

  test('an internal fault about an entity with a long name', async () => {
    const entity = { $case: 'entityId', value: '🎉'.repeat(5000) } as const;
    const error = await server.client.score('gather', [99], { entity }).catch((failed: ServiceError) => failed);
    expect(sizeOf(error as ServiceError)).toBeLessThan(LIMIT);
  });
});

/** Bytes of a status in HTTP/2 trailers: name, value and 32 for each, as the protocol counts them. */
function sizeOf({ code, details, metadata }: ServiceError): number {
  const trailers = metadata.toHttp2Headers();
  const header = (name: string, value: string) => name.length + value.length + 32;
  let size = header('grpc-status', String(code)) + header('grpc-message', encodeURI(details));
  for (const [name, values] of Object.entries(trailers)) {
    for (const value of [values].flat()) size += header(name, String(value));
  }
  return size;
}

test('no error leaves a call under way', async () => {
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
});

test('errors are counted by code and reason', async () => {
  const before = await server.metric('scorewire_errors_total', { code: 'NOT_FOUND', reason: 'MODEL_NOT_FOUND' });
  await score('absent', [1]);
  const samples = await server.samples();
  const counted = samples.filter(
    ({ name, labels }) => name === 'scorewire_errors_total' && labels.code === 'NOT_FOUND',
  );
  expect(counted.find(({ labels }) => labels.reason === 'MODEL_NOT_FOUND')?.value).toBe(before + 1);
  // A name that a client merely claims is no label.
  expect(JSON.stringify(samples)).not.toContain('absent');
});

test('a message above the limit is refused, and the connection lives', async () => {
  const values = new Array<number>(2_000_000).fill(1);
  expect((await score('open', values)).code).toBe('RESOURCE_EXHAUSTED');
  expect((await server.client.score('open', [1])).score).toBe(1);
});

test('metadata that the server does not know is ignored', async () => {
  const metadata = new Metadata();
  metadata.set('x-request-id', 'a');
  metadata.set('traceparent', 'nonsense');
  const answer = await promised<{ score: number }>((done) =>
    server.client.scoring.score(scoreRequest('open', [3]), metadata, done),
  );
  expect(answer.score).toBe(3);
});
