// The calls that a benchmark makes: requests for one model, encoded before the first is sent.

import { createHash } from 'node:crypto';
import { credentials, Metadata, type ServiceError, status as Status } from '@grpc/grpc-js';
import {
  GRPCInferenceServiceClient,
  type ModelInferRequest_InferInputTensor as InferInput,
  ModelInferRequest,
  type ModelMetadataResponse_TensorMetadata as TensorMetadata,
} from '../gen/inference/inference.ts';
import { type ModelInfo, ModelServiceClient } from '../gen/scorewire/v1/model.ts';
import { type Row, ScoreRequest, type Value } from '../gen/scorewire/v1/scoring.ts';
import { DataType } from '../gen/scorewire/v1/tensor.ts';
import { randomFrom } from './arrivals.ts';
import { batchMessages } from './batch-calls.ts';
import { BenchError } from './bench-error.ts';
import { DEFAULT_JSON_PATH, jsonCalls } from './json-calls.ts';
import type { Protocol } from './plan.ts';
import { methodOf, type Rpc } from './rpc.ts';
import { checkImplemented } from './rpc-check.ts';

/**
 * `native`: scorewire.v1.ScoringService. `oip`: ModelInfer of the Open Inference Protocol, data raw. `json`: POST over
 * HTTP/1.1.
 */
export const APIS = ['native', 'oip', 'json'] as const;
export type Api = (typeof APIS)[number];

/** A row as it stands in a file: in order, or by feature (native) or input (OIP), or the whole body (JSON). */
export type FileRow = unknown[] | Record<string, unknown>;

export interface CallsOptions {
  /** HOST:PORT. */
  address: string;
  api: Api;
  /** Absent: unary. Others are of the native API. */
  rpc?: Rpc;
  model: string;
  /** Of `json`: where the POSTs go; default: /score. */
  path?: string;
  /** undefined: the live or newest one. */
  version: string | undefined;
  /** undefined: made from the model's schema. */
  rows: readonly FileRow[] | undefined;
  /** Rows made from the schema. */
  count: number;
  seed: number;
}

export interface ModelCalls {
  protocol: Protocol;
  path: string;
  messages: Uint8Array[];
  model: string;
  /** Empty where the server doesn't say it. */
  version: string;
  /** Of the model's file, where the server says it. */
  digest: string | undefined;
  /** Of the first request. */
  bytes: number;
  /** SHA-256 over all requests, hexadecimal. */
  requestsDigest: string;
}

const CALL_LIMIT_MS = 10_000;

/** Asks the server about the model and encodes the requests. @throws BenchError */
export async function modelCalls(options: CallsOptions): Promise<ModelCalls> {
  const calls = await CALLS[options.api](options);
  const hash = createHash('sha256');
  for (const message of calls.messages) hash.update(message);
  const protocol = options.api === 'json' ? 'http1' : 'grpc';
  return { ...calls, protocol, bytes: calls.messages[0]?.length ?? 0, requestsDigest: hash.digest('hex') };
}

type Encoded = Pick<ModelCalls, 'path' | 'messages' | 'model' | 'version' | 'digest'>;

const CALLS: Readonly<Record<Api, (options: CallsOptions) => Promise<Encoded>>> = {
  native: nativeCalls,
  oip: inferCalls,
  json: async ({ address, path = DEFAULT_JSON_PATH, model, rows }) => ({
    ...(await jsonCalls(address, path, rows)),
    model,
    version: '',
    digest: undefined,
  }),
};

async function nativeCalls({ address, rpc, model, version, rows, count, seed }: CallsOptions) {
  if (version !== undefined && !/^\d{1,18}$/.test(version)) {
    throw new BenchError(`--model-version: expected a whole number, found "${version}"`);
  }
  const client = new ModelServiceClient(address, credentials.createInsecure());
  let info: ModelInfo;
  try {
    const request = { model, version: version === undefined ? undefined : BigInt(version) };
    const response = await promised<{ model?: ModelInfo }>(
      (done) => void client.getModel(request, new Metadata(), deadline(), done),
    );
    info = response.model as ModelInfo;
  } catch (error) {
    throw unreachable(error as ServiceError, address, 'scorewire.v1.ModelService/GetModel');
  } finally {
    client.close();
  }
  const random = randomFrom(seed);
  const encoded = rows?.map(rowFromFile) ?? Array.from({ length: count }, () => randomRow(info, random));
  const asked = { model: info.name, version: version === undefined ? undefined : BigInt(version) };
  const messages =
    rpc?.kind === 'bulk'
      ? batchMessages(info, asked, encoded, rpc.rows)
      : encoded.map((row) => ScoreRequest.encode({ ...asked, row, policy: 0, outputNames: [] }).finish());
  await checkImplemented(address, rpc, messages[0] as Uint8Array);
  return {
    path: `/scorewire.v1.ScoringService/${methodOf(rpc)}`,
    messages,
    model: info.name,
    version: String(info.version),
    digest: info.digest,
  };
}

