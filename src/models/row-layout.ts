// How rows map on a graph's inputs: which input takes the batch, which feature goes where.

import { closest } from 'fastest-levenshtein';
import type { DataType, TensorSpec } from '../tensor.ts';
import type { Manifest, ManifestFeature } from './manifest.ts';
import { featureDefault } from './manifest-schema.ts';
import type { Batching, Feature, FeatureType, RowInput, RowLayout } from './model.ts';

/** An element of a row, in the order of the graph's inputs. */
type Slot = { input: number; column: number };

/** Which features an input of each type can carry; the first is what it carries where the manifest says nothing. */
function carriedBy(type: DataType): readonly FeatureType[] {
  if (type === 'string') return ['text'];
  if (type === 'bool') return ['flag'];
  return type.startsWith('float') ? ['number', 'flag'] : ['integer', 'flag'];
}

const INTEGER_BITS = /^(u?)int(\d+)$/;

/** Whether several rows may share a run, as far as the inputs' shapes tell. */
export function batchingByShape(inputs: readonly TensorSpec[], manifest: Manifest): Batching {
  for (const { name, shape } of declaredShapes(inputs, manifest)) {
    const reason = whyNoBatch(name, shape);
    if (reason !== '') return { supported: false, reason };
  }
  return inputs.length > 0 ? { supported: true, reason: '' } : { supported: false, reason: 'the graph has no inputs' };
}

function whyNoBatch(name: string, shape: TensorSpec['shape']): string {
  if (shape === undefined) return `input "${name}" declares no shape`;
  if (shape.length === 0) return `input "${name}" is a scalar`;
  const [first] = shape;
  if (first === null) return '';
  return first === 1
    ? `input "${name}" takes one row at a time: its first dimension is fixed at 1`
    : `input "${name}" takes exactly ${first} rows: its first dimension is fixed`;
}

/**
 * Lays rows over the required inputs, by the manifest's features where it has some.
 * Throws SetupError where those don't fit the inputs. Where no row can fit, says so in the layout.
 */
export function rowLayout(required: readonly TensorSpec[], manifest: Manifest): RowLayout {
  const inputs = declaredShapes(required, manifest);
  const problem = inputs.map((input) => whyNoRows(input, inputs, manifest)).find((text) => text !== '');
  if (problem !== undefined) return { kind: 'unknown', problem };
  if (inputs.length === 0) return { kind: 'unknown', problem: 'the graph has no inputs' };

  const rowInputs = inputs.map(rowInput);
  const [first] = rowInputs;
  if (first?.width === 0) return { kind: 'open', input: first };
  return featureLayout(rowInputs, manifest);
}

/**
 * The inputs, with the shape of a single one completed by the manifest's features where the graph leaves it open: a
 * list of F features over [N, open], or over an input without a shape, makes it [N, F].
 */
function declaredShapes(inputs: readonly TensorSpec[], manifest: Manifest): readonly TensorSpec[] {
  const [only] = inputs;
  const count = manifest.features?.length;
  if (only === undefined || inputs.length !== 1 || count === undefined) return inputs;
  if (only.shape === undefined) return [{ ...only, shape: [null, count] }];
  return only.shape.length === 2 && only.shape[1] === null
    ? [{ ...only, shape: [only.shape[0] ?? null, count] }]
    : inputs;
}

function whyNoRows(input: TensorSpec, all: readonly TensorSpec[], manifest: Manifest): string {
  const { name, type, shape } = input;
  const asTensors = 'send tensors instead of rows';
  if (type === 'float16') return `input "${name}" is float16, for which there are no rows; ${asTensors}`;
  if (shape === undefined) {
    return all.length === 1
      ? `input "${name}" declares no shape; set features in ${manifest.file}, or ${asTensors}`
      : `input "${name}" declares no shape; ${asTensors}`;
  }
  if (shape.length === 0) return `input "${name}" is a scalar, which is not of a row; ${asTensors}`;
  const [first] = shape;
  if (first !== null && first !== 1) return `${whyNoBatch(name, shape)}; export it with an open first dimension`;
  const open = shape.slice(1).filter((dim) => dim === null).length;
  if (open === 0 || (all.length === 1 && shape.length === 2 && type !== 'string')) return '';
  return all.length === 1 && shape.length === 2
    ? `input "${name}" has an open width; set features in ${manifest.file}, or ${asTensors}`
    : `input "${name}" has an open dimension beside the first one; ${asTensors}`;
}

function rowInput({ name, type, shape = [] }: TensorSpec): RowInput {
  const rowDims = shape.slice(1);
  return { name, type, rowDims, width: rowDims.reduce<number>((width, dim) => width * (dim ?? 0), 1) };
}

