// What comes as input: names that look like patterns, files that differ, lines of JSON as they are, values that can't be read,
// and paths that must not be the same.

import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { EXAMPLES, tempFolder } from '../support/model-folder.ts';
import { customers, sql } from '../support/tables.ts';

let folder: string;
const at = (name: string): string => join(folder, name);

beforeEach(async () => {
  folder = await tempFolder();
});

const churn = (...args: string[]) =>
  runCommand(['job', 'run', '--models', EXAMPLES, '--workers', '1', '--model', 'churn', ...args]);

/** The scores of a job over these inputs, by entity. */
async function scores(...args: string[]): Promise<Map<string, number | null>> {
  const { code, stderr } = await churn(...args, '--output', at('out.csv'), '--max-rejected', '1');
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const rows = await sql(`SELECT entity_id, score FROM read_csv('${at('out.csv')}', all_varchar = true)`);
  expect(new Set(rows.map(({ entity_id: id }) => id)).size).toBe(rows.length);
  return new Map(rows.map(({ entity_id: id, score }) => [id as string, score === null ? null : Number(score)]));
}

async function refusal(...args: string[]): Promise<string> {
  const { code, stderr, stdout } = await churn(...args);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).not.toContain('    at ');
  return stderr;
}

describe('names', () => {
  test.each(['parquet', 'csv', 'jsonl'])('with brackets and stars in them are names: .%s', async (format) => {
    const options = { parquet: '', csv: '(HEADER)', jsonl: '(FORMAT json)' }[format];
    const write = (rows: string, name: string) =>
      sql(`COPY (SELECT * FROM (${customers(9)}) WHERE customer_id IN (${rows})) TO '${at(name)}' ${options}`);
    await write('1, 2', `a1.${format}`);
    await write('3', `a[1].${format}`);
    await write('4', `a*.${format}`);
    expect([...(await scores('--input', at(`a*.${format}`))).keys()]).toEqual(['4']);
    expect([...(await scores('--input', at(`a[1].${format}`))).keys()]).toEqual(['3']);
    expect([...(await scores('--input', at(`a?*.${format}`))).keys()].sort()).toEqual(['1', '2', '3', '4']);
  });
});

describe('files of one input', () => {
  test('may have columns of other types, and lack those that have a default: Parquet', async () => {
    const all = await scoresOf(customers(9));
    await sql(
      `COPY (SELECT * FROM (${customers(9)}) WHERE customer_id <= 3) TO '${at('p1.parquet')}'`,
      `COPY (SELECT * REPLACE (monthly_charges::INTEGER AS monthly_charges, data_gb::DECIMAL(9, 2) AS data_gb,
        paperless_billing::INTEGER AS paperless_billing) FROM (${customers(9)}) WHERE customer_id BETWEEN 4 AND 6) TO '${at('p2.parquet')}'`,
      `COPY (SELECT * EXCLUDE (region) FROM (${customers(9)}) WHERE customer_id >= 7) TO '${at('p3.parquet')}'`,
    );
    const found = await scores('--input', at('p*.parquet'));
    expect([...found.keys()]).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
    for (const id of ['1', '2', '3', '4', '5', '6']) expect(found.get(id)).toBeCloseTo(all.get(id) as number, 6);
    const alone = await scores('--input', at('p3.parquet'));
    for (const id of ['7', '8', '9']) expect(found.get(id)).toBe(alone.get(id));
  });

  test('may lack columns that have a default, the first one too: CSV', async () => {
    await sql(
      `COPY (SELECT * EXCLUDE (data_gb) FROM (${customers(3)})) TO '${at('1.csv')}' (HEADER)`,
      `COPY (SELECT * FROM (${customers(6)}) WHERE customer_id > 3) TO '${at('2.csv')}' (HEADER)`,
    );
    const found = await scores('--input', at('*.csv'));
    const [first, second] = [await scores('--input', at('1.csv')), await scores('--input', at('2.csv'))];
    expect(found).toEqual(new Map([...first, ...second]));
  });

  test('are refused before the first row where one lacks what is needed', async () => {
    await sql(
      `COPY (${customers(3)}) TO '${at('p1.parquet')}'`,
      `COPY (SELECT * EXCLUDE (plan) FROM (${customers(3)})) TO '${at('p2.parquet')}'`,
    );
    expect(await refusal('--input', at('*.parquet'), '--output', at('x.csv'))).toContain(
      `input: ${at('p2.parquet')}: expected a column plan, found none`,
    );
    expect(existsSync(at('x.csv.job'))).toBe(false);
  });
});