function rowFromFile(row: FileRow, index: number): Row {
  if (Array.isArray(row)) {
    const values = row.map((value, column) => {
      if (value === null) return Number.NaN;
      if (typeof value === 'number') return value;
      throw new BenchError(`row ${index + 1}, column ${column + 1}: expected a number, found ${JSON.stringify(value)}`);
    });
    return { form: { $case: 'dense', value: { values } } };
  }
  const values = new Map(
    Object.entries(row).map(([name, value]): [string, Value] => {
      if (typeof value === 'string') return [name, { kind: { $case: 'text', value } }];
      if (typeof value === 'boolean') return [name, { kind: { $case: 'flag', value } }];
      if (typeof value === 'number') return [name, { kind: { $case: 'number', value } }];
      if (value === null) return [name, { kind: { $case: 'number', value: Number.NaN } }];
      throw new BenchError(
        `row ${index + 1}, ${name}: expected a number, text or flag, found ${JSON.stringify(value)}`,
      );
    }),
  );
  return { form: { $case: 'named', value: { values } } };
}

/** Numbers spread over [-2, 2), whole numbers 0 or 1, empty texts. */
function randomRow(info: ModelInfo, random: () => number): Row {
  const { features, inputs } = info;
  if (features.length === 0) {
    const [input] = inputs;
    const width = Number(input?.shape.slice(1).reduce((product, size) => product * (size > 0n ? size : 1n), 1n) ?? 1n);
    return { form: { $case: 'dense', value: { values: Array.from({ length: width }, () => 4 * random() - 2) } } };
  }
  if (
    features.every(({ dataType }) => dataType === DataType.DATA_TYPE_FLOAT32 || dataType === DataType.DATA_TYPE_FLOAT64)
  ) {
    return { form: { $case: 'dense', value: { values: features.map(() => 4 * random() - 2) } } };
  }
  const value = (dataType: DataType): Value => {
    if (dataType === DataType.DATA_TYPE_STRING) return { kind: { $case: 'text', value: '' } };
    if (dataType === DataType.DATA_TYPE_BOOL) return { kind: { $case: 'flag', value: random() < 0.5 } };
    const isFloat = dataType === DataType.DATA_TYPE_FLOAT32 || dataType === DataType.DATA_TYPE_FLOAT64;
    return { kind: { $case: 'number', value: isFloat ? 4 * random() - 2 : Math.round(random()) } };
  };
  return {
    form: {
      $case: 'named',
      value: { values: new Map(features.map(({ name, dataType }) => [name, value(dataType)])) },
    },
  };
}

async function inferCalls({ address, model, version, rows, count, seed }: CallsOptions) {
  const client = new GRPCInferenceServiceClient(address, credentials.createInsecure());
  const request = { name: model, version: version ?? '' };
  const metadata = await promised<{ inputs: TensorMetadata[]; versions: string[] }>(
    (done) => void client.modelMetadata(request, new Metadata(), deadline(), done),
  )
    .catch((error: ServiceError) => {
      throw unreachable(error, address, 'inference.GRPCInferenceService/ModelMetadata');
    })
    .finally(() => client.close());
  const { inputs } = metadata;
  if (inputs.length === 0) throw new BenchError(`${address} says that ${model} has no inputs`);
  const random = randomFrom(seed);
  const perRow: FileRow[] = rows?.slice() ?? Array.from({ length: count }, () => randomInputs(inputs, random));
  return {
    path: '/inference.GRPCInferenceService/ModelInfer',
    messages: perRow.map((row, index) =>
      ModelInferRequest.encode({
        modelName: model,
        modelVersion: version ?? '',
        id: '',
        parameters: new Map(),
        inputs: inputs.map(inferInput),
        outputs: [],
        rawInputContents: inputs.map((input, position) => rawContents(input, row, position, index)),
      }).finish(),
    ),
    model,
    version: version ?? metadata.versions.at(-1) ?? '',
    digest: undefined,
  };
}

function inferInput({ name, datatype, shape }: TensorMetadata): InferInput {
  return { name, datatype, shape: oneRow(shape), parameters: new Map(), contents: undefined };
}

/** The shape of one row: sizes that are open are 1. */
function oneRow(shape: readonly bigint[]): bigint[] {
  return shape.map((size) => (size > 0n ? size : 1n));
}

function elements({ shape }: TensorMetadata): number {
  return Number(oneRow(shape).reduce((product, size) => product * size, 1n));
}

