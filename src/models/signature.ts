// What a model takes and gives: from its graph, and from its manifest where that says more.

import { SetupError } from '../errors.ts';
import type { TensorSpec } from '../tensor.ts';
import type { Manifest } from './manifest.ts';
import type { Batching, ModelSpec } from './model.ts';
import type { OnnxGraph } from './onnx-graph.ts';
import type { OnnxValue } from './onnx-value.ts';
import { batchingByShape, rowLayout } from './row-layout.ts';
import { scoring } from './scoring-rule.ts';
import { isZipMap } from './zip-map.ts';

/** The parts of a ModelSpec that graph and manifest decide. */
export type Signature = Pick<
  ModelSpec,
  | 'task'
  | 'inputs'
  | 'outputs'
  | 'rows'
  | 'score'
  | 'scoreProblem'
  | 'labelOutput'
  | 'labels'
  | 'threshold'
  | 'segments'
  | 'batching'
> & {
  /** What is left out, one line each. */
  warnings: readonly string[];
};

// Each takes the scale of its 8-bit numbers over the whole tensor, all rows of the batch included.
const SCALED_OVER_BATCH = [
  'DynamicQuantizeLinear',
  'com.microsoft.DynamicQuantizeMatMul',
  'com.microsoft.DynamicQuantizeLSTM',
];

/**
 * Decides a model's signature. `model` and `file` (the ONNX file) are for messages.
 * Throws SetupError where the graph can't be served at all, or where the manifest doesn't fit it.
 */
export function signature(model: string, file: string, graph: OnnxGraph, manifest: Manifest): Signature {
  const inputs = requiredInputs(graph, file);
  const { outputs, warnings } = tensorOutputs(graph, file);
  return {
    inputs,
    outputs,
    rows: rowLayout(inputs, manifest),
    ...scoring(model, graph, outputs, manifest),
    batching: batching(graph, inputs, manifest),
    warnings,
  };
}

/** An input with an initializer of its name has a value of its own and needn't be given. */
function requiredInputs(graph: OnnxGraph, file: string): TensorSpec[] {
  return graph.inputs
    .filter(({ name }) => !graph.initializers.has(name))
    .map((input) => {
      if (isTensor(input)) return tensorSpec(input);
      throw new SetupError(`${file}: input "${input.name}" is of type ${input.typeName}, which can't be served`);
    });
}

function tensorOutputs(graph: OnnxGraph, file: string): { outputs: TensorSpec[]; warnings: string[] } {
  const zipMaps = new Map(graph.nodes.filter(isZipMap).map((node) => [node.outputs[0], node]));
  const outputs: TensorSpec[] = [];
  const warnings: string[] = [];
  for (const output of graph.outputs) {
    const zipMap = zipMaps.get(output.name);
    if (zipMap !== undefined) {
      outputs.push({ name: output.name, type: 'float32', shape: [null, zipMap.classLabels.length || null] });
    } else if (isTensor(output)) {
      outputs.push(tensorSpec(output));
    } else {
      warnings.push(
        `${file}: output "${output.name}" is of type ${output.typeName}, which can't be served; it is left out`,
      );
    }
  }
  if (outputs.length > 0) return { outputs, warnings };
  throw new SetupError(`${file}: none of its outputs is a tensor that can be served`);
}

function isTensor(value: OnnxValue): value is OnnxValue & TensorSpec {
  return value.type !== undefined;
}

function tensorSpec({ name, type, shape }: TensorSpec): TensorSpec {
  return { name, type, shape };
}

function batching(graph: OnnxGraph, inputs: readonly TensorSpec[], manifest: Manifest): Batching {
  if (!manifest.batchingEnabled) return { supported: false, reason: `batching.enabled is false in ${manifest.file}` };
  const scaled = SCALED_OVER_BATCH.find((op) => graph.ops.has(op));
  if (scaled !== undefined) {
    return {
      supported: false,
      reason: `the graph takes the scale of its 8-bit numbers over the whole batch (${scaled}), so that rows would change each other's scores`,
    };
  }
  return batchingByShape(inputs, manifest);
}