function featureLayout(inputs: readonly RowInput[], manifest: Manifest): RowLayout {
  const slots = inputs.flatMap(({ width }, input) => Array.from({ length: width }, (_, column) => ({ input, column })));
  const dense = inputs.every(({ type }) => type !== 'string');
  if (manifest.features === undefined) {
    const features = slots.map((slot, index) => namelessFeature(slot, index, inputs));
    return { kind: 'features', features, inputs, dense, named: inputs.every(({ width }) => width === 1) };
  }
  const byName = slotsByName(manifest.features, inputs, manifest);
  if (byName === undefined && slots.length !== manifest.features.length) {
    const widths = inputs.map(({ name, width }) => `${name}: ${width}`).join(', ');
    const found = `${manifest.features.length} (${list(manifest.features.map(({ name }) => name))})`;
    throw manifest.mistake(
      ['features'],
      `a list of ${slots.length}, as many as the inputs have columns (${widths})`,
      found,
    );
  }
  const features = manifest.features.map((feature, index) =>
    namedFeature(feature, index, (byName ?? slots)[index] as Slot, inputs, manifest),
  );
  return { kind: 'features', features, inputs, dense, named: true };
}

/** Where each feature goes if features are called like the inputs; undefined where no feature is. */
function slotsByName(
  features: readonly ManifestFeature[],
  inputs: readonly RowInput[],
  manifest: Manifest,
): Slot[] | undefined {
  const names = inputs.map(({ name }) => name);
  if (inputs.some(({ width }) => width !== 1) || !features.some(({ name }) => names.includes(name))) return undefined;
  // Once some are, a name that isn't an input's is a slip: by position it would go to the wrong input unseen.
  const slots = features.map(({ name }, index) => {
    const input = names.indexOf(name);
    if (input >= 0) return { input, column: 0 };
    throw manifest.mistake(['features', index, 'name'], `the name of an input, such as "${closest(name, names)}"`);
  });
  const missing = names.filter((name) => !features.some((feature) => feature.name === name));
  if (missing.length === 0) return slots;
  const found = list(features.map(({ name }) => name));
  throw manifest.mistake(['features'], `a list with all ${names.length} inputs; missing: ${list(missing)}`, found);
}

function namelessFeature(slot: Slot, index: number, inputs: readonly RowInput[]): Feature {
  const { name, type, width } = inputs[slot.input] as RowInput;
  const own = inputs.length === 1 ? `f${index}` : `${name}[${slot.column}]`;
  return {
    name: width === 1 ? name : own,
    type: carriedBy(type)[0] as FeatureType,
    dataType: type,
    ...slot,
    allowNan: false,
  };
}

function namedFeature(
  feature: ManifestFeature,
  index: number,
  slot: Slot,
  inputs: readonly RowInput[],
  manifest: Manifest,
): Feature {
  const { name: inputName, type: dataType } = inputs[slot.input] as RowInput;
  const carried = carriedBy(dataType);
  const type = feature.type ?? (carried[0] as FeatureType);
  const because = `as input "${inputName}" is ${dataType}`;
  if (!carried.includes(type)) {
    throw manifest.mistake(['features', index, 'type'], `${carried.join(' or ')}, ${because}`);
  }
  if (feature.allowNan && type !== 'number') {
    throw manifest.mistake(['features', index, 'allow_nan'], `false, ${because}`);
  }
  const { source, maxAgeSeconds } = feature;
  const result: Feature = {
    name: feature.name,
    type,
    dataType,
    ...slot,
    allowNan: feature.allowNan,
    ...(source === undefined ? {} : { source }),
    ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
  };
  if (feature.default === undefined) return result;

  const fitted = featureDefault(type, feature.default, feature.allowNan);
  if ('allowed' in fitted) throw manifest.mistake(['features', index, 'default'], `${fitted.allowed}, ${because}`);
  const range = typeof fitted.value === 'bigint' ? integerRange(dataType) : undefined;
  if (range && ((fitted.value as bigint) < range[0] || (fitted.value as bigint) > range[1])) {
    throw manifest.mistake(['features', index, 'default'], `${range[0]} to ${range[1]}, ${because}`);
  }
  return { ...result, default: fitted.value };
}

function integerRange(type: DataType): readonly [bigint, bigint] | undefined {
  const [, unsigned, bits] = INTEGER_BITS.exec(type) ?? [];
  if (bits === undefined) return undefined;
  const size = 2n ** BigInt(bits);
  return unsigned === 'u' ? [0n, size - 1n] : [-size / 2n, size / 2n - 1n];
}

/** At most eight names, for a message. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ');
  return names.length > 8 ? `${shown}, ...` : shown;
}
