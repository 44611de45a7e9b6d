// `scorewire job run`: files in, files out, as somebody who runs it every night sees it.

import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { EXAMPLES, tempFolder } from '../support/model-folder.ts';
import { customers, sql } from '../support/tables.ts';

const CUSTOMERS = 5_000;

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await tempFolder();
  await sql(
    `CREATE TABLE customers AS ${customers(CUSTOMERS)}`,
    `COPY customers TO '${at('customers.parquet')}'`,
    `COPY customers TO '${at('customers.csv')}' (HEADER)`,
    `COPY customers TO '${at('customers.tsv.gz')}' (HEADER, DELIMITER '\t', COMPRESSION gzip)`,
    `COPY customers TO '${at('customers.jsonl')}' (FORMAT json)`,
  );
});

const run = (...args: string[]) => runCommand(['job', 'run', '--models', EXAMPLES, '--workers', '1', ...args]);
const churn = (...args: string[]) => run('--model', 'churn', ...args);

/** What a job leaves in a folder of its own. */
async function leaving(job: (to: string) => Promise<unknown>): Promise<string[]> {
  const to = await tempFolder();
  await job(to);
  return readdirSync(to).sort();
}

function read(path: string): string {
  const reader = /\.csv|\.tsv/.test(path) ? 'read_csv' : /jsonl/.test(path) ? 'read_json' : 'read_parquet';
  return `${reader}('${path}')`;
}

describe('formats', () => {
  test('Parquet, CSV and JSON lines, in and out, give the same', async () => {
    for (const [input, output] of [
      ['customers.parquet', 'a.parquet'],
      ['customers.csv', 'b.csv'],
      ['customers.jsonl', 'c.jsonl'],
      ['customers.tsv.gz', 'd.csv.gz'],
    ] as const) {
      const { code, stderr } = await churn('--input', at(input), '--output', at(output));
      expect({ code, stderr }).toMatchObject({ code: 0 });
    }
    const list = (name: string) =>
      `(SELECT entity_id::VARCHAR AS entity_id, score::FLOAT AS score, label, segment, model, version, error FROM ${read(at(name))})`;
    const [first] = await sql(`SELECT count(*)::INTEGER AS n, count(DISTINCT entity_id)::INTEGER AS ids,
      count(DISTINCT segment)::INTEGER AS segments, min(model) AS model, min(version)::INTEGER AS version FROM ${list('a.parquet')}`);
    expect(first).toEqual({ n: CUSTOMERS, ids: CUSTOMERS, segments: 3, model: 'churn', version: 1 });
    for (const other of ['b.csv', 'c.jsonl', 'd.csv.gz']) {
      const differences = await sql(
        `SELECT * FROM ${list('a.parquet')} a FULL JOIN ${list(other)} b USING (entity_id)
          WHERE a.score IS DISTINCT FROM b.score OR a.label IS DISTINCT FROM b.label OR a.segment IS DISTINCT FROM b.segment
            OR a.model IS DISTINCT FROM b.model OR a.version IS DISTINCT FROM b.version OR b.error IS NOT NULL LIMIT 5`,
      );
      expect({ other, differences }).toEqual({ other, differences: [] });
    }
  });

  test('the time of scoring is in UTC, whatever the zone of the machine', async () => {
    const before = Date.now();
    const { code } = await runCommand(
      [
        'job',
        'run',
        '--models',
        EXAMPLES,
        '--model',
        'churn',
        '--input',
        at('customers.parquet'),
        '--output',
        at('zone.csv'),
      ],
      { TZ: 'Asia/Tokyo' },
    );
    expect(code).toBe(0);
    const [, line = ''] = readFileSync(at('zone.csv'), 'utf8').split('\n');
    const [stamp = ''] = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line) ?? [];
    expect(Date.parse(stamp)).toBeGreaterThanOrEqual(before - 1);
    expect(Date.parse(stamp)).toBeLessThanOrEqual(Date.now());
    const [column] = await sql(`DESCRIBE SELECT scored_at FROM '${at('a.parquet')}'`);
    expect(column?.column_type).toBe('TIMESTAMP WITH TIME ZONE');
  });

  test('an ending that says nothing needs a format', async () => {
    const { code, stderr } = await churn('--input', at('customers.parquet'), '--output', at('scores.out'));
    expect(code).toBe(1);
    expect(stderr).toContain('output_format');
    const good = await churn(
      '--input',
      at('customers.parquet'),
      '--output',
      at('scores.out'),
      '--output-format',
      'csv',
    );
    expect(good.code).toBe(0);
    expect(readFileSync(at('scores.out'), 'utf8')).toMatch(
      /^entity_id,score,label,segment,model,version,scored_at,error\n/,
    );
  });
});

