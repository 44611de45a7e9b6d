// An example as a row: features by their names, or a list that is a whole input of the model.
import { type FieldViolation, ScorewireError } from '../errors.ts';
import type { Row, RowValue } from '../features/row.ts';
import { Example } from '../gen/tensorflow/core/example/example.ts';
import type { Feature } from '../gen/tensorflow/core/example/feature.ts';
import { textOf } from '../grpc/byte-strings.ts';
import { wellFormedMessage } from '../grpc/well-formed.ts';
import type { FeatureLayout, RowInput, RowLayout } from '../models/model.ts';

/** What an example, or the context of all, has. */
export type ExampleFeatures = ReadonlyMap<string, Feature>;

type Values = readonly number[] | readonly bigint[] | readonly Uint8Array[];

/** A larger one is read at once. */
const MAX_EXAMPLE_BYTES = 256 * 1024;
const MAX_SHOWN = 100;

const checkExample = wellFormedMessage('tensorflow.Example');

/** @throws NotWellFormed; ScorewireError INVALID_ARGUMENT for one that is too large */
export function readExample(bytes: Uint8Array, place: string): ExampleFeatures {
  if (bytes.length > MAX_EXAMPLE_BYTES) {
    throw wrongFeatures([
      { field: place, description: `expected at most ${MAX_EXAMPLE_BYTES} bytes, found ${bytes.length}` },
    ]);
  }
  checkExample(bytes);
  return Example.decode(bytes).features?.feature ?? NONE;
}

const NONE: ExampleFeatures = new Map();

/** Makes rows of a model's layout. */
export class ExampleRows {
  readonly #layout: RowLayout;
  readonly #context: ExampleFeatures;

  /** @param context features of all examples, unless they have their own */
  constructor(layout: RowLayout, context: ExampleFeatures) {
    this.#layout = layout;
    this.#context = context;
  }

  /**
   * Features that the model doesn't have are passed over, as TensorFlow does.
   * @param place of the example in the request, for messages
   * @throws ScorewireError INVALID_ARGUMENT
   */
  row(example: ExampleFeatures, place: string): Row {
    const layout = this.#layout;
    const valuesOf = (name: string) => valuesIn(example.get(name) ?? this.#context.get(name));
    // What is wrong with such a model the encoder says.
    if (layout.kind === 'unknown') return { form: 'dense', values: [] };
    if (layout.kind === 'open') return openRow(layout.input, valuesOf(layout.input.name), place);
    const { inputs, named } = layout;
    const whole = !named || inputs.some(({ name, width }) => width !== 1 && valuesOf(name) !== undefined);
    return whole ? wholeRow(layout, valuesOf, place) : namedRow(layout, valuesOf, place);
  }
}

function openRow({ name }: RowInput, values: Values | undefined, place: string): Row {
  const violations: FieldViolation[] = [];
  const field = featureField(place, name);
  const numbers = numbersOf(values ?? [], field, violations);
  if (values === undefined) violations.push({ field, description: 'expected a list of numbers, found nothing' });
  if (violations.length > 0) throw wrongFeatures(violations);
  return { form: 'dense', values: numbers };
}

/** Each input in a list of all its values. */
function wholeRow(
  { features, inputs }: FeatureLayout,
  valuesOf: (name: string) => Values | undefined,
  place: string,
): Row {
  const violations: FieldViolation[] = [];
  const lists = inputs.map(({ name, width }) => {
    const values = valuesOf(name);
    const field = featureField(place, name);
    if (values?.length === width) return numbersOf(values, field, violations);
    violations.push({ field, description: `expected ${width} values, found ${values?.length ?? 'nothing'}` });
    return [];
  });
  if (violations.length > 0) throw wrongFeatures(violations);
  return { form: 'dense', values: features.map(({ input, column }) => lists[input]?.[column] as number) };
}

/** Each feature in a list of its own, with one value. */
function namedRow({ features }: FeatureLayout, valuesOf: (name: string) => Values | undefined, place: string): Row {
  const violations: FieldViolation[] = [];
  const row = new Map<string, RowValue | undefined>();
  for (const { name } of features) {
    const values = valuesOf(name);
    if (values === undefined) continue;
    const [value] = values;
    if (values.length > 1) {
      violations.push({ field: featureField(place, name), description: `expected one value, found ${values.length}` });
    }
    row.set(name, value instanceof Uint8Array ? textOf(value) : value);
  }
  if (violations.length > 0) throw wrongFeatures(violations);
  return { form: 'named', values: row };
}

/** Undefined where there is no list. */
function valuesIn(feature: Feature | undefined): Values | undefined {
  return feature?.kind?.value.value;
}

function numbersOf(values: Values, field: string, violations: FieldViolation[]): number[] {
  const numbers: number[] = [];
  for (const [index, value] of values.entries()) {
    const number = value instanceof Uint8Array ? Number.NaN : Number(value);
    numbers.push(number);
    if (value instanceof Uint8Array) {
      violations.push({ field, description: 'expected numbers, found bytes' });
      break;
    }
    if (typeof value === 'bigint' && !Number.isSafeInteger(number)) {
      violations.push({ field: `${field}[${index}]`, description: `expected an integer below 2^53, found ${value}` });
      break;
    }
  }
  return numbers;
}

function featureField(place: string, name: string): string {
  return `${place}.features["${name.slice(0, MAX_SHOWN)}"]`;
}

export function wrongFeatures(violations: readonly FieldViolation[]): ScorewireError {
  const text = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  return new ScorewireError('invalid_argument', 'INVALID_ROW', text, { violations });
}

const NAMED = /^row\.named\.values\[/;

/** What is wrong with the row of an example, in the words of who sent it. */
export function inExample(error: ScorewireError, place: string): ScorewireError {
  const { kind, reason, message, details } = error;
  if (kind !== 'invalid_argument' && kind !== 'internal') return error;
  if (details.violations === undefined) return new ScorewireError(kind, reason, `${place}: ${message}`, details);
  const violations = details.violations.map(({ field, description }) => ({
    field: NAMED.test(field) ? field.replace(NAMED, `${place}.features[`) : `${place}: ${field}`,
    description,
  }));
  const text = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  return new ScorewireError(kind, reason, text, { ...details, violations });
}
