// ModelService.PromoteModel: which version answers, as callers see it.

import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { ModelServiceClient, type PromoteModelResponse } from '../../src/gen/scorewire/v1/model.ts';
import { ScorePolicy } from '../../src/gen/scorewire/v1/scoring.ts';
import { folderOf } from '../support/model-folder.ts';
import { gatherRow, linear } from '../support/onnx-builder.ts';
import { putScores } from '../support/put-scores.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let folder: string;

beforeEach(async () => {
  folder = await folderOf({
    'leaver/1/model.onnx': linear([1, -1], 0),
    'leaver/2/model.onnx': linear([1, -1], 1),
    'leaver/3/model.onnx': linear([1, -1], 2),
    'leaver/live': '1\n',
    'other/1/model.onnx': linear([1, 1], 0),
  });
});

async function start(...set: string[]): Promise<TestServer> {
  const server = await TestServer.start(folder, ['workers.count=1', ...set]);
  onTestFinished(() => server.stop());
  return server;
}

function promote(
  server: TestServer,
  version: bigint | undefined,
  minCoverage = 0,
  model = 'leaver',
): Promise<PromoteModelResponse> {
  const client = new ModelServiceClient(server.address, ChannelCredentials.createInsecure());
  onTestFinished(() => client.close());
  return promised((done) => client.promoteModel({ model, version, minCoverage }, done));
}

async function versionThatAnswers(server: TestServer): Promise<bigint> {
  return (await server.client.score('leaver', [0, 0])).version;
}

const numbered = (count: number, score: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, score]));

test('a version is filled while another one answers, goes live when it covers enough, and back again', async () => {
  const server = await start();
  const stored = async () => {
    const { version, score } = await server.client.score('leaver', undefined, {
      entity: { $case: 'entityId', value: 'c3' },
      policy: ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY,
    });
    return { version, score };
  };
  await putScores(server.address, 'leaver', 1, numbered(10, 0.25));
  await putScores(server.address, 'leaver', 2, numbered(6, 0.75));
  expect(await stored()).toEqual({ version: 1n, score: 0.25 });

  expect(await failureOf(promote(server, 2n, 0.9))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'LOW_COVERAGE',
    message:
      'model leaver: version 2 has scores of 6 of the 10 entities that version 1, which is live, has scores of: 0.6; the least coverage is 0.9: fill it first, by a job or PutScores with version 2, or ask for less',
    metadata: { model: 'leaver', version: '2', entities: '10', covered: '6' },
  });
  expect(await versionThatAnswers(server)).toBe(1n);
  expect(await stored()).toEqual({ version: 1n, score: 0.25 });

  await putScores(server.address, 'leaver', 2, numbered(9, 0.75));
  expect(await promote(server, 2n, 0.9)).toMatchObject({
    model: { name: 'leaver', version: 2n, live: true },
    previousVersion: 1n,
    entities: 10n,
    covered: 9n,
    kept: true,
  });
  expect(await versionThatAnswers(server)).toBe(2n);
  expect(await stored()).toEqual({ version: 2n, score: 0.75 });
  expect((await server.client.listModels()).map(({ name, version, live }) => `${name} ${version} ${live}`)).toEqual([
    'leaver 1 false',
    'leaver 2 true',
    'leaver 3 false',
    'other 1 true',
  ]);

  expect(await promote(server, 1n)).toMatchObject({ previousVersion: 2n, entities: 9n, covered: 9n, kept: true });
  expect(await stored()).toEqual({ version: 1n, score: 0.25 });
});

test('a server that starts later finds the choice', async () => {
  const first = await start();
  await promote(first, 2n);
  expect(await readFile(join(folder, 'leaver', 'live'), 'utf8')).toBe('2\n');
  const second = await start();
  expect(await versionThatAnswers(second)).toBe(2n);
  expect(await promote(second, undefined)).toMatchObject({
    model: { version: 3n, live: true },
    previousVersion: 2n,
    kept: true,
  });
  expect(await readdir(join(folder, 'leaver'))).toEqual(['1', '2', '3']);
  expect(await versionThatAnswers(await start())).toBe(3n);
});

test('the last of promotions at once is live, and kept', async () => {
  const server = await start();
  const answers = await Promise.all([2n, 3n, 1n, 2n].map((version) => promote(server, version)));
  const live = await versionThatAnswers(server);
  expect(await readFile(join(folder, 'leaver', 'live'), 'utf8')).toBe(`${live}\n`);
  // Each found what the one before it had made live.
  const made = answers.map(({ model, previousVersion }) => [previousVersion, model?.version]);
  const left = made.map(([previous]) => previous).sort();
  expect([...made.map(([, version]) => version), 1n].sort()).toEqual([...left, live].sort());
});

