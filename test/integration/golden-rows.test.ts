// Every golden row of every example model, through the whole server, many at once: what comes out is what the training
// library said, and what onnxruntime gives for the row alone, whatever batch it rode in.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GoldenRow, readGolden } from '../../src/models/golden.ts';
import type { ModelSpec } from '../../src/models/model.ts';
import { readRepository } from '../../src/models/repository.ts';
import { concurrently } from '../support/concurrently.ts';
import { patientExamples } from '../support/model-folder.ts';
import { Reference } from '../support/reference.ts';
import type { RowInit } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const IN_FLIGHT = 64;
/** What rounding may do to a score that rides in a matrix of many rows. */
const ROUNDING = 1e-6;

let server: TestServer;
const live = new Map<string, ModelSpec>();

beforeAll(async () => {
  const folder = await patientExamples();
  for (const spec of (await readRepository(folder)).specs) live.set(spec.name, spec);
  server = await TestServer.start(folder, ['workers.count=2']);
});

afterAll(() => server.stop());

const names = ['breast-cancer', 'churn', 'diabetes', 'digits', 'digits-int8', 'wine'];

test('the examples are those that are tested here', () => {
  expect([...live.keys()]).toEqual(names);
});

describe.each(names)('%s', (name) => {
  test(`${IN_FLIGHT} golden rows in flight: the training library's scores, onnxruntime's own`, async () => {
    const spec = live.get(name) as ModelSpec;
    const { file, tolerance } = spec.golden as { file: string; tolerance: number };
    const golden = await readGolden(file);
    const reference = await Reference.load(spec);
    const alone: number[] = [];
    for (const { row } of golden) alone.push(await reference.score(row));

    // Several times over, so that rows meet others in their batches.
    const calls = [0, 1, 2].flatMap(() => golden.map((row, index) => ({ row, index })));
    const outputNames = [...(golden[0] as GoldenRow).outputs.keys()];
    const answers = await concurrently(IN_FLIGHT, calls, ({ row }) =>
      server.client.score(name, rowInit(row), { outputNames }),
    );

    for (const [call, { row, index }] of calls.entries()) {
      const answer = answers[call];
      if (answer === undefined) throw new Error('no answer');
      const where = `line ${row.line}`;
      expect(answer.version, where).toBe(BigInt(spec.version));
      expect(Math.abs(answer.score - (alone[index] as number)), where).toBeLessThanOrEqual(ROUNDING);
      if (row.score !== undefined) expect(Math.abs(answer.score - row.score), where).toBeLessThanOrEqual(tolerance);
      expect(answer.label, where).toBe(row.label);
      for (const [output, expected] of row.outputs) {
        const found = answer.outputs.get(output)?.floats ?? [];
        expect(found.length, where).toBe(expected.length);
        for (const [i, value] of expected.entries()) {
          expect(Math.abs((found[i] as number) - (value as number)), where).toBeLessThanOrEqual(tolerance);
        }
      }
    }

    const largest = Math.max(...answers.map((answer) => answer.timing?.batchRows ?? 0));
    if (name === 'digits-int8') expect(largest).toBe(1);
    else expect(largest).toBeGreaterThan(1);
  });
});

test('an older version answers with its own scores', async () => {
  const older = (
    await readRepository(live.get('diabetes')?.directory.replace(/\/diabetes\/\d+$/, '') as string)
  ).specs.find((spec) => spec.name === 'diabetes' && spec.version === 1) as ModelSpec;
  const reference = await Reference.load(older);
  const rows = await readGolden(older.golden?.file as string);
  const answers = await concurrently(IN_FLIGHT, rows, (row) =>
    server.client.score('diabetes', rowInit(row), { version: 1n }),
  );
  for (const [index, answer] of answers.entries()) {
    const alone = await reference.score((rows[index] as GoldenRow).row);
    expect(answer.version).toBe(1n);
    expect(Math.abs(answer.score - alone)).toBeLessThanOrEqual(ROUNDING);
  }
});

function rowInit({ row }: GoldenRow): RowInit {
  return row instanceof Map ? Object.fromEntries(row) : (row as readonly number[]);
}
