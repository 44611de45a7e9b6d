// Columns into tensors: what `encodeValue` does with one value, for all values of a feature at once, as long as all of them
// are plainly right. Each loop knows the one type that it reads and the one that it writes: that is what makes it fast.
import type { Feature } from '../models/model.ts';
import type { DataType, TensorData } from '../tensor.ts';
import { BadValue, encodeValue } from './encode-value.ts';
import type { RowValue } from './row.ts';
import type { ColumnPart, ColumnValues } from './row-source.ts';

/** Where a feature's values go: the first one to `data[at]`, the next ones `step` elements apart. */
export type Place = { data: TensorData; at: number; step: number };

/** Integers that each type of input takes, as far as doubles tell them apart; beyond that, see `wholeToWords`. */
const RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  int8: [-128, 127],
  int16: [-32_768, 32_767],
  int32: [-2_147_483_648, 2_147_483_647],
  uint8: [0, 255],
  uint16: [0, 65_535],
  uint32: [0, 4_294_967_295],
};

const WORD = 2 ** 32;

/** Puts one value in all rows. False: it is not plainly right, and some of `place` may be written. */
export function fillConstant(feature: Feature, place: Place, rows: number, value: RowValue): boolean {
  const element = elementOf(feature, value);
  if (element === undefined) return false;
  const { at, step } = place;
  const data = place.data as (number | bigint | string)[];
  for (let row = 0; row < rows; row++) data[at + row * step] = element;
  return true;
}

/** Puts the values of a column in their rows. False: not all are plainly right, and some of `place` may be written. */
export function fillColumn(feature: Feature, place: Place, rows: number, part: ColumnPart): boolean {
  const { nulls, start } = part;
  if (nulls === undefined || !hasNull(nulls, start, rows)) return fillValues(feature, place, rows, part, undefined);
  const element = feature.allowNan ? Number.NaN : elementOf(feature, feature.default);
  if (element === undefined || !fillValues(feature, place, rows, part, nulls)) return false;
  const { at, step } = place;
  const data = place.data as (number | bigint | string)[];
  for (let row = 0; row < rows; row++) if (nulls[start + row] !== 0) data[at + row * step] = element;
  return true;
}

/** A value as the tensor has it; undefined where there is none, or one that is wrong. */
function elementOf(feature: Feature, value: RowValue | undefined): number | bigint | string | undefined {
  if (value === undefined) return undefined;
  try {
    return encodeValue(feature, value);
  } catch (error) {
    if (error instanceof BadValue) return undefined;
    throw error;
  }
}

function hasNull(nulls: Uint8Array, start: number, rows: number): boolean {
  let found = 0;
  for (let i = start; i < start + rows; i++) found |= nulls[i] as number;
  return found !== 0;
}

/** @param nulls rows whose values don't count, where there are any */
function fillValues(
  feature: Feature,
  place: Place,
  rows: number,
  { values, start }: ColumnPart,
  nulls: Uint8Array | undefined,
): boolean {
  if (feature.type === 'text') {
    if (!isTexts(values, start, rows)) return false;
    textsInto(place, values, start, rows);
    return true;
  }
  const { data } = place;
  if (values instanceof BigInt64Array && feature.type === 'integer') {
    if (data instanceof BigInt64Array) {
      integersInto(data, place, values, start, rows);
      return true;
    }
    // Doubles don't tell the largest ones apart.
    if (data instanceof BigUint64Array && someNegative(values, start, rows)) return false;
    if (data instanceof BigUint64Array) {
      integersInto(new BigInt64Array(data.buffer), place, values, start, rows);
      return true;
    }
  }
  const numbers = numbersOf(feature, values, start, rows);
  if (numbers === undefined) return false;
  // What stands where there is no value might be wrong, and 0 is right for every feature.
  const judged = nulls === undefined ? numbers : withoutNulls(numbers, nulls, start);
  switch (feature.type) {
    case 'number':
      return data instanceof Float32Array
        ? numbersToFloat32(data, place, judged, feature.allowNan)
        : data instanceof Float64Array && numbersToFloat64(data, place, judged, feature.allowNan);
    case 'integer':
      return wholeInto(feature.dataType, place, judged);
    case 'flag':
      if (!allFlags(judged)) return false;
      return wholeInto(feature.dataType, place, judged);
  }
}

function isTexts(values: ColumnValues, start: number, rows: number): values is readonly string[] {
  return Array.isArray(values) && (rows === 0 || typeof values[start] === 'string');
}

function textsInto({ data, at, step }: Place, values: readonly string[], start: number, rows: number): void {
  const texts = data as string[];
  for (let row = 0; row < rows; row++) texts[at + row * step] = values[start + row] as string;
}

function integersInto(data: BigInt64Array, { at, step }: Place, values: BigInt64Array, start: number, rows: number) {
  if (step === 1) data.set(values.subarray(start, start + rows), at);
  else for (let row = 0; row < rows; row++) data[at + row * step] = values[start + row] as bigint;
}

function someNegative(values: BigInt64Array, start: number, rows: number): boolean {
  for (let i = start; i < start + rows; i++) if ((values[i] as bigint) < 0n) return true;
  return false;
}

/** As doubles; undefined where the feature takes no values of their kind. Not to be written to. */
function numbersOf(feature: Feature, values: ColumnValues, start: number, rows: number): Float64Array | undefined {
  if (values instanceof Float64Array) return values.subarray(start, start + rows);
  const numbers = new Float64Array(rows);
  if (values instanceof Float32Array) fromFloat32(numbers, values, start);
  else if (values instanceof Int32Array) fromInt32(numbers, values, start);
  else if (values instanceof BigInt64Array) fromInt64(numbers, values, start);
  else if (feature.type !== 'flag') return undefined;
  else if (values instanceof Uint8Array) fromBits(numbers, values, start);
  else if (typeof values[start] === 'boolean') fromFlags(numbers, values as readonly boolean[], start);
  else return undefined;
  return numbers;
}

