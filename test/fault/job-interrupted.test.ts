// A job that is ended in the middle, in whatever way, and run again: every row once, and nothing half done to be seen.

import { existsSync, readdirSync, statSync, watch } from 'node:fs';
import { cp, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { Command, type Ended } from '../support/command.ts';
import { EXAMPLES, tempFolder } from '../support/model-folder.ts';
import { customers, sql } from '../support/tables.ts';

const ROWS = 400_000;
/** So many kills a test: what is left is run to its end. */
const KILLS = 6;

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await tempFolder();
  await sql(
    `CREATE TABLE customers AS SELECT * REPLACE (CASE WHEN customer_id % 1000 = 7 THEN NULL ELSE plan END AS plan)
      FROM (${customers(ROWS)})`,
    `COPY customers TO '${at('customers.parquet')}'`,
    `COPY customers TO '${at('customers.csv')}' (HEADER)`,
  );
  const { code } = await new Command(args('customers.parquet', 'expected.parquet')).ended;
  expect(code).toBe(0);
});

function args(input: string, output: string, models = EXAMPLES): string[] {
  return [
    'job',
    'run',
    '--models',
    models,
    '--model',
    'churn',
    '--workers',
    '1',
    '--input',
    at(input),
    '--output',
    at(output),
  ];
}

/** Rows of a job's output that are not what the job that nobody interrupted gave, or not there once. */
async function differences(output: string): Promise<unknown[]> {
  const [counts] = await sql(
    `SELECT count(*)::INTEGER AS n, count(DISTINCT entity_id)::INTEGER AS ids FROM '${at(output)}'`,
  );
  expect(counts).toEqual({ n: ROWS, ids: ROWS });
  return sql(
    `SELECT * FROM '${at('expected.parquet')}' a JOIN '${at(output)}' b USING (entity_id)
      WHERE a.score IS DISTINCT FROM b.score OR a.segment IS DISTINCT FROM b.segment OR a.error IS DISTINCT FROM b.error LIMIT 5`,
  );
}

/** Resolves when something happens to a file of that name, and `when` holds for its path. */
function appears(
  name: RegExp,
  when: (path: string) => boolean = () => true,
): { seen: Promise<void>; close: () => void } {
  let tell: () => void = () => {};
  const seen = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const watcher = watch(folder, (_event, file) => {
    if (file === null || !name.test(file) || !when(at(file))) return;
    watcher.close();
    tell();
  });
  return { seen, close: () => watcher.close() };
}

async function endedBy(command: Command, moment: Promise<unknown>, signal: NodeJS.Signals): Promise<Ended> {
  await Promise.race([moment, command.ended]);
  command.signal(signal);
  return command.ended;
}

describe('killed with -9', () => {
  test.each([
    ['customers.parquet', 'a.parquet'],
    ['customers.csv', 'b.parquet'],
  ])(
    'at random moments, %s',
    async (input, output) => {
      for (let kill = 0; kill < KILLS; kill++) {
        // The later ones later, so that they meet every part of a job that gets further each time.
        const afterMs = 300 + Math.random() * 500 * (kill + 1);
        const moment = new Promise((resolve) => setTimeout(resolve, afterMs));
        await endedBy(new Command(args(input, output)), moment, 'SIGKILL');
      }
      const last = new Command(args(input, output));
      expect(await last.ended).toMatchObject({ code: 0 });
      expect(await differences(output)).toEqual([]);
      expect(readdirSync(folder).filter((name) => name.startsWith(`${output}.job`) || name.startsWith('.'))).toEqual(
        [],
      );
    },
    120_000,
  );

  test.each([
    ['when its state appears', /^c\.parquet\.job$/],
    ['while it writes the result', /^\.c\.parquet\.part$/],
    ['when the result is in place', /^c\.parquet$/],
  ])('%s', async (_when, file) => {
    const output = 'c.parquet';
    const { seen, close } = appears(file);
    await endedBy(new Command(args('customers.parquet', output)), seen, 'SIGKILL');
    close();
    expect(await new Command(args('customers.parquet', output)).ended).toMatchObject({ code: 0 });
    expect(await differences(output)).toEqual([]);
  });
});

