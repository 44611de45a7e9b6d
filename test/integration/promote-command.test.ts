// `scorewire promote` and `scorewire store`, against a server.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { folderOf } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { putScores } from '../support/put-scores.ts';
import { TestServer } from '../support/test-server.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let server: TestServer;

async function start(...set: string[]): Promise<void> {
  server = await TestServer.start(folder, ['workers.count=1', ...set]);
  const started = server;
  onTestFinished(() => started.stop());
}

beforeEach(async () => {
  folder = await folderOf({
    'leaver/1/model.onnx': linear([1, -1], 0),
    'leaver/2/model.onnx': linear([1, -1], 1),
    'leaver/live': '1\n',
  });
});

const run = (...args: string[]) => runCommand([...args, '--address', server.address]);

test('promote: forward where enough is covered, and back', async () => {
  await start();
  await putScores(server.address, 'leaver', 1, { a: 0.1, b: 0.2, c: 0.3 });
  await putScores(server.address, 'leaver', 2, { a: 0.1, b: 0.2 });
  const refused = await run('promote', 'leaver', '--model-version', '2', '--min-coverage', '95%');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(
    /^scorewire: FAILED_PRECONDITION: model leaver: version 2 has scores of 2 of the 3 entities .* coverage is 0\.95: .*\n$/,
  );
  expect(await run('promote', 'leaver', '--model-version', '2', '--min-coverage', '0.6')).toMatchObject({
    code: 0,
    stdout:
      "leaver: version 2 is live; before it was 1\ncoverage: 2 of 3 entities (66.6 %)\nkept: a server that starts later finds the choice in the model's folder\n",
    stderr: '',
  });
  expect(await readFile(join(folder, 'leaver', 'live'), 'utf8')).toBe('2\n');
  const back = await run('promote', 'leaver', '--model-version', '1', '--json');
  expect(JSON.parse(back.stdout)).toMatchObject({
    model: { version: '1', live: true },
    previousVersion: '2',
    kept: true,
  });
  expect((await run('promote', 'leaver')).stdout).toMatch(/^leaver: version 2 is live; before it was 1\n/);
  expect((await run('promote', 'leaver')).stdout).toMatch(/^leaver: version 2 is live, as it was before\n/);
});

test('promote: what is wrong is said in one line', async () => {
  await start();
  expect(await run('promote', 'leavr')).toMatchObject({
    code: 1,
    stderr: 'scorewire: NOT_FOUND: no model is called "leavr"; did you mean "leaver"?\n',
  });
  expect((await run('promote', 'leaver', '--min-coverage', '95')).stderr).toBe(
    'scorewire: --min-coverage: expected a share from 0 to 1, such as 0.95 or 95%, found "95"\n',
  );
});

