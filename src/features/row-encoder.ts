// Rows to tensors: defaults, casts, order and checks, compiled once a model. The same for every way a row comes in.
import { distance } from 'fastest-levenshtein';
import { type FieldViolation, ScorewireError } from '../errors.ts';
import type { Feature, FeatureLayout, RowInput, RowLayout } from '../models/model.ts';
import { allocate, type TensorData } from '../tensor.ts';
import { BadValue, encodeValue } from './encode-value.ts';
import type { EncodedRow, Row, RowValue } from './row.ts';
import { MAX_NAME, shownName } from './shown-name.ts';

/** Violations that one answer lists at most: enough to fix a row, not enough to fill a message; then nobody looks on. */
const MAX_VIOLATIONS = 16;

/** @throws ScorewireError INVALID_ARGUMENT that names every wrong field, or FAILED_PRECONDITION if rows can't be told. */
export type RowEncoder = (row: Row) => EncodedRow;

/** Compiles a model's layout. `model` is its name, for messages. */
export function rowEncoder(model: string, layout: RowLayout): RowEncoder {
  switch (layout.kind) {
    case 'unknown':
      return () => {
        throw new ScorewireError('failed_precondition', 'ROWS_NOT_CONFIGURED', `${model}: ${layout.problem}`);
      };
    case 'open':
      return (row) => encodeOpen(model, layout.input, row);
    case 'features':
      return featureEncoder(model, layout);
  }
}

function featureEncoder(model: string, layout: FeatureLayout): RowEncoder {
  const { features, inputs } = layout;
  const names = new Map(features.map((feature, index) => [feature.name, index]));
  const plain = plainWidth(layout);
  return (row) => {
    if (row.form === 'dense') {
      if (!layout.dense) {
        throw fields([
          { field: 'row.dense', description: `${model} has text features: expected row.named, found row.dense` },
        ]);
      }
      if (row.values.length !== features.length) {
        throw fields([
          { field: 'row.dense.values', description: `expected ${features.length} values, found ${row.values.length}` },
        ]);
      }
      return plain > 0 ? encodePlain(features, row.values) : encodeDense(features, inputs, row.values);
    }
    if (!layout.named) {
      throw fields([
        {
          field: 'row.named',
          description: `${model} has no feature names: expected row.dense with ${features.length} values, found row.named (names come from "features" in its model.yaml)`,
        },
      ]);
    }
    return encodeNamed(model, features, inputs, names, row.values);
  };
}

/** The number of values where a dense row is the model's one float32 input as it stands; else 0. */
export function plainWidth({ features, inputs }: FeatureLayout): number {
  const [input] = inputs;
  if (inputs.length !== 1 || input?.type !== 'float32') return 0;
  return features.every((feature, index) => feature.type === 'number' && feature.column === index) ? input.width : 0;
}

function encodePlain(features: readonly Feature[], values: ArrayLike<number>): EncodedRow {
  const data = new Float32Array(values.length);
  let finite = true;
  for (let i = 0; i < values.length; i++) {
    // Rounded first: a number can be too large for 32 bits.
    const value = Math.fround(values[i] as number);
    data[i] = value;
    // NaN and the infinities are the numbers whose difference from themselves is not 0.
    if (value - value !== 0) finite = false;
  }
  if (!finite) refuseDense(features, values);
  return { inputs: [data], dims: undefined, shapeKey: '' };
}

function encodeDense(features: readonly Feature[], inputs: readonly RowInput[], values: ArrayLike<number>): EncodedRow {
  refuseDense(features, values);
  const arrays = inputs.map((input) => allocate(input.type, input.width));
  features.forEach((feature, index) => {
    put(arrays, feature, encodeValue(feature, values[index] as number));
  });
  return { inputs: arrays, dims: undefined, shapeKey: '' };
}

function refuseDense(features: readonly Feature[], values: ArrayLike<number>): void {
  const violations: FieldViolation[] = [];
  for (let i = 0; i < features.length && violations.length <= MAX_VIOLATIONS; i++) {
    const feature = features[i] as Feature;
    try {
      encodeValue(feature, values[i] as number);
    } catch (error) {
      violations.push(violation(error, `row.dense.values[${i}]`, feature.name));
    }
  }
  if (violations.length > 0) throw fields(violations);
}