describe('stopped by a signal', () => {
  const scored = () => appears(/^stopped\.parquet\.job$/, (path) => statSync(path).size > 500_000).seen;
  test.each([
    ['while it reads', 'SIGINT', 'customers.parquet', (job: Command) => job.said(/^reading the input$/m), false],
    ['while it reads', 'SIGTERM', 'customers.csv', (job: Command) => job.said(/^reading the input$/m), false],
    ['before the first score', 'SIGINT', 'customers.csv', (job: Command) => job.said(/^0 of 400,000 rows/m), false],
    ['while it scores', 'SIGTERM', 'customers.parquet', scored, true],
    ['while it writes', 'SIGTERM', 'customers.csv', (job: Command) => job.said(/^writing the scores$/m), true],
  ] as const)('%s, by %s, with %s: says so, and goes on where it was', async (_when, signal, input, moment, kept) => {
    const output = 'stopped.parquet';
    const first = new Command(args(input, output));
    const { code } = await endedBy(first, moment(first), signal);
    // A result that is as good as written is written.
    const done = code === 0;
    expect([130, kept ? 0 : 130]).toContain(code);
    expect(existsSync(at(output))).toBe(done);
    expect(first.stderr.includes('interrupted; the same command goes on from here')).toBe(!done);
    const second = new Command(args(input, output));
    expect(await second.ended).toMatchObject({ code: 0 });
    if (kept && !done) expect(second.stderr).toContain('going on behind');
    expect(await differences(output)).toEqual([]);
    await rm(at(output));
  });
});

test('a job that runs already is not run beside it', async () => {
  const output = 'd.parquet';
  const { seen, close } = appears(/^d\.parquet\.job$/);
  const first = new Command(args('customers.parquet', output));
  await seen;
  close();
  const second = new Command(args('customers.parquet', output));
  expect(await second.ended).toMatchObject({ code: 1 });
  expect(second.stderr).toMatch(/d\.parquet\.job: process \d+ is running this job/);
  expect(await first.ended).toMatchObject({ code: 0 });
  expect(await differences(output)).toEqual([]);
});

describe('what an interrupted run left', () => {
  /** Something is kept, and the job is not done. */
  async function interrupted(output: string, models = EXAMPLES): Promise<void> {
    const { seen, close } = appears(new RegExp(`^\\.${output}\\.part$`));
    await endedBy(new Command(args('customers.parquet', output, models)), seen, 'SIGKILL');
    close();
  }

  test('is gone on with', async () => {
    await interrupted('e.parquet');
    const next = new Command(args('customers.parquet', 'e.parquet'));
    expect(await next.ended).toMatchObject({ code: 0 });
    expect(next.stderr).toContain(`going on behind the ${ROWS} rows of an earlier run`);
  });

  test('is not gone on with when the input changed', async () => {
    await interrupted('f.parquet');
    await utimes(at('customers.parquet'), new Date(), new Date());
    const next = new Command(args('customers.parquet', 'f.parquet'));
    expect(await next.ended).toMatchObject({ code: 0 });
    expect(next.stderr).toContain('starting over');
    expect(next.stderr).not.toContain('going on behind');
    expect(await differences('f.parquet')).toEqual([]);
  });

  test('is not gone on with when the model changed', async () => {
    await interrupted('g.parquet');
    const models = await tempFolder();
    await cp(join(EXAMPLES, 'churn'), join(models, 'churn'), { recursive: true });
    await cp(join(models, 'churn', '1'), join(models, 'churn', '2'), { recursive: true });
    const next = new Command(args('customers.parquet', 'g.parquet', models));
    expect(await next.ended).toMatchObject({ code: 0 });
    expect(next.stderr).toContain('starting over');
    const [found] = await sql(`SELECT DISTINCT version::INTEGER AS version FROM '${at('g.parquet')}'`);
    expect(found).toEqual({ version: 2 });
  });

  test('is thrown away with --fresh', async () => {
    await interrupted('h.parquet');
    const next = new Command([...args('customers.parquet', 'h.parquet'), '--fresh']);
    expect(await next.ended).toMatchObject({ code: 0 });
    expect(next.stderr).not.toContain('going on behind');
    expect(await differences('h.parquet')).toEqual([]);
  });
});
