// How to call the server, as lines that work when pasted.
import type { Settings } from '../config/settings.ts';
import { type Row, type RowValue, rowOf } from '../features/row.ts';
import { readGolden } from '../models/golden.ts';
import type { ServedModel } from '../scoring/served-model.ts';

/**
 * A `scorewire score` line and a grpcurl line for the model that shows most in the shortest row; none without golden
 * rows.
 */
export async function callHints(
  models: readonly ServedModel[],
  address: string,
  tls: Settings['tls'],
): Promise<string[]> {
  const examples: { name: string; row: Row; rank: number }[] = [];
  for (const { spec } of models) {
    if (spec.golden === undefined || spec.score === undefined) continue;
    const [first] = await readGolden(spec.golden.file);
    if (first === undefined) continue;
    const row = rowOf(first.row);
    // Names tell more than numbers, and a binary model has label and segment to show.
    const rank = (row.form === 'named' ? 0 : 2) + (spec.task === 'binary' ? 0 : 1);
    examples.push({ name: spec.name, row, rank });
  }
  examples.sort((a, b) => a.rank - b.rank || size(a.row) - size(b.row));
  const [example] = examples;
  if (example === undefined) return [];
  const secure = tls.cert !== undefined;
  // Whoever must show a certificate has one; the server can't know where.
  const mutual = tls.clientCa !== undefined;
  const grpcurl = secure
    ? `grpcurl -cacert ${quote(tls.cert as string)}${mutual ? ' -cert CLIENT.pem -key CLIENT-KEY.pem' : ''}`
    : 'grpcurl -plaintext';
  const message = JSON.stringify({ model: example.name, row: toMessage(example.row) });
  const flags = secure
    ? ` --ca ${quote(tls.cert as string)}${mutual ? ' --cert CLIENT.pem --key CLIENT-KEY.pem' : ''}`
    : '';
  return [
    `try: npx scorewire score ${example.name} --address ${address}${flags} --row ${quote(JSON.stringify(toJson(example.row)))}`,
    `try: ${grpcurl} -d ${quote(message)} ${address} scorewire.v1.ScoringService/Score`,
  ];
}

function size(row: Row): number {
  return row.form === 'dense' ? row.values.length : row.values.size;
}

function toJson(row: Row): unknown {
  if (row.form === 'dense') return Array.from(row.values);
  return Object.fromEntries(
    [...row.values].map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  );
}

function toMessage(row: Row): unknown {
  if (row.form === 'dense') return { dense: { values: Array.from(row.values, jsonNumber) } };
  return {
    named: {
      values: Object.fromEntries(
        [...row.values].flatMap(([name, value]) => (value === undefined ? [] : [[name, valueMessage(value)]])),
      ),
    },
  };
}

function valueMessage(value: RowValue): unknown {
  switch (typeof value) {
    case 'string':
      return { text: value };
    case 'boolean':
      return { flag: value };
    case 'bigint':
      return { integer: value.toString() };
    default:
      return { number: jsonNumber(value) };
  }
}

/** Protobuf's JSON has NaN and the infinities as strings. */
function jsonNumber(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
