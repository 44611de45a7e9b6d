import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { MemoryRegions } from '../../../src/inference/memory-regions.ts';
import { tempFolder } from '../../support/model-folder.ts';

const BYTES = Uint8Array.from({ length: 100 }, (_, index) => index);

let folder: string;
let regions: MemoryRegions;

beforeEach(async () => {
  folder = await tempFolder();
  writeFileSync(join(folder, 'test_shm'), BYTES);
  regions = new MemoryRegions(true, folder);
});

function register(given: Partial<{ name: string; key: string; offset: bigint; byteSize: bigint }> = {}): void {
  regions.register({ name: 'R', key: '/test_shm', offset: 0n, byteSize: 100n, ...given });
}

function failure(action: () => unknown): { kind: string; message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof ScorewireError) return { kind: error.kind, message: error.message };
    throw error;
  }
  throw new Error('it should have failed');
}

function readAll(region: string, offset: bigint, byteSize: bigint): number[] {
  const part = regions.open(region, offset, byteSize);
  const target = new Uint8Array(part.byteSize);
  part.read(target, 0);
  part.close();
  return [...target];
}

describe('register', () => {
  test.each([
    [
      'a key that is empty',
      { key: '' },
      'invalid_argument',
      "cannot register shared memory region 'R' - invalid shm key ''",
    ],
    [
      'a key of slashes',
      { key: '///' },
      'invalid_argument',
      "cannot register shared memory region 'R' - invalid shm key '///'",
    ],
    [
      'a key that is reserved',
      { key: '//triton_python_backend_shm_region_1' },
      'invalid_argument',
      "cannot register shared memory region 'R' with key '//triton_python_backend_shm_region_1' as the key contains the reserved prefix 'triton_python_backend_shm_region_'",
    ],
    ['a key of no file', { key: '/nothing' }, 'internal', "Unable to open shared memory region: '/nothing'"],
    ['out of the folder', { key: '/..' }, 'internal', "Unable to open shared memory region: '/..'"],
    ['out of the folder', { key: '/../test_shm' }, 'internal', "Unable to open shared memory region: '/../test_shm'"],
    ['the folder', { key: '/.' }, 'internal', "Unable to open shared memory region: '/.'"],
    ['a folder in it', { key: '/folder' }, 'internal', "Unable to open shared memory region: '/folder'"],
    ['a file further down', { key: '/folder/x' }, 'internal', "Unable to open shared memory region: '/folder/x'"],
    ['a link', { key: '/link' }, 'internal', "Unable to open shared memory region: '/link'"],
    ['a pipe', { key: '/pipe' }, 'internal', "Unable to open shared memory region: '/pipe'"],
    ['a NUL', { key: '/test_shm\0' }, 'internal', "Unable to open shared memory region: '/test_shm\0'"],
    [
      'a file shorter than the part',
      { byteSize: 101n },
      'invalid_argument',
      "failed to register shared memory region 'R': invalid args",
    ],
    [
      'a part that ends behind the file',
      { offset: 1n },
      'invalid_argument',
      "failed to register shared memory region 'R': invalid args",
    ],
    [
      'a part of no bytes',
      { byteSize: 0n },
      'invalid_argument',
      "failed to register shared memory region 'R': invalid args",
    ],
    [
      'beyond 64 bits',
      { offset: 2n ** 64n - 1n, byteSize: 2n ** 64n - 1n },
      'invalid_argument',
      "failed to register shared memory region 'R': invalid args",
    ],
  ])('refuses %s', (_what, given, kind, message) => {
    mkdirSync(join(folder, 'folder'));
    writeFileSync(join(folder, 'folder', 'x'), BYTES);
    symlinkSync(join(folder, 'test_shm'), join(folder, 'link'));
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(failure(() => register(given))).toEqual({ kind, message });
    expect(regions.status('')).toEqual([]);
  });

  test('a name that is there already, before looking at the file', () => {
    register();
    expect(failure(() => register({ key: '/nothing' }))).toEqual({
      kind: 'already_exists',
      message: "shared memory region 'R' already in manager",
    });
  });

  test('one key under several names, with or without its slash', () => {
    register({ name: 'a', key: 'test_shm', offset: 10n, byteSize: 20n });
    register({ name: 'b', key: '//test_shm', offset: 20n, byteSize: 5n });
    expect(readAll('a', 10n, 5n)).toEqual([20, 21, 22, 23, 24]);
    expect(readAll('b', 0n, 5n)).toEqual([20, 21, 22, 23, 24]);
  });

  test('so many and no more', () => {
    for (let i = 0; i < 1024; i++) register({ name: `r${i}` });
    expect(failure(() => register())).toMatchObject({ kind: 'overloaded' });
    regions.unregister('r0');
    register();
    regions.unregister('');
    expect(regions.status('')).toEqual([]);
  });

  test('nothing where it is switched off, which the setting helps against', () => {
    regions = new MemoryRegions(false, folder);
    const off = {
      kind: 'unimplemented',
      message: expect.stringContaining("'--set inference.client_shared_memory=on'"),
    };
    expect(failure(() => register())).toEqual(off);
    expect(failure(() => regions.open('R', 0n, 1n))).toEqual(off);
    expect(regions.status('')).toEqual([]);
    expect(() => regions.unregister('')).not.toThrow();
  });
});