describe('inputs', () => {
  test('a query joins, renames and selects', async () => {
    const { code, stderr } = await churn(
      '--query',
      `SELECT customer_id AS id, * EXCLUDE (customer_id) FROM '${at('customers.parquet')}' a
        JOIN (SELECT entity_id FROM read_csv('${at('b.csv')}') WHERE segment = 'High') b ON b.entity_id = a.customer_id;`,
      '--output',
      at('high.parquet'),
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [found] = await sql(
      `SELECT (SELECT count(*) FROM '${at('high.parquet')}') = (SELECT count(*) FROM read_csv('${at('b.csv')}') WHERE segment = 'High') AS same,
        (SELECT count(*)::INTEGER FROM '${at('high.parquet')}' WHERE segment = 'High') AS high`,
    );
    expect(found?.same).toBe(true);
    expect(Number(found?.high)).toBeGreaterThan(0);
  });

  test('a glob is all of its files, in order, whatever the order and types of their columns', async () => {
    await sql(
      `CREATE TABLE customers AS ${customers(300)}`,
      `COPY (SELECT * FROM customers WHERE customer_id <= 100) TO '${at('part-1.parquet')}'`,
      // Integers as pandas writes them where one is missing, and another order.
      `COPY (SELECT satisfaction, tenure_months::DOUBLE AS tenure_months, * EXCLUDE (satisfaction, tenure_months) REPLACE
        (customer_id::DOUBLE AS customer_id) FROM customers WHERE customer_id > 100 AND customer_id <= 200) TO '${at('part-2.parquet')}'`,
      `COPY (SELECT * REPLACE (support_calls::SMALLINT AS support_calls) FROM customers WHERE customer_id > 200) TO '${at('part-3.parquet')}'`,
    );
    const { code, stderr } = await churn('--input', at('part-*.parquet'), '--output', at('parts.parquet'));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [found] = await sql(
      `SELECT count(*)::INTEGER AS n, bool_and(p.entity_id = (p.file_row_number + 1)::VARCHAR) AS ordered, bool_and(p.score = a.score) AS same
        FROM read_parquet('${at('parts.parquet')}', file_row_number = true) p JOIN '${at('a.parquet')}' a USING (entity_id)`,
    );
    expect(found).toEqual({ n: 300, ordered: true, same: true });
  });

  test('features with a default need no column, and a missing value takes it', async () => {
    await sql(
      `COPY (SELECT * EXCLUDE (data_gb) REPLACE (NULL::INTEGER AS late_payments) FROM (${customers(50)})) TO '${at('few.parquet')}'`,
      `COPY (SELECT * REPLACE (0 AS data_gb, 0 AS late_payments) FROM (${customers(50)})) TO '${at('zeros.parquet')}'`,
    );
    expect((await churn('--input', at('few.parquet'), '--output', at('few.csv'))).code).toBe(0);
    expect((await churn('--input', at('zeros.parquet'), '--output', at('zeros.csv'))).code).toBe(0);
    const scores = (name: string) => sql(`SELECT entity_id, score FROM read_csv('${at(name)}') ORDER BY entity_id`);
    expect(await scores('few.csv')).toEqual(await scores('zeros.csv'));
  });

  test('a model without feature names takes the columns by their places', async () => {
    const lines = readFileSync(join(EXAMPLES, 'breast-cancer', 'golden.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const golden = lines.map((line) => JSON.parse(line) as { row: number[]; score: number });
    const names = (golden[0] as { row: number[] }).row.map((_, index) => `measure ${index}`);
    const rows = golden.map(({ row }, index) => [...row, `cell-${index}`].join(','));
    await writeFile(at('cells.csv'), `${[...names, 'id'].join(',')}\n${rows.join('\n')}\n`);
    const { code, stderr } = await run(
      '--model',
      'breast-cancer',
      '--input',
      at('cells.csv'),
      '--output',
      at('cells.jsonl'),
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const scores = await sql(`SELECT entity_id, score FROM read_json('${at('cells.jsonl')}')`);
    expect(scores.map(({ entity_id: id }) => id)).toEqual(golden.map((_, index) => `cell-${index}`));
    for (const [index, { score }] of golden.entries()) expect(scores[index]?.score).toBeCloseTo(score, 5);
  });

  test('an entity is one, however its number is written', async () => {
    await sql(
      `COPY (SELECT customer_id::DOUBLE AS id, * EXCLUDE (customer_id) FROM (${customers(3)})) TO '${at('ids.parquet')}'`,
    );
    await churn('--input', at('ids.parquet'), '--output', at('ids.csv'));
    expect(
      (await sql(`SELECT entity_id::VARCHAR AS id FROM read_csv('${at('ids.csv')}')`)).map(({ id }) => id),
    ).toEqual(['1', '2', '3']);
  });

  test('an input without rows gives an output without rows', async () => {
    await sql(`COPY (${customers(3)} LIMIT 0) TO '${at('none.parquet')}'`);
    const { code, stdout } = await churn('--input', at('none.parquet'), '--output', at('none.csv'), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ rows: 0, scored: 0 });
    expect(readFileSync(at('none.csv'), 'utf8').trim().split('\n')).toHaveLength(1);
  });
});

describe('bad rows', () => {
  const HEAD =
    'customer_id,tenure_months,plan,contract,payment_method,region,paperless_billing,monthly_charges,data_gb,support_calls,late_payments,satisfaction';
  const LINES = [
    '1,40,premium,monthly,card,north,True,65.36,19.3,2,0,5.0',
    '2,forty,premium,monthly,card,north,True,65.36,19.3,2,0,5.0',
    '3,5.5,premium,monthly,card,north,True,65.36,19.3,2,0,',
    '4,40,,monthly,card,north,True,65.36,19.3,2,0,5.0',
    ',40,premium,monthly,card,north,True,65.36,19.3,2,0,5.0',
    '6,40,premium,monthly,card,north,maybe,65.36,19.3,2,0,5.0',
    '7,40,premium',
    '8,40,premium,monthly,card,north,True,inf,19.3,2,0,5.0',
    '9,9223372036854775808,premium,monthly,,,,65.36,,,,nan',
    '10,40.0,premium,monthly,,,,1e2,,,,nan',
  ];

  test('are in the output with their reason, and in the reject file with their values; the others are scored', async () => {
    await writeFile(at('bad.csv'), `${HEAD}\n${LINES.join('\n')}\n`);
    const { code, stdout } = await churn('--input', at('bad.csv'), '--output', at('bad.scores.csv'), '--json');
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      rows: 10,
      scored: 2,
      rejected: { INVALID_ROW: 6, MALFORMED_LINE: 1, NO_ENTITY: 1 },
    });
    const rows = await sql(
      `SELECT entity_id::INTEGER AS id, score IS NOT NULL AS scored, error FROM read_csv('${at('bad.scores.csv')}')`,
    );
    expect(rows).toEqual([
      { id: 1, scored: true, error: null },
      { id: 2, scored: false, error: 'tenure_months: expected an integer, found text "forty"' },
      { id: 3, scored: false, error: 'tenure_months: expected an integer, found text "5.5"' },
      { id: 4, scored: false, error: 'plan: expected text, found nothing' },
      { id: 6, scored: false, error: 'paperless_billing: expected a flag, found text "maybe"' },
      { id: 8, scored: false, error: 'monthly_charges: expected a finite 32-bit number, found Infinity' },
      { id: 9, scored: false, error: 'tenure_months: expected an integer, found text "9223372036854775808"' },
      { id: 10, scored: true, error: null },
    ]);
    const rejects = readFileSync(at('bad.scores.csv.rejects.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rejects).toHaveLength(8);
    expect(rejects[0]).toMatchObject({ line: 8, reason: 'MALFORMED_LINE', values: '7,40,premium' });
    expect(rejects[1]).toMatchObject({
      row: 1,
      entity_id: '2',
      reason: 'INVALID_ROW',
      field: 'tenure_months',
      values: { tenure_months: 'forty', plan: 'premium', paperless_billing: true },
    });
    expect(rejects.find(({ reason }) => reason === 'NO_ENTITY')).toMatchObject({ row: 4, field: 'entity' });
  });

  test('are as many as the job allows, or it counts as failed', async () => {
    const args = ['--input', at('bad.csv'), '--output', at('allowed.csv')];
    expect((await churn(...args, '--max-rejected', '0.8')).code).toBe(0);
    const { code, stdout } = await churn(...args, '--max-rejected', '0.79');
    expect(code).toBe(3);
    expect(stdout).toContain('More rows were rejected than the job allows (79 %)');
  });

  test('of an earlier run are gone when there are none any more', async () => {
    await churn('--input', at('bad.csv'), '--output', at('mended.csv'));
    expect(readdirSync(folder)).toContain('mended.csv.rejects.jsonl');
    await churn('--input', at('customers.csv'), '--output', at('mended.csv'));
    expect(readdirSync(folder)).not.toContain('mended.csv.rejects.jsonl');
  });

  test('of JSON lines: what is no object, and what is of another kind', async () => {
    const good = JSON.parse(readFileSync(at('customers.jsonl'), 'utf8').split('\n')[0] as string);
    await writeFile(
      at('bad.jsonl'),
      [
        'not json',
        JSON.stringify(good),
        '[1]',
        JSON.stringify({ ...good, customer_id: 'b', monthly_charges: 'x' }),
      ].join('\n'),
    );
    const { stdout } = await churn('--input', at('bad.jsonl'), '--output', at('badj.jsonl'), '--json');
    expect(JSON.parse(stdout)).toMatchObject({ rows: 4, scored: 1, rejected: { INVALID_ROW: 1, MALFORMED_LINE: 2 } });
    const rows = await sql(`SELECT entity_id, error FROM read_json('${at('badj.jsonl')}')`);
    expect(rows).toEqual([
      { entity_id: String(good.customer_id), error: null },
      { entity_id: 'b', error: 'monthly_charges: expected a number, found text "x"' },
    ]);
  });
});

describe('what can not be run', () => {
  test.each([
    ['an input that is not there', ['--input', '/nowhere/x.parquet'], 'input: /nowhere/x.parquet: no such file'],
    ['a file that is no Parquet', ['--input', 'README.md', '--input-format', 'parquet'], 'input: '],
    ['no input', [], '--input'],
    ['two inputs', ['--input', 'a.csv', '--query', 'SELECT 1'], 'either this or a query'],
    ['a query that is none', ['--query', 'SELEC 1'], 'query: '],
    ['an entity that is no column', ['--input', 'IN', '--entity', 'who'], 'input: entity: there is no column who'],
  ])('%s is said in one line, and leaves nothing behind', async (_what, args, message) => {
    const left = await leaving(async (to) => {
      const given = args.map((arg) => (arg === 'IN' ? at('customers.csv') : arg));
      const { code, stderr, stdout } = await churn(...given, '--output', join(to, 'x.csv'));
      expect(code).toBe(1);
      expect(stderr).toContain(message);
      expect(stderr).not.toContain('    at ');
      expect(stdout).toBe('');
    });
    expect(left).toEqual([]);
  });

  test('columns that do not fit the model are all named', async () => {
    await sql(
      `COPY (SELECT customer_id, plan, contract AS contrakt, 7 AS region, 'x' AS monthly_charges, satisfaction
        FROM (${customers(3)})) TO '${at('other.parquet')}'`,
    );
    const { code, stderr } = await churn('--input', at('other.parquet'), '--output', at('other.csv'));
    expect(code).toBe(1);
    expect(stderr).toContain('expected a column tenure_months, found none');
    expect(stderr).toContain('expected a column contract, found none (there is contrakt)');
    expect(stderr).toContain('column region is INTEGER, and region is text');
    expect(stderr).toContain('column monthly_charges is VARCHAR, and monthly_charges is a number');
  });

  test('a model that is not there is said with those that are', async () => {
    const { code, stderr } = await run('--model', 'chrun', '--input', at('customers.csv'), '--output', at('x.csv'));
    expect(code).toBe(1);
    expect(stderr).toContain('has no model chrun; it has breast-cancer, churn');
  });

  test('leaves the output of the run before it as it was', async () => {
    await writeFile(at('kept.csv'), 'yesterday\n');
    expect((await churn('--input', at('other.parquet'), '--output', at('kept.csv'))).code).toBe(1);
    expect(readFileSync(at('kept.csv'), 'utf8')).toBe('yesterday\n');
  });
});

describe('a job of a jobs file', () => {
  test('is run by its name', async () => {
    await writeFile(
      at('jobs.yaml'),
      `nightly:\n  model: churn\n  input: ${at('customers.parquet')}\n  output: ${at('nightly.parquet')}\n`,
    );
    const { code, stdout } = await run('nightly', '--jobs', at('jobs.yaml'), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ model: 'churn', version: 1, rows: CUSTOMERS, scored: CUSTOMERS });
    const { stderr } = await run('weekly', '--jobs', at('jobs.yaml'));
    expect(stderr).toContain('has no job weekly; it has nightly');
  });

  test('is refused with every mistake in the file', async () => {
    await writeFile(at('wrong.yaml'), 'a:\n  model: churn\n  inptu: x\n  output: y.csv\nb: 7\n');
    const { code, stderr } = await run('a', '--jobs', at('wrong.yaml'));
    expect(code).toBe(1);
    expect(stderr).toContain('a.inptu: found "x"; allowed is one of model, version, input');
    expect(stderr).toContain('b: found 7; allowed is a map of keys');
  });
});

test('the summary says rows, segments, errors by reason, time and rate', async () => {
  const { stdout, stderr } = await churn('--input', at('customers.parquet'), '--output', at('summary.csv'));
  expect(stdout).toMatch(/^rows +5,000$/m);
  expect(stdout).toMatch(/^ {2}High +[\d,]+ \([\d.]+ %\)$/m);
  expect(stdout).toMatch(/^high risk +[\d,]+ \(High\)$/m);
  expect(stdout).toMatch(/^rejected +0 \(0\.0 %\)$/m);
  expect(stdout).toMatch(/^seconds +[\d.]+$/m);
  expect(stdout).toMatch(/^rows a second +[\d,]+$/m);
  // Plain lines where nobody looks on.
  expect(stderr).toMatch(/^0 of 5,000 rows \(0 %\)$/m);
  expect(stderr).not.toContain('\r');
});
