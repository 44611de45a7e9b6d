// DuckDB's vectors as the columns that encoders take, and back: whole arrays at once, by the C interface of its binding.
import { DuckDBDataChunk, type DuckDBType, DuckDBTypeId } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';

/** A value a row; where `nulls` has a 1 there is none. */
export type VectorColumn = {
  values: Float32Array | Float64Array | BigInt64Array | Uint8Array | readonly string[];
  nulls?: Uint8Array;
};

/** @throws Error for a type that no input is cast to */
export function readColumn(chunk: DuckDBDataChunk, index: number): VectorColumn {
  const { rowCount } = chunk;
  const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
  const nulls = nullsOf(vector, rowCount);
  const bytes = (width: number): ArrayBuffer => {
    // The binding copies what the vector has.
    const { buffer, byteOffset, byteLength } = duckdb.vector_get_data(vector, rowCount * width);
    return (
      byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)
    ) as ArrayBuffer;
  };
  const typed = chunk.getColumnVector(index);
  switch (typed.type.typeId) {
    case DuckDBTypeId.FLOAT:
      return column(new Float32Array(bytes(4)), nulls);
    case DuckDBTypeId.DOUBLE:
      return column(new Float64Array(bytes(8)), nulls);
    case DuckDBTypeId.BIGINT:
      return column(new BigInt64Array(bytes(8)), nulls);
    case DuckDBTypeId.BOOLEAN:
      return column(new Uint8Array(bytes(duckdb.sizeof_bool)), nulls);
    case DuckDBTypeId.VARCHAR:
      return column(
        Array.from({ length: rowCount }, (_, row) => (nulls?.[row] === 1 ? '' : (typed.getItem(row) as string))),
        nulls,
      );
    default:
      throw new Error(`column ${index} has type ${typed.type}`);
  }
}

function column(values: VectorColumn['values'], nulls: Uint8Array | undefined): VectorColumn {
  return nulls === undefined ? { values } : { values, nulls };
}

/** 1 where a column has no value; undefined where it has all. */
export function readNulls(chunk: DuckDBDataChunk, index: number): Uint8Array | undefined {
  return nullsOf(duckdb.data_chunk_get_vector(chunk.chunk, index), chunk.rowCount);
}

function nullsOf(vector: duckdb.Vector, rows: number): Uint8Array | undefined {
  const words = Math.ceil(rows / 64);
  const valid = duckdb.vector_get_validity(vector, words * 8) as Uint8Array | null;
  if (valid === null) return undefined;
  const nulls = new Uint8Array(rows);
  let found = 0;
  for (let row = 0; row < rows; row++) {
    const isNull = 1 & ~((valid[row >> 3] as number) >> (row & 7));
    nulls[row] = isNull;
    found |= isNull;
  }
  return found === 0 ? undefined : nulls;
}

export type NumericValues =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** A chunk of numbers, and of texts where a column is a map from row to text: the other rows have none there. */
export function makeChunk(
  rows: number,
  columns: readonly { type: DuckDBType; values: NumericValues | ReadonlyMap<number, string>; nulls?: Uint8Array }[],
): DuckDBDataChunk {
  const chunk = DuckDBDataChunk.create(
    columns.map(({ type }) => type),
    rows,
  );
  for (const [index, { values, nulls }] of columns.entries()) {
    const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
    if ('byteLength' in values) {
      duckdb.copy_data_to_vector(vector, 0, values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
      if (nulls !== undefined) writeNulls(vector, rows, (row) => nulls[row] === 1);
    } else {
      for (const [row, text] of values) duckdb.vector_assign_string_element(vector, row, text);
      if (values.size < rows) writeNulls(vector, rows, (row) => !values.has(row));
    }
  }
  return chunk;
}

function writeNulls(vector: duckdb.Vector, rows: number, isNull: (row: number) => boolean): void {
  const valid = new Uint8Array(Math.ceil(rows / 64) * 8).fill(0xff);
  for (let row = 0; row < rows; row++) {
    if (isNull(row)) valid[row >> 3] = (valid[row >> 3] as number) & ~(1 << (row & 7));
  }
  duckdb.vector_ensure_validity_writable(vector);
  duckdb.copy_data_to_vector_validity(vector, 0, valid.buffer, 0, valid.byteLength);
}
