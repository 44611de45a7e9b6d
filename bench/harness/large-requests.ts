// ScoreBatch requests of some fifty megabytes, of each kind that takes its own way through the server.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { ScoreRequest } from '../../src/gen/scorewire/v1/scoring.ts';
import { EXAMPLE_MODELS } from './settings.ts';

export interface LargeRequest {
  kind: string;
  message: Uint8Array;
  rows: number;
}

const BYTES = 50_000_000;

// Tags of ScoreBatchRequest and of what is in it: field number times 8, and the wire type.
const MODEL = 10;
const MATRIX = 34;
const COLUMNS = 42;
const MATRIX_COLUMNS = 8;
const MATRIX_VALUES = 18;
const ENTRY = 10;
const NAME = 10;
const COLUMN = 18;
const NUMBERS = 10;
const INTEGERS = 18;
const TEXT = 26;
const FLAGS = 34;

type Golden = { row: number[] | Record<string, number | string | boolean> };

function golden(model: string): Golden['row'][] {
  return readFileSync(join(EXAMPLE_MODELS, model, 'golden.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => (JSON.parse(line) as Golden).row);
}

/** A single row, as the callers beside the large requests send it. */
export function smallRequests(): Uint8Array[] {
  return (golden('breast-cancer') as number[][]).map((values) =>
    ScoreRequest.encode({
      model: 'breast-cancer',
      row: { form: { $case: 'dense', value: { values } } },
      policy: 0,
      outputNames: [],
    }).finish(),
  );
}

export function largeRequests(): LargeRequest[] {
  return [matrix(), columns()];
}

function matrix(): LargeRequest {
  const rows = golden('breast-cancer') as number[][];
  const width = (rows[0] as number[]).length;
  const block = Buffer.from(Float32Array.from(rows.flat()).buffer);
  const times = Math.floor(BYTES / block.length);
  const message = new BinaryWriter().uint32(MODEL).string('breast-cancer').uint32(MATRIX).fork();
  message.uint32(MATRIX_COLUMNS).uint32(width).uint32(MATRIX_VALUES).bytes(repeated(block, times));
  return { kind: 'matrix', message: message.join().finish(), rows: rows.length * times };
}

/** Texts, integers, flags and numbers. */
function columns(): LargeRequest {
  const rows = golden('churn') as Record<string, number | string | boolean>[];
  const names = Object.keys(rows[0] as object);
  const lists = names.map((name) => {
    const values = rows.map((row) => row[name]);
    const list = new BinaryWriter();
    if (typeof values[0] === 'string') for (const value of values) list.uint32(TEXT).string(value as string);
    else if (typeof values[0] === 'boolean') for (const value of values) list.bool(value as boolean);
    else if (values.every(Number.isInteger)) for (const value of values) list.int64(value as number);
    else for (const value of values) list.double(value as number);
    const tag = typeof values[0] === 'boolean' ? FLAGS : values.every(Number.isInteger) ? INTEGERS : NUMBERS;
    return { name, tag: typeof values[0] === 'string' ? undefined : tag, bytes: Buffer.from(list.finish()) };
  });
  const times = Math.floor(BYTES / lists.reduce((sum, { bytes }) => sum + bytes.length, 0));
  const message = new BinaryWriter().uint32(MODEL).string('churn').uint32(COLUMNS).fork();
  for (const { name, tag, bytes } of lists) {
    message.uint32(ENTRY).fork().uint32(NAME).string(name).uint32(COLUMN).fork();
    const all = repeated(bytes, times);
    if (tag === undefined) message.raw(all);
    else message.uint32(tag).bytes(all);
    message.join().join();
  }
  return { kind: 'columns', message: message.join().finish(), rows: rows.length * times };
}

/** ModelInfer requests of as many bytes: raw, as a list of floats, and texts, integers and flags as lists. */
export function largeInfers(): LargeRequest[] {
  return [floats('ModelInfer, raw'), floats('ModelInfer, typed'), lists()];
}

// Tags of ModelInferRequest and of what is in it.
const MODEL_NAME = 10;
const INPUT = 42;
const RAW = 58;
const INPUT_NAME = 10;
const DATATYPE = 18;
const SHAPE = 26;
const CONTENTS = 42;
const CONTENTS_OF: Readonly<Record<string, number>> = { BOOL: 10, INT64: 26, FP32: 50, FP64: 58 };
const TEXTS_OF = 66;

function floats(kind: 'ModelInfer, raw' | 'ModelInfer, typed'): LargeRequest {
  const rows = golden('breast-cancer') as number[][];
  const width = (rows[0] as number[]).length;
  const block = Buffer.from(Float32Array.from(rows.flat()).buffer);
  const times = Math.floor(BYTES / block.length);
  const values = repeated(block, times);
  const message = new BinaryWriter().uint32(MODEL_NAME).string('breast-cancer').uint32(INPUT).fork();
  putHead(message, 'input', 'FP32', [rows.length * times, width]);
  if (kind === 'ModelInfer, typed')
    message
      .uint32(CONTENTS)
      .fork()
      .uint32(CONTENTS_OF.FP32 as number)
      .bytes(values)
      .join();
  message.join();
  if (kind === 'ModelInfer, raw') message.uint32(RAW).bytes(values);
  return { kind, message: message.finish(), rows: rows.length * times };
}

const CHURN_TYPES = {
  tenure_months: 'INT64',
  plan: 'BYTES',
  contract: 'BYTES',
  payment_method: 'BYTES',
  region: 'BYTES',
  paperless_billing: 'BOOL',
  monthly_charges: 'FP32',
  data_gb: 'FP32',
  support_calls: 'INT64',
  late_payments: 'INT64',
  satisfaction: 'FP32',
};

function lists(): LargeRequest {
  const rows = golden('churn') as Record<string, number | string | boolean>[];
  const columns = Object.entries(CHURN_TYPES).map(([name, datatype]) => {
    const list = new BinaryWriter();
    for (const row of rows) {
      // NaN is null in JSON.
      const value = row[name] ?? Number.NaN;
      if (datatype === 'BYTES') list.uint32(TEXTS_OF).string(value as string);
      else if (datatype === 'BOOL') list.bool(value as boolean);
      else if (datatype === 'INT64') list.int64(value as number);
      else if (datatype === 'FP64') list.double(value as number);
      else list.float(value as number);
    }
    return { name, datatype, bytes: Buffer.from(list.finish()) };
  });
  // Each text counts for what it takes in memory: of twice as many there would be too much of it.
  const times = Math.floor(BYTES / 2 / columns.reduce((sum, { bytes }) => sum + bytes.length, 0));
  const message = new BinaryWriter().uint32(MODEL_NAME).string('churn');
  for (const { name, datatype, bytes } of columns) {
    message.uint32(INPUT).fork();
    putHead(message, name, datatype, [rows.length * times, 1]);
    message.uint32(CONTENTS).fork();
    const all = repeated(bytes, times);
    if (datatype === 'BYTES') message.raw(all);
    else message.uint32(CONTENTS_OF[datatype] as number).bytes(all);
    message.join().join();
  }
  return { kind: 'ModelInfer, texts and integers', message: message.finish(), rows: rows.length * times };
}

function putHead(message: BinaryWriter, name: string, datatype: string, shape: readonly number[]): void {
  message.uint32(INPUT_NAME).string(name).uint32(DATATYPE).string(datatype).uint32(SHAPE).fork();
  for (const dim of shape) message.int64(dim);
  message.join();
}

function repeated(bytes: Buffer, times: number): Buffer {
  return Buffer.alloc(bytes.length * times, bytes);
}
