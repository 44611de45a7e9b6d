import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readLive, writeLive } from '../../../src/models/live-version.ts';
import { tempRepository } from './temp-repository.ts';

describe('the choice', () => {
  test.each(['2', '2\n', '  2 \r\n'])('is a number in a file: %j', async (text) => {
    expect(await readLive(await tempRepository({ live: text }), [1, 2, 10])).toBe(2);
  });

  test("is nobody's without the file", async () => {
    expect(await readLive(await tempRepository({ 'model.yaml': '' }), [1, 2])).toBeUndefined();
  });

  test.each([
    ['3', '"3"'],
    ['', '""'],
    ['two', '"two"'],
    ['02', '"02"'],
    ['1 2', '"1 2"'],
    ['2.0', '"2.0"'],
    ['x'.repeat(1000), `"${'x'.repeat(40)}..."`],
  ])('must be a version that there is: %j', async (text, found) => {
    const folder = await tempRepository({ live: text });
    await expect(readLive(folder, [1, 2, 10])).rejects.toMatchObject({
      name: 'SetupError',
      message: `${folder}/live: expected the number of the live version (1, 2, 10), found ${found}; without the file the highest is live`,
    });
  });

  test('must be readable', async () => {
    const folder = await tempRepository({});
    await mkdir(join(folder, 'live'));
    await expect(readLive(folder, [1])).rejects.toMatchObject({
      name: 'SetupError',
      message: expect.stringMatching(/live can't be read: EISDIR/),
    });
  });
});

describe('kept', () => {
  test('is what is read, and replaces what was there; nothing else is left', async () => {
    const folder = await tempRepository({ 'model.yaml': '' });
    for (const version of [1, 10, 2]) {
      await writeLive(folder, version);
      expect(await readLive(folder, [1, 2, 10])).toBe(version);
    }
    expect(await readFile(join(folder, 'live'), 'utf8')).toBe('2\n');
    expect((await readdir(folder)).sort()).toEqual(['live', 'model.yaml']);
  });

  test('is nothing where nothing is chosen, though there was none', async () => {
    const folder = await tempRepository({ live: '2\n' });
    await writeLive(folder, undefined);
    await writeLive(folder, undefined);
    expect(await readdir(folder)).toEqual([]);
  });

  test('where the file can not be written: an error, and what was there stays', async () => {
    const folder = await tempRepository({ 'live/other': '' });
    await expect(writeLive(folder, 2)).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
    expect(await readdir(folder)).toEqual(['live']);
    await expect(writeLive(join(folder, 'nowhere'), 2)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
