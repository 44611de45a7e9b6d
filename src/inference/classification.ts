// The largest elements of an output, by value, place and name: what a caller asks for by the parameter `classification`.
import { ScorewireError } from '../errors.ts';
import type { Sliced } from '../grpc/slices.ts';
import type { ServedTensor } from '../models/model.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import { DATATYPES } from './datatypes.ts';
import { wrongField } from './infer-error.ts';

/** Elements that are sorted of a row. */
const MAX_ELEMENTS = 1_000_000;
/** Elements that are sorted at once. */
const RUN_ELEMENTS = 1024;
/** Elements that are looked at between two yields. */
const STEP_ELEMENTS = 4096;

/** @throws ScorewireError INVALID_ARGUMENT for what has no order */
export function checkClassification(path: string, { type }: ServedTensor): void {
  if (type !== 'string' && type !== 'bool' && type !== 'float16') return;
  const message = `class result not available for output due to unsupported type '${DATATYPES[type]}'`;
  throw wrongField(`${path}.parameters["classification"]`, message);
}

/**
 * Texts `<value>:<index>[:<label>]`, the largest first, of equal ones the first.
 * @param perRow whether the first dimension counts rows, each with classes of its own
 * @throws ScorewireError INVALID_ARGUMENT
 */
export function* classified(
  { dims, data }: Tensor,
  most: number,
  labels: readonly string[] | undefined,
  perRow: boolean,
): Sliced<Tensor> {
  const values = data as ArrayLike<number | bigint>;
  const rows = perRow ? (dims[0] ?? 1) : 1;
  const width = rows === 0 ? elementCount(dims.slice(1)) : values.length / rows;
  if (width > MAX_ELEMENTS) {
    throw new ScorewireError('invalid_argument', 'TOO_LARGE', 'classification output tensor too large');
  }
  const count = Math.min(most, width);
  const whole = data instanceof Float32Array || data instanceof Float64Array ? decimal : String;
  const texts: string[] = [];
  let looked = 0;
  for (let row = 0; row < rows; row++) {
    const first = row * width;
    for (const index of Array.from(yield* largest(values, first, width, count))) {
      const label = labels?.[index] ?? '';
      const value = whole(values[first + index] as number);
      texts.push(label === '' ? `${value}:${index}` : `${value}:${index}:${label}`);
    }
    looked += width;
    if (looked < STEP_ELEMENTS) continue;
    looked = 0;
    yield;
  }
  return { type: 'string', dims: perRow ? [rows, count] : [count], data: texts };
}

function* largest(
  values: ArrayLike<number | bigint>,
  first: number,
  width: number,
  count: number,
): Sliced<ArrayLike<number>> {
  if (count === 1) return [largestOne(values, first, width)];
  const of = (index: number): number | bigint => values[first + index] as number;
  const before = (a: number, b: number): number => (of(a) > of(b) ? -1 : of(a) < of(b) ? 1 : a - b);
  let order = Uint32Array.from({ length: width }, (_, index) => index);
  for (let from = 0; from < width; from += RUN_ELEMENTS) {
    order.subarray(from, from + RUN_ELEMENTS).sort(before);
    if (from + RUN_ELEMENTS < width) yield;
  }
  for (let run = RUN_ELEMENTS; run < width; run *= 2) {
    const merged = new Uint32Array(width);
    for (let from = 0; from < width; from += 2 * run) yield* merge(order, merged, from, run, before);
    order = merged;
  }
  return order.subarray(0, count);
}

/** Puts two runs that are in order, one behind the other, into `merged` as one. */
function* merge(
  order: Uint32Array,
  merged: Uint32Array,
  from: number,
  run: number,
  before: (a: number, b: number) => number,
): Sliced<void> {
  const middle = Math.min(order.length, from + run);
  const end = Math.min(order.length, middle + run);
  let left = from;
  let right = middle;
  for (let at = from; at < end; at++) {
    const takesLeft = right === end || (left < middle && before(order[left] as number, order[right] as number) < 0);
    merged[at] = order[takesLeft ? left++ : right++] as number;
    if (at % RUN_ELEMENTS === 0) yield;
  }
}

function largestOne(values: ArrayLike<number | bigint>, first: number, width: number): number {
  let best = 0;
  for (let index = 1; index < width; index++) {
    if ((values[first + index] as number) > (values[first + best] as number)) best = index;
  }
  return best;
}

/** As `%f` has it: six places, and no exponent. */
function decimal(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.000000`;
  if (Object.is(value, -0)) return '-0.000000';
  // Halfway between two, C takes the even one and toFixed the larger one: those are the odd parts of 128, with seven places.
  const exact = Math.abs((value * 128) % 2) === 1 ? value.toFixed(7) : '';
  return /[02468]5$/.test(exact) ? exact.slice(0, -1) : value.toFixed(6);
}
