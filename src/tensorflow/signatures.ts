// The signatures of a model: its tensors as they are, and what TensorFlow's clients send examples to.
import type { SignatureDef, TensorInfo } from '../gen/tensorflow/core/protobuf/meta_graph.ts';
import type { ServedTensor } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { DataType } from '../tensor.ts';
import { elementType } from './element-types.ts';

export const DEFAULT_SIGNATURE = 'serving_default';

export const METHODS = {
  predict: 'tensorflow/serving/predict',
  classify: 'tensorflow/serving/classify',
  regress: 'tensorflow/serving/regress',
} as const;

/** What examples can be sent for. */
export type ExampleMethod = 'classify' | 'regress';

/** By their names, beside the default one; at most one, as a model has one task. */
export const EXAMPLE_SIGNATURES: Readonly<Record<ExampleMethod, string>> = {
  classify: 'classification',
  regress: 'regression',
};

/** Undefined for models whose score can't be told. */
export function exampleMethodOf({ spec }: ServedModel): ExampleMethod | undefined {
  if (spec.score === undefined) return undefined;
  return spec.task === 'regression' ? 'regress' : 'classify';
}

export function signaturesOf(model: ServedModel): Map<string, SignatureDef> {
  const { contract } = model;
  const signatures = new Map<string, SignatureDef>([
    [
      DEFAULT_SIGNATURE,
      {
        inputs: infos(contract.inputs, contract.maxRows > 0),
        outputs: infos(contract.outputs, contract.maxRows > 0),
        methodName: METHODS.predict,
      },
    ],
  ]);
  const method = exampleMethodOf(model);
  if (method !== undefined) signatures.set(EXAMPLE_SIGNATURES[method], exampleSignature(model, method));
  return signatures;
}

function exampleSignature({ spec }: ServedModel, method: ExampleMethod): SignatureDef {
  const inputs = new Map([['inputs', info('inputs', 'string', [-1])]]);
  const outputs =
    method === 'regress'
      ? new Map([['outputs', info('outputs', 'float32', [-1, 1])]])
      : new Map([
          ['classes', info('classes', 'string', [-1, classCount(spec)])],
          ['scores', info('scores', 'float32', [-1, classCount(spec)])],
        ]);
  return { inputs, outputs, methodName: METHODS[method] };
}

/** -1 where only a run shows it. */
function classCount({ task, score, labels }: ServedModel['spec']): number {
  if (task === 'binary') return 2;
  return score?.width ?? (labels.length || -1);
}

function infos(tensors: readonly ServedTensor[], rows: boolean): Map<string, TensorInfo> {
  return new Map(
    tensors.map(({ name, type, dims }) => [name, info(name, type, rows && dims !== undefined ? [-1, ...dims] : dims)]),
  );
}

function info(name: string, type: DataType, dims: readonly number[] | undefined): TensorInfo {
  return {
    encoding: { $case: 'name', value: name },
    dtype: elementType(type).wire,
    tensorShape: {
      dim: (dims ?? []).map((dim) => ({ size: BigInt(dim), name: '' })),
      unknownRank: dims === undefined,
    },
  };
}