function fromFloat32(numbers: Float64Array, values: Float32Array, start: number): void {
  for (let i = 0; i < numbers.length; i++) numbers[i] = values[start + i] as number;
}

function fromInt32(numbers: Float64Array, values: Int32Array, start: number): void {
  for (let i = 0; i < numbers.length; i++) numbers[i] = values[start + i] as number;
}

/** By halves, which takes no bigint: the sum is rounded once, as `Number` rounds a bigint. */
function fromInt64(numbers: Float64Array, values: BigInt64Array, start: number): void {
  const low = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  const high = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  for (let i = 0; i < numbers.length; i++) {
    const at = 2 * (start + i);
    numbers[i] = (high[at + 1] as number) * WORD + (low[at] as number);
  }
}

function fromBits(numbers: Float64Array, values: Uint8Array, start: number): void {
  for (let i = 0; i < numbers.length; i++) numbers[i] = values[start + i] === 0 ? 0 : 1;
}

function fromFlags(numbers: Float64Array, values: readonly boolean[], start: number): void {
  for (let i = 0; i < numbers.length; i++) numbers[i] = values[start + i] === true ? 1 : 0;
}

function withoutNulls(numbers: Float64Array, nulls: Uint8Array, start: number): Float64Array {
  const copy = numbers.slice();
  for (let i = 0; i < copy.length; i++) if (nulls[start + i] !== 0) copy[i] = 0;
  return copy;
}

function numbersToFloat32(data: Float32Array, place: Place, numbers: Float64Array, allowNan: boolean): boolean {
  const { step } = place;
  let { at } = place;
  // NaN and the infinities are the numbers whose difference from themselves is not 0; judged as they are stored.
  let sum = 0;
  for (let row = 0; row < numbers.length; row++, at += step) {
    const stored = Math.fround(numbers[row] as number);
    data[at] = stored;
    sum += stored - stored;
  }
  if (sum === 0) return true;
  if (!allowNan) return false;
  for (let row = 0; row < numbers.length; row++) {
    const stored = Math.fround(numbers[row] as number);
    if (stored === Number.POSITIVE_INFINITY || stored === Number.NEGATIVE_INFINITY) return false;
  }
  return true;
}

function numbersToFloat64(data: Float64Array, place: Place, numbers: Float64Array, allowNan: boolean): boolean {
  const { step } = place;
  let { at } = place;
  let good = true;
  for (let row = 0; row < numbers.length; row++, at += step) {
    const number = numbers[row] as number;
    data[at] = number;
    if (number - number !== 0 && !(allowNan && Number.isNaN(number))) good = false;
  }
  return good;
}

function allFlags(numbers: Float64Array): boolean {
  for (let row = 0; row < numbers.length; row++) if (numbers[row] !== 0 && numbers[row] !== 1) return false;
  return true;
}

function wholeInto(type: DataType, { data, at, step }: Place, numbers: Float64Array): boolean {
  if (data instanceof BigInt64Array) return wholeToWords(data, at, step, numbers, -(2 ** 63), 2 ** 63);
  if (data instanceof BigUint64Array) return wholeToWords(data, at, step, numbers, 0, 2 ** 64);
  const [least, most] = RANGES[type] ?? [-Number.MAX_VALUE, Number.MAX_VALUE];
  if (!allWhole(numbers, least, most)) return false;
  if (data instanceof Float32Array) wholeToFloat32(data, at, step, numbers);
  else if (data instanceof Int32Array) wholeToInt32(data, at, step, numbers);
  else wholeToAny(data as Float64Array, at, step, numbers);
  return true;
}

function allWhole(numbers: Float64Array, least: number, most: number): boolean {
  let good = true;
  for (let row = 0; row < numbers.length; row++) {
    const number = numbers[row] as number;
    if (!(number >= least && number <= most && Math.floor(number) === number)) good = false;
  }
  return good;
}

/** 64-bit integers from below `most`, by halves, which takes no bigint. */
function wholeToWords(
  data: BigInt64Array | BigUint64Array,
  at: number,
  step: number,
  numbers: Float64Array,
  least: number,
  most: number,
): boolean {
  const words = new Uint32Array(data.buffer, data.byteOffset, 2 * data.length);
  for (let row = 0; row < numbers.length; row++) {
    const number = numbers[row] as number;
    if (!(number >= least && number < most && Math.floor(number) === number)) return false;
    const high = Math.floor(number / WORD);
    const place = 2 * (at + row * step);
    words[place] = number - high * WORD;
    words[place + 1] = high;
  }
  return true;
}

// Adding 0 makes 0 of -0, which no integer is.

function wholeToFloat32(data: Float32Array, at: number, step: number, numbers: Float64Array): void {
  for (let row = 0; row < numbers.length; row++) data[at + row * step] = (numbers[row] as number) + 0;
}

function wholeToInt32(data: Int32Array, at: number, step: number, numbers: Float64Array): void {
  for (let row = 0; row < numbers.length; row++) data[at + row * step] = numbers[row] as number;
}

function wholeToAny(data: Float64Array, at: number, step: number, numbers: Float64Array): void {
  for (let row = 0; row < numbers.length; row++) data[at + row * step] = (numbers[row] as number) + 0;
}
