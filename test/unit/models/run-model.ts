import * as ort from 'onnxruntime-node';

export type Feeds = Record<string, ort.Tensor>;

/** What onnxruntime gives for these feeds: the elements of each output, int64 as numbers, and its dimensions. */
export async function runModel(
  bytes: Uint8Array,
  feeds: Feeds,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<Record<string, { data: (number | string)[]; dims: readonly number[] }>> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1, ...options });
  const results = await session.run(feeds);
  return Object.fromEntries(
    Object.entries(results).map(([name, tensor]) => [name, { data: elements(tensor), dims: tensor.dims }]),
  );
}

function elements(tensor: ort.Tensor): (number | string)[] {
  return Array.from(tensor.data as ArrayLike<number | bigint | string>, (value) =>
    typeof value === 'bigint' ? Number(value) : value,
  );
}

/** Rows of equal width as one float32 tensor. */
export function floats(rows: readonly (readonly number[])[]): ort.Tensor {
  return new ort.Tensor('float32', Float32Array.from(rows.flat()), [rows.length, rows[0]?.length ?? 0]);
}

export function integers(rows: readonly (readonly number[])[]): ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]?.length ?? 0]);
}

export function texts(values: readonly string[]): ort.Tensor {
  return new ort.Tensor('string', [...values], [values.length, 1]);
}