function encodeNamed(
  model: string,
  features: readonly Feature[],
  inputs: readonly RowInput[],
  names: ReadonlyMap<string, number>,
  values: ReadonlyMap<string, RowValue | undefined>,
): EncodedRow {
  const violations: FieldViolation[] = [];
  const arrays = inputs.map((input) => allocate(input.type, input.width));
  let found = 0;
  for (const feature of features) {
    if (violations.length > MAX_VIOLATIONS) break;
    const value = values.get(feature.name);
    if (value !== undefined || values.has(feature.name)) found++;
    const given = value ?? feature.default;
    if (given === undefined) {
      violations.push({
        field: namedField(feature.name),
        description: `expected ${article(feature.type)}, found nothing`,
      });
    } else {
      try {
        put(arrays, feature, encodeValue(feature, given));
      } catch (error) {
        violations.push(violation(error, namedField(feature.name), ''));
      }
    }
  }
  if (found < values.size) {
    for (const name of values.keys()) {
      if (violations.length > MAX_VIOLATIONS) break;
      if (!names.has(name)) violations.push({ field: namedField(name), description: unknownName(model, name, names) });
    }
  }
  if (violations.length > 0) throw fields(violations);
  return { inputs: arrays, dims: undefined, shapeKey: '' };
}

/** A model whose one numeric input has an open dimension: the row's length decides what that is. */
function encodeOpen(model: string, input: RowInput, row: Row): EncodedRow {
  if (row.form === 'named') {
    throw fields([{ field: 'row.named', description: `${model} takes rows of any length: expected row.dense` }]);
  }
  const fixed = input.rowDims.reduce<number>((product, dim) => product * (dim ?? 1), 1);
  const { length } = row.values;
  if (length === 0 || length % fixed !== 0) {
    const expected = fixed === 1 ? 'at least one value' : `a multiple of ${fixed} values`;
    throw fields([{ field: 'row.dense.values', description: `expected ${expected}, found ${length}` }]);
  }
  const data = allocate(input.type, length);
  const element: Feature = {
    name: input.name,
    type: input.type.startsWith('float') ? 'number' : input.type === 'bool' ? 'flag' : 'integer',
    dataType: input.type,
    input: 0,
    column: 0,
    allowNan: false,
  };
  const violations: FieldViolation[] = [];
  for (let i = 0; i < length && violations.length <= MAX_VIOLATIONS; i++) {
    try {
      (data as unknown as (number | bigint)[])[i] = encodeValue(element, row.values[i] as number) as number;
    } catch (error) {
      violations.push(violation(error, `row.dense.values[${i}]`, ''));
    }
  }
  if (violations.length > 0) throw fields(violations);
  const dims = input.rowDims.map((dim) => dim ?? length / fixed);
  return { inputs: [data], dims: [dims], shapeKey: dims.join('x') };
}

function put(arrays: TensorData[], feature: Feature, element: number | bigint | string): void {
  (arrays[feature.input] as (number | bigint | string)[])[feature.column] = element;
}

/** What `encodeValue` found wrong with the value of `field`; any other error goes on. */
function violation(error: unknown, field: string, name: string): FieldViolation {
  if (!(error instanceof BadValue)) throw error;
  return { field, description: name === '' ? error.message : `${name}: ${error.message}` };
}

function unknownName(model: string, name: string, names: ReadonlyMap<string, number>): string {
  let nearest = '';
  let least = Math.max(2, name.length / 3);
  // What is longer than any name resembles no feature.
  for (const known of name.length > MAX_NAME ? [] : names.keys()) {
    const apart = distance(name, known);
    if (apart <= least) {
      least = apart;
      nearest = known;
    }
  }
  const hint = nearest === '' ? `its features are ${shortList([...names.keys()])}` : `did you mean "${nearest}"?`;
  return `${model} has no such feature; ${hint}`;
}

function shortList(names: string[]): string {
  return names.length <= 12 ? names.join(', ') : `${names.slice(0, 12).join(', ')} and ${names.length - 12} more`;
}

function namedField(name: string): string {
  return `row.named.values[${shownName(name)}]`;
}

function article(type: Feature['type']): string {
  return { number: 'a number', integer: 'an integer', text: 'text', flag: 'a flag' }[type];
}

function fields(violations: FieldViolation[]): ScorewireError {
  const listed = violations.slice(0, MAX_VIOLATIONS);
  const text = listed.map(({ field, description }) => `${field}: ${description}`).join('; ');
  const message = violations.length > MAX_VIOLATIONS ? `${text}; and more` : text;
  return new ScorewireError('invalid_argument', 'INVALID_ROW', message, { violations: listed });
}