describe('status', () => {
  test('as it was registered', () => {
    register({ offset: 4n, byteSize: 8n });
    register({ name: 'S' });
    expect(regions.status('R')).toEqual([{ name: 'R', key: '/test_shm', offset: 4n, byteSize: 8n }]);
    expect(regions.status('').map(({ name }) => name)).toEqual(['R', 'S']);
  });

  test('of none', () => {
    expect(failure(() => regions.status('R'))).toEqual({
      kind: 'not_found',
      message: "Unable to find system shared memory region: 'R'",
    });
  });
});

describe('use', () => {
  test('reads and writes what lies in the file, and nothing beside it', () => {
    register({ offset: 10n, byteSize: 50n });
    expect(readAll('R', 2n, 3n)).toEqual([12, 13, 14]);
    const part = regions.open('R', 40n, 10n);
    part.write(Uint8Array.of(255, 254), 3);
    part.close();
    const changed = [...BYTES];
    changed.splice(53, 2, 255, 254);
    expect([...readFileSync(join(folder, 'test_shm'))]).toEqual(changed);
  });

  test('sees what the owner of the memory writes after registering', () => {
    register();
    writeFileSync(join(folder, 'test_shm'), Buffer.alloc(100, 7), { flag: 'r+' });
    expect(readAll('R', 98n, 2n)).toEqual([7, 7]);
  });

  test('a region that there is not', () => {
    expect(failure(() => regions.open('R', 0n, 1n))).toEqual({
      kind: 'not_found',
      message: "Unable to find shared memory region: 'R'",
    });
  });

  test('a part that is outside of the region, though not of the file', () => {
    register({ byteSize: 50n });
    expect(failure(() => regions.open('R', 50n, 1n)).message).toBe("Invalid offset for shared memory region: 'R'");
    expect(failure(() => regions.open('R', 49n, 2n)).message).toBe(
      "Invalid offset + byte size for shared memory region: 'R'",
    );
  });

  test('goes on after the region is unregistered and its file removed, until it is closed', () => {
    register();
    const part = regions.open('R', 90n, 10n);
    regions.unregister('R');
    unlinkSync(join(folder, 'test_shm'));
    const target = new Uint8Array(2);
    part.read(target, 8);
    expect([...target]).toEqual([98, 99]);
    part.close();
    part.close();
    expect(failure(() => regions.open('R', 0n, 1n)).kind).toBe('not_found');
  });

  test('a file that was cut since is an error, and stays as short as it is', () => {
    register();
    const part = regions.open('R', 0n, 100n);
    truncateSync(join(folder, 'test_shm'), 99);
    const lost = { kind: 'internal', message: expect.stringContaining("'R' can't be used any more") };
    expect(failure(() => part.read(new Uint8Array(100), 0))).toEqual(lost);
    expect(failure(() => part.write(new Uint8Array(100), 0))).toEqual(lost);
    part.close();
    expect(readFileSync(join(folder, 'test_shm')).length).toBe(99);
    expect(readAll('R', 0n, 99n)).toEqual([...BYTES].slice(0, 99));
  });
});
