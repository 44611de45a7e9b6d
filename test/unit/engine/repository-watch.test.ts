// Which changes of a folder are told, and when: with a clock and a disk that are made up.
import { expect, onTestFinished, test } from 'vitest';
import { RepositoryWatch } from '../../../src/engine/repository-watch.ts';
import { testLog } from '../../support/test-server.ts';

const EVERY_MS = 15_000;
const SOON_MS = 1000;

async function watching(first: Readonly<Record<string, string>>) {
  let disk: Readonly<Record<string, string>> | Error = first;
  const told: string[] = [];
  let waiting: { ms: number; callback: () => void } | undefined;
  const { log, lines } = testLog();
  const watch = await RepositoryWatch.of({
    directory: '/models',
    everyMs: EVERY_MS,
    look: async () => {
      if (disk instanceof Error) throw disk;
      return new Map(Object.entries(disk));
    },
    log,
    clock: {
      after: (ms, callback) => {
        waiting = { ms, callback };
        return () => {
          waiting = undefined;
        };
      },
    },
  });
  watch.start({
    listed: () => {},
    changed: (name) => told.push(`changed ${name}`),
    gone: (name) => told.push(`gone ${name}`),
  });
  onTestFinished(() => watch.end());
  return {
    watch,
    lines,
    /** Puts this on the disk, and looks; what was told then, and how long until the next look. */
    async look(state: typeof disk): Promise<[string[], number | undefined]> {
      disk = state;
      const { callback } = waiting as NonNullable<typeof waiting>;
      waiting = undefined;
      callback();
      await new Promise((resolve) => setImmediate(resolve));
      return [told.splice(0), (waiting as { ms: number } | undefined)?.ms];
    },
  };
}

test('what was there from the start is not told', async () => {
  const { look } = await watching({ a: '1' });
  expect(await look({ a: '1' })).toEqual([[], EVERY_MS]);
});

test('what came, changed or went is told when the next look, which comes soon, sees the same', async () => {
  const { look } = await watching({ a: '1', b: '1' });
  expect(await look({ a: '2', c: '1' })).toEqual([[], SOON_MS]);
  const [told, ms] = await look({ a: '2', c: '1' });
  expect(told.sort()).toEqual(['changed a', 'changed c', 'gone b']);
  expect(ms).toBe(EVERY_MS);
  expect(await look({ a: '2', c: '1' })).toEqual([[], EVERY_MS]);
});

test('what is still being written is left alone', async () => {
  const { look } = await watching({ a: '1' });
  for (let size = 2; size < 10; size++) expect(await look({ a: String(size) })).toEqual([[], SOON_MS]);
  expect(await look({ a: '9' })).toEqual([['changed a'], EVERY_MS]);
});

test('what is as it was again needs no telling', async () => {
  const { look } = await watching({ a: '1', b: '1' });
  expect(await look({ a: '1' })).toEqual([[], SOON_MS]);
  expect(await look({ a: '1', b: '1' })).toEqual([[], EVERY_MS]);
  expect(await look({ a: '1', b: '1', c: '1' })).toEqual([[], SOON_MS]);
  expect(await look({ a: '1', b: '1' })).toEqual([[], EVERY_MS]);
});

test('a disk that can not be read, or lost everything, tells of nothing but itself', async () => {
  const { look, watch, lines } = await watching({ a: '1' });
  expect(watch.problem()).toBeUndefined();
  for (let times = 0; times < 2; times++) expect(await look(new Error('gone away'))).toEqual([[], EVERY_MS]);
  expect(watch.problem()).toContain('gone away');
  for (let times = 0; times < 2; times++) expect(await look({})).toEqual([[], EVERY_MS]);
  expect(watch.problem()).toContain('has no models any more');
  // Each is said once.
  expect(lines).toHaveLength(2);
  expect(await look({ a: '1' })).toEqual([[], EVERY_MS]);
  expect(watch.problem()).toBeUndefined();
});

test('after its end nothing is looked at', async () => {
  const { look, watch } = await watching({ a: '1' });
  const last = look({ a: '2' });
  watch.end();
  expect(await last).toEqual([[], undefined]);
});