describe('store stats', () => {
  test('a line a version, with ages', async () => {
    await start();
    await putScores(server.address, 'leaver', 1, { a: 0.1, b: 0.2 });
    await putScores(server.address, 'leaver', 1, { c: 0.1 }, Date.now() - 5 * HOUR_MS);
    await server.client.score('leaver', undefined, { entity: { $case: 'entityId', value: 'a' } });
    await server.client.score('leaver', undefined, { entity: { $case: 'entityId', value: 'z' } }).catch(() => {});
    const { code, stdout } = await run('store', 'stats');
    expect(code).toBe(0);
    const [kind, , titles, ...lines] = stdout.trimEnd().split('\n');
    expect(kind).toBe('store: memory');
    expect(titles?.split(/ {2,}/)).toEqual(
      'model,version,live,entries,bytes,hits,misses,hit rate,evictions,<= 1m,<= 5m,<= 15m,<= 1h,<= 6h,<= 12h,<= 1d,older'.split(
        ',',
      ),
    );
    expect(lines).toEqual([
      expect.stringMatching(/^leaver +1 +yes +3 +\d+ B +1 +1 +50\.0 % +0 +2 +0 +0 +0 +1 +0 +0 +0$/),
      expect.stringMatching(/^leaver +2 +0 +0 B +0 +0 +- +0( +0){8}$/),
    ]);
    expect(JSON.parse((await run('store', 'stats', 'leaver', '--json')).stdout)).toMatchObject({
      store: 'memory',
      models: [{ model: 'leaver', version: '1', live: true, entries: '3' }, { version: '2' }],
    });
    expect((await run('store', 'stats', 'other')).stderr).toMatch(/^scorewire: NOT_FOUND: no model is called "other"/);
  });

  test('without a store', async () => {
    await start('store.kind=off');
    expect(await run('store', 'stats')).toMatchObject({
      code: 0,
      stdout: 'the server keeps no scores (store.kind is off)\n',
    });
    expect(await run('store', 'invalidate', 'leaver', '--all')).toMatchObject({
      code: 1,
      stderr: 'scorewire: FAILED_PRECONDITION: this server keeps no scores (store.kind is off)\n',
    });
  });

  test('of a store that does not answer', async () => {
    await start('store.kind=redis', 'redis.url=redis://127.0.0.1:1');
    const { code, stdout } = await run('store', 'stats');
    expect(stdout).toMatch(/^store: redis, which does not answer: .+\n/);
    expect(code).toBe(1);
  });
});

describe('store invalidate', () => {
  const entries = async () => {
    const { models } = JSON.parse((await run('store', 'stats', '--json')).stdout);
    return Number(models[0].entries ?? 0);
  };

  test('entities, what is old, and all', async () => {
    await start();
    await putScores(server.address, 'leaver', 1, { a: 0.1, b: 0.2, c: 0.3 });
    await putScores(server.address, 'leaver', 1, { old: 0.1, older: 0.2 }, Date.now() - 5 * HOUR_MS);
    expect(await run('store', 'invalidate', 'leaver', '--entity', 'a', '--entity', 'nobody')).toMatchObject({
      code: 0,
      stdout: 'leaver: 1 score invalidated\n',
    });
    expect((await run('store', 'invalidate', 'leaver', '--older-than', '4h')).stdout).toBe(
      'leaver: 2 scores invalidated\n',
    );
    expect(await entries()).toBe(2);
    // What happened before these features were true says nothing of them.
    await run('store', 'invalidate', 'leaver', '--all', '--at', new Date(Date.now() - HOUR_MS).toISOString());
    expect(await entries()).toBe(2);
    expect(JSON.parse((await run('store', 'invalidate', 'leaver', '--all', '--json')).stdout)).toMatchObject({
      invalidated: '2',
    });
    expect(await entries()).toBe(0);
  });

  test('a refresh that finds no features fails, and says whose', async () => {
    await start();
    await putScores(server.address, 'leaver', 1, { a: 0.1 });
    const { code, stdout, stderr } = await run('store', 'invalidate', 'leaver', '--entity', 'a', '--refresh');
    expect({ code, said: stdout + stderr }).toMatchObject({ code: 1, said: expect.stringContaining('leaver') });
    expect(stdout + stderr).toMatch(/takes no features from a feature store/);
  });

  test.each([
    [[], 'expected one of --entity, --all and --older-than, found none'],
    [['--all', '--older-than', '1h'], 'expected one of --entity, --all and --older-than, found 2'],
    [['--all', '--refresh'], '--refresh: needs --entity beside it'],
    [['--older-than', 'noon'], '--older-than: expected an age such as 90s, 15min, 12h or 2d, found "noon"'],
    [
      ['--all', '--at', 'noon'],
      '--at: expected a time such as 2026-03-01T06:00:00Z, or seconds since 1970, found "noon"',
    ],
  ])('%j is no target', async (flags, message) => {
    const { code, stderr } = await runCommand(['store', 'invalidate', 'leaver', ...flags]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `scorewire: ${message}\n` });
  });
});