async function scoresOf(table: string): Promise<Map<string, number | null>> {
  await sql(`COPY (${table}) TO '${at('all.parquet')}'`);
  return scores('--input', at('all.parquet'));
}

describe('JSON lines', () => {
  const ROW = {
    customer_id: 1,
    tenure_months: 40,
    plan: 'premium',
    contract: 'monthly',
    monthly_charges: 65,
    satisfaction: 5,
  };

  test('have their keys in any case, line by line, and any keys beside', async () => {
    const { plan, ...rest } = ROW;
    const lines = [
      { ...ROW, region: 'south' },
      { ...rest, customer_id: 2, Plan: plan, REGION: 'south', '': 1, 'a/b~"c': 2 },
      { ...ROW, customer_id: 3, region: 'south' },
    ];
    await writeFile(at('in.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
    const found = await scores('--input', at('in.jsonl'));
    expect([...found.keys()]).toEqual(['1', '2', '3']);
    expect(new Set(found.values()).size).toBe(1);
  });

  test('of a model without feature names go by the order of their keys', async () => {
    const golden = readFileSync(join(EXAMPLES, 'breast-cancer', 'golden.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .slice(0, 4);
    const rows = golden.map((line) => JSON.parse(line) as { row: number[]; score: number });
    const name = (index: number): string => `${String.fromCharCode(122 - (index % 26))}${index}`;
    const lines = rows.map(({ row }, id) =>
      JSON.stringify({ ...Object.fromEntries(row.map((value, index) => [name(index), value])), id }),
    );
    await writeFile(at('in.jsonl'), lines.join('\n'));
    const run = [
      'job',
      'run',
      '--models',
      EXAMPLES,
      '--model',
      'breast-cancer',
      '--workers',
      '1',
      '--input',
      at('in.jsonl'),
    ];
    expect((await runCommand([...run, '--output', at('out.jsonl')])).code).toBe(0);
    const found = await sql(`SELECT score FROM read_json('${at('out.jsonl')}')`);
    for (const [index, { score }] of rows.entries()) expect(found[index]?.score).toBeCloseTo(score, 5);
  });

  test('that are none are rejected with their number and what they say', async () => {
    await writeFile(at('in.jsonl'), [JSON.stringify(ROW), '', '{"customer_id": 2, "tenu', '[1]'].join('\n'));
    await scores('--input', at('in.jsonl'));
    const rejects = readFileSync(at('out.csv.rejects.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rejects).toMatchObject([
      { line: 3, reason: 'MALFORMED_LINE', values: '{"customer_id": 2, "tenu' },
      { line: 4, reason: 'MALFORMED_LINE', values: [1] },
    ]);
  });
});

test('a file of JSON lines without a line gives an output without rows; an array is none', async () => {
  await writeFile(at('in.jsonl'), '');
  expect((await scores('--input', at('in.jsonl'))).size).toBe(0);
  await writeFile(at('in.jsonl'), '[{"customer_id": 1}]\n');
  expect(await refusal('--input', at('in.jsonl'), '--output', at('x.csv'))).toContain('no line is a JSON object');
});

test('every value that can not be read is said, and in the reject file as it was', async () => {
  await writeFile(
    at('in.csv'),
    'customer_id,tenure_months,plan,contract,monthly_charges,satisfaction,data_gb\n1,"a:é😀",basic,monthly,"1,5",5,x\n',
  );
  await scores('--input', at('in.csv'));
  const reject = JSON.parse(readFileSync(at('out.csv.rejects.jsonl'), 'utf8'));
  expect(reject.values).toMatchObject({ tenure_months: 'a:é😀', monthly_charges: '1,5', data_gb: 'x', plan: 'basic' });
  expect(reject.message).toContain('tenure_months: expected an integer, found text "a:é😀"');
  expect(reject.message).toContain('monthly_charges: expected a number, found text "1,5"');
  expect(reject.message).toContain('data_gb: expected a number, found text "x"');
});

test.each([['id', '1.0\n2.00\n007\n1e3', ['1', '2', '007', '1e3']]])(
  'entities in texts: %s',
  async (_name, ids, expected) => {
    const lines = ids.split('\n').map((id) => `${id},5,basic,monthly,20,5`);
    await writeFile(at('in.csv'), `id,tenure_months,plan,contract,monthly_charges,satisfaction\n${lines.join('\n')}\n`);
    expect([...(await scores('--input', at('in.csv'))).keys()]).toEqual(expected);
  },
);

test('integers beyond 2^53 stay what they are, as entities and as features', async () => {
  await sql(
    `COPY (SELECT 9007199254740993 AS id, * EXCLUDE (customer_id) FROM (${customers(1)})) TO '${at('a.parquet')}'`,
    `COPY (SELECT 5 AS id, * EXCLUDE (customer_id) REPLACE (7.5::DECIMAL(38, 1) AS tenure_months) FROM (${customers(1)})) TO '${at('b.parquet')}'`,
  );
  expect([...(await scores('--input', at('a.parquet'))).keys()]).toEqual(['9007199254740993']);
  expect((await scores('--input', at('b.parquet'))).get('5')).toBeNull();
  expect(readFileSync(at('out.csv'), 'utf8')).toContain('expected an integer, found text ""7.5""');
});

describe('queries', () => {
  test.each(['-- all of them', ';', '; \n', '/* x */'])('may end in %j', async (end) => {
    await sql(`COPY (${customers(3)}) TO '${at('c.parquet')}'`);
    expect((await scores('--query', `SELECT * FROM '${at('c.parquet')}' ${end}`)).size).toBe(3);
  });

  test('are one SELECT, and nothing that leaves it', async () => {
    const query = `SELECT 1 AS id) t; COPY (SELECT 42) TO '${at('written.csv')}'; SELECT * FROM (FROM range(3)`;
    expect(await refusal('--query', query, '--output', at('x.csv'))).toContain('query: Parser Error');
    expect(existsSync(at('written.csv'))).toBe(false);
  });
});

describe('what a job writes', () => {
  beforeEach(async () => {
    await sql(`COPY (${customers(3)}) TO '${at('in.parquet')}'`);
  });

  test.each([
    ['the input', ['--output', 'in.parquet'], 'output: '],
    ['the input by another path', ['--output', 'x/../in.parquet'], 'output: '],
    ['the input, as reject file', ['--output', 'o.csv', '--rejects', 'in.parquet'], 'rejects: '],
    ['the reject file', ['--output', 'o.csv', '--rejects', 'o.csv'], 'rejects: '],
    ['a folder', ['--output', '.', '--output-format', 'csv'], 'output: '],
  ])('is not %s', async (_what, args, message) => {
    const before = readFileSync(at('in.parquet'));
    const given = args.map((arg, index) => (['--output', '--rejects'].includes(args[index - 1] ?? '') ? at(arg) : arg));
    expect(await refusal('--input', at('in.parquet'), ...given)).toContain(message);
    expect(readFileSync(at('in.parquet'))).toEqual(before);
  });

  test('may lie in folders that are not there yet', async () => {
    const { code } = await churn(
      '--input',
      at('in.parquet'),
      '--output',
      at('a/b/o.csv'),
      '--rejects',
      at('c/r.jsonl'),
    );
    expect(code).toBe(0);
    expect(existsSync(at('a/b/o.csv'))).toBe(true);
  });
});

test('a job by name takes no flags that say something else', async () => {
  await writeFile(at('jobs.yaml'), `n: { model: churn, input: ${at('x.parquet')}, output: ${at('o.csv')} }\n`);
  for (const flag of [
    ['--max-rejected', '0.5'],
    ['--output-format', 'jsonl'],
    ['--model-version', '7'],
  ]) {
    const { code, stderr } = await runCommand(['job', 'run', 'n', '--jobs', at('jobs.yaml'), ...flag]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${flag[0]}: job n says that itself`);
  }
});

test('a version that is not there is said in one line', async () => {
  await sql(`COPY (${customers(3)}) TO '${at('in.parquet')}'`);
  const said = await refusal('--input', at('in.parquet'), '--output', at('o.csv'), '--model-version', '7');
  expect(said).toMatch(/^scorewire: model: .*7/m);
});
