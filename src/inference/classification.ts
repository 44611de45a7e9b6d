// The largest elements of an output, by value, place and name: what a caller asks for by the parameter `classification`.
import { ScorewireError } from '../errors.ts';
import type { Sliced } from '../grpc/slices.ts';
import type { ServedTensor } from '../models/model.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import { DATATYPES } from './datatypes.ts';
import { wrongField } from './infer-error.ts';

/** Elements that are sorted of a row. */
const MAX_ELEMENTS = 1_000_000;
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
    for (const index of largest(values, first, width, count)) {
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

function largest(values: ArrayLike<number | bigint>, first: number, width: number, count: number): Iterable<number> {
  if (count === 1) return [largestOne(values, first, width)];
  const order = Uint32Array.from({ length: width }, (_, index) => index);
  const valueOf = (index: number): number | bigint => values[first + index] as number;
  order.sort((a, b) => (valueOf(a) > valueOf(b) ? -1 : valueOf(a) < valueOf(b) ? 1 : a - b));
  return order.subarray(0, count);
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
