// Golden rows: what the training library said of some rows, one JSON object a line.

import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { SetupError } from '../errors.ts';
import { foundAndAllowed } from './wording.ts';

/** NaN for null. */
export type GoldenValue = number | string | boolean;

export type GoldenRow = {
  /** Where it stands in the file, from 1. */
  line: number;
  /** Values in the order of a dense row, or by feature name. */
  row: readonly number[] | ReadonlyMap<string, GoldenValue>;
  score?: number;
  /** Class index. */
  label?: number;
  /** A row's elements of each output, by its name. */
  outputs: ReadonlyMap<string, readonly (number | string)[]>;
};

const nanOr = <T extends z.ZodType>(schema: T) => z.union([z.null().transform(() => Number.NaN), schema]);

const lineSchema = z.strictObject(
  {
    row: z.union(
      [z.array(nanOr(z.number())), z.record(z.string(), nanOr(z.union([z.number(), z.string(), z.boolean()])))],
      { error: 'a list of numbers or a map of values by feature name' },
    ),
    score: z.number({ error: 'a number' }).optional(),
    label: z.int({ error: 'a class index' }).min(0, { error: 'a class index' }).optional(),
    outputs: z
      .record(z.string(), z.array(nanOr(z.union([z.number(), z.string()]))), {
        error: 'a map of lists of numbers or texts, by output name',
      })
      .optional(),
  },
  { error: 'an object with row, score, label and outputs' },
);

/** Reads a file of golden rows. Throws SetupError, which names file and line. */
export async function readGolden(file: string): Promise<GoldenRow[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new SetupError(`${file} can't be read: ${(error as Error).message}`, error);
  }
  return parseGolden(text, file);
}

/** As `readGolden`, of the file's text; empty lines are skipped. */
export function parseGolden(text: string, file: string): GoldenRow[] {
  const rows = text
    .split('\n')
    .flatMap((line, index) => (line.trim() === '' ? [] : [parseLine(line, index + 1, `${file}:${index + 1}`)]));
  if (rows.length === 0)
    throw new SetupError(`${file} has no rows; expected is a line such as {"row": [1, 2], "score": 0.5}`);
  return rows;
}

function parseLine(text: string, line: number, place: string): GoldenRow {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new SetupError(`${place}: not valid JSON: ${(error as Error).message}`, error);
  }
  const parsed = lineSchema.safeParse(content);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new SetupError(`${place}: ${issue === undefined ? 'wrong' : explain(content, issue)}`);
  }
  const { row, score, label, outputs = {} } = parsed.data;
  if (score === undefined && label === undefined && Object.keys(outputs).length === 0) {
    throw new SetupError(`${place}: expects nothing; allowed are score, label and outputs beside the row`);
  }
  return { line, row: Array.isArray(row) ? row : asMap(row), score, label, outputs: asMap(outputs) };
}

function explain(content: unknown, issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    return `${issue.keys.join(', ')}: no such key; allowed are row, score, label and outputs`;
  }
  return foundAndAllowed(content, issue.path, issue.message);
}

function asMap<T>(record: Readonly<Record<string, T>>): Map<string, T> {
  return new Map(Object.entries(record));
}