test('where the choice can not be kept it holds all the same, and the log says so', async () => {
  const server = await start();
  await rm(join(folder, 'leaver', 'live'));
  // No file can take the place of a folder, whoever the server runs as.
  await mkdir(join(folder, 'leaver', 'live'));
  expect(await promote(server, 2n)).toMatchObject({ model: { version: 2n }, kept: false });
  expect(await versionThatAnswers(server)).toBe(2n);
  expect(server.lines).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      model: 'leaver',
      version: 2,
      msg: expect.stringContaining('could not be kept in'),
    }),
  );
});

test('a version that is not live yet is warmed up as the live one is, and batched when its turn comes', async () => {
  // Rows that are made up would ask for what is not in its table, and nobody could tell what batching does to it.
  folder = await folderOf({
    'choosy/1/model.onnx': gatherRow([0.25]),
    'choosy/2/model.onnx': gatherRow([0.75]),
    'choosy/model.yaml': 'task: regression\ngolden: { file: golden.jsonl }',
    'choosy/golden.jsonl': '{"row": [0], "score": 0.25}\n{"row": [0], "score": 0.25}\n',
    'choosy/live': '1',
  });
  const server = await start();
  for (const version of [1n, 2n]) {
    const { batching, live } = await server.client.getModel('choosy', version);
    expect([live, batching?.reason, batching?.enabled]).toEqual([version === 1n, '', true]);
  }
});

test('a version that golden rows do not fit is served all the same, while it is not live', async () => {
  folder = await folderOf({
    'leaver/1/model.onnx': linear([1, -1], 0),
    'leaver/2/model.onnx': linear([1, -1, 1], 0),
    'leaver/model.yaml': 'golden: { file: golden.jsonl }',
    'leaver/golden.jsonl': '{"row": [1, 1], "score": 0.5}\n',
    'leaver/live': '1',
  });
  const server = await start();
  expect((await server.client.score('leaver', [1, 1])).version).toBe(1n);
  expect((await server.client.score('leaver', [1, 1, 0], { version: 2n })).score).toBe(0.5);
});

describe('coverage, where the live version has no scores', () => {
  test('of a version without any: none', async () => {
    const server = await start();
    expect(await failureOf(promote(server, 2n, 0.1))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'LOW_COVERAGE',
      message: expect.stringMatching(/^model leaver: neither version 2 nor version 1, which is live, has scores; /),
    });
    expect(await promote(server, 2n, 0)).toMatchObject({ entities: 0n, covered: 0n, previousVersion: 1n });
  });

  test('of a version with some: enough', async () => {
    const server = await start();
    await putScores(server.address, 'leaver', 2, { c1: 0.5 });
    expect(await promote(server, 2n, 1)).toMatchObject({ model: { version: 2n }, entities: 0n, covered: 0n });
  });
});

test('what is live already needs nothing to become so', async () => {
  const server = await start();
  expect(await promote(server, 1n, 1)).toMatchObject({
    model: { version: 1n, live: true },
    previousVersion: 1n,
    kept: true,
  });
  expect(await versionThatAnswers(server)).toBe(1n);
});

test('without a store nothing is covered', async () => {
  const server = await start('store.kind=off');
  expect(await failureOf(promote(server, 2n, 0.5))).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'NO_STORE' });
  expect(await versionThatAnswers(server)).toBe(1n);
  expect(await promote(server, 2n)).toMatchObject({ model: { version: 2n }, entities: 0n, covered: 0n, kept: true });
});

test('a store that does not answer keeps nobody from going back', async () => {
  const server = await start('store.kind=redis', 'redis.url=redis://127.0.0.1:1');
  expect(await failureOf(promote(server, 2n, 0.5))).toMatchObject({ code: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE' });
  expect(await promote(server, 2n)).toMatchObject({ model: { version: 2n }, entities: 0n });
});

test('what is wrong with a request', async () => {
  const server = await start();
  for (const minCoverage of [-0.1, 1.1, Number.NaN]) {
    expect(await failureOf(promote(server, 2n, minCoverage))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      violations: [{ field: 'min_coverage', description: `expected a number from 0 to 1, found ${minCoverage}` }],
    });
  }
  expect(await failureOf(promote(server, 4n))).toMatchObject({ code: 'NOT_FOUND', reason: 'VERSION_NOT_FOUND' });
  expect(await failureOf(promote(server, 2n, 0, 'leavr'))).toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  expect(await versionThatAnswers(server)).toBe(1n);
});
