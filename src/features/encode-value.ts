// One value of a row to one element of a tensor, or what is wrong with it.
import type { Feature } from '../models/model.ts';
import type { DataType } from '../tensor.ts';
import type { RowValue } from './row.ts';

/** What is wrong with a value: `expected ..., found ...`. */
export class BadValue extends Error {}

const INTEGER_RANGES: Partial<Record<DataType, readonly [bigint, bigint]>> = {
  int8: [-128n, 127n],
  int16: [-32_768n, 32_767n],
  int32: [-2_147_483_648n, 2_147_483_647n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint8: [0n, 255n],
  uint16: [0n, 65_535n],
  uint32: [0n, 4_294_967_295n],
  uint64: [0n, 2n ** 64n - 1n],
};

/** @throws BadValue where the value is not one of the feature's. Integers come back as bigints for 64-bit inputs. */
export function encodeValue(feature: Feature, value: RowValue): number | bigint | string {
  switch (feature.type) {
    case 'number':
      return encodeNumber(feature, value);
    case 'integer':
      return encodeInteger(feature, value);
    case 'text':
      if (typeof value !== 'string') throw new BadValue(`expected text, found ${describe(value)}`);
      return value;
    case 'flag':
      return encodeFlag(feature, value);
  }
}

function encodeNumber(feature: Feature, value: RowValue): number {
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw new BadValue(`expected a number, found ${describe(value)}`);
  }
  const number = Number(value);
  const stored = feature.dataType === 'float32' ? Math.fround(number) : number;
  if (Number.isFinite(stored) || (Number.isNaN(stored) && feature.allowNan)) return stored;
  const bound = feature.dataType === 'float32' ? 'a finite 32-bit number' : 'a finite number';
  throw new BadValue(`expected ${bound}, found ${describe(value)}`);
}

function encodeInteger(feature: Feature, value: RowValue): number | bigint {
  if (typeof value === 'number' ? !Number.isInteger(value) : typeof value !== 'bigint') {
    throw new BadValue(`expected an integer, found ${describe(value)}`);
  }
  const integer = BigInt(value);
  const range = INTEGER_RANGES[feature.dataType];
  if (range !== undefined && (integer < range[0] || integer > range[1])) {
    throw new BadValue(`expected an integer from ${range[0]} to ${range[1]}, found ${describe(value)}`);
  }
  return feature.dataType === 'int64' || feature.dataType === 'uint64' ? integer : Number(integer);
}

function encodeFlag(feature: Feature, value: RowValue): number | bigint {
  // A dense row has numbers only, so 0 and 1 are flags as well.
  const bit =
    value === true || value === 1 || value === 1n ? 1 : value === false || value === 0 || value === 0n ? 0 : undefined;
  if (bit === undefined) throw new BadValue(`expected a flag, found ${describe(value)}`);
  return feature.dataType === 'int64' || feature.dataType === 'uint64' ? BigInt(bit) : bit;
}

function describe(value: RowValue): string {
  switch (typeof value) {
    case 'string':
      return `text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)}`;
    case 'boolean':
      return `flag ${value}`;
    case 'bigint':
      return `integer ${value}`;
    default:
      return `${value}`;
  }
}