function randomInputs(inputs: readonly TensorMetadata[], random: () => number): Record<string, unknown> {
  return Object.fromEntries(
    inputs.map((input) => {
      const { name, datatype } = input;
      const value = (): unknown => {
        if (datatype === 'BYTES') return '';
        if (datatype.startsWith('FP')) return 4 * random() - 2;
        return Math.round(random());
      };
      return [name, Array.from({ length: elements(input) }, value)];
    }),
  );
}

/** How many bytes an element has, and how it is written; little-endian, as on the wire. */
const WRITERS: Readonly<Record<string, [bytes: number, write: (view: DataView, at: number, value: number) => void]>> = {
  BOOL: [1, (view, at, value) => view.setUint8(at, value === 0 ? 0 : 1)],
  UINT8: [1, (view, at, value) => view.setUint8(at, value)],
  UINT16: [2, (view, at, value) => view.setUint16(at, value, true)],
  UINT32: [4, (view, at, value) => view.setUint32(at, value, true)],
  UINT64: [8, (view, at, value) => view.setBigUint64(at, BigInt(value), true)],
  INT8: [1, (view, at, value) => view.setInt8(at, value)],
  INT16: [2, (view, at, value) => view.setInt16(at, value, true)],
  INT32: [4, (view, at, value) => view.setInt32(at, value, true)],
  INT64: [8, (view, at, value) => view.setBigInt64(at, BigInt(value), true)],
  FP32: [4, (view, at, value) => view.setFloat32(at, value, true)],
  FP64: [8, (view, at, value) => view.setFloat64(at, value, true)],
};

function rawContents(input: TensorMetadata, row: FileRow, position: number, index: number): Uint8Array {
  const where = `row ${index + 1}, input ${input.name}`;
  const given = Array.isArray(row) ? (position === 0 ? row : undefined) : row[input.name];
  if (given === undefined) throw new BenchError(`${where}: nothing is given for it`);
  const values = Array.isArray(given) ? given.flat(8) : [given];
  const expected = elements(input);
  if (values.length !== expected) throw new BenchError(`${where}: expected ${expected} values, found ${values.length}`);
  if (input.datatype === 'BYTES') {
    return Buffer.concat(
      values.flatMap((value) => {
        const text = Buffer.from(String(value));
        const length = Buffer.alloc(4);
        length.writeUInt32LE(text.length);
        return [length, text];
      }),
    );
  }
  const writer = WRITERS[input.datatype];
  if (writer === undefined) throw new BenchError(`${where}: rows can't be made of type ${input.datatype}`);
  const [bytes, write] = writer;
  const view = new DataView(new ArrayBuffer(bytes * values.length));
  values.forEach((value, at) => {
    const number = value === null ? Number.NaN : Number(value);
    if (!input.datatype.startsWith('FP') && !fits(number, input.datatype)) {
      throw new BenchError(
        `${where}: expected a whole number of type ${input.datatype}, found ${JSON.stringify(value)}`,
      );
    }
    write(view, at * bytes, number);
  });
  return new Uint8Array(view.buffer);
}

function fits(value: number, datatype: string): boolean {
  if (!Number.isInteger(value)) return false;
  if (datatype === 'BOOL') return value === 0 || value === 1;
  const bits = Number(/\d+$/.exec(datatype)?.[0]);
  return datatype.startsWith('U')
    ? value >= 0 && value < 2 ** bits
    : value >= -(2 ** (bits - 1)) && value < 2 ** (bits - 1);
}

/**
 * Rows from a file's text: JSON, an array of rows, or a row a line. A row is an array of numbers, an object by name, or has
 * either under `row`, as golden rows do. @throws BenchError
 */
export function parseRows(text: string, file: string): FileRow[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  let found: unknown[];
  const whole = lines.length > 0 ? tryJson(text) : undefined;
  if (Array.isArray(whole) && whole.some((row) => typeof row === 'object' && row !== null)) found = whole;
  else {
    found = lines.map((line, index) => {
      const row = tryJson(line);
      if (row === undefined) throw new BenchError(`${file}, line ${index + 1}: not JSON`);
      return row;
    });
  }
  if (found.length === 0) throw new BenchError(`${file} has no rows; a row is such as [1, 2] or {"age": 33}`);
  return found.map((row, index) => {
    const inner = isRecord(row) && 'row' in row ? row.row : row;
    if (Array.isArray(inner) || isRecord(inner)) return inner;
    throw new BenchError(`${file}, row ${index + 1}: expected an array or an object, found ${JSON.stringify(row)}`);
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function deadline(): { deadline: number } {
  return { deadline: Date.now() + CALL_LIMIT_MS };
}

function unreachable(error: ServiceError, address: string, method: string): BenchError {
  if (error.code === Status.UNAVAILABLE) return new BenchError(`--address: nothing answers at ${address}`);
  return new BenchError(`${address}, ${method}: ${Status[error.code] ?? error.code}: ${error.details}`);
}

function promised<T>(call: (done: (error: ServiceError | null, response: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}
