// Takes ZipMap out of a graph. scikit-learn's and LightGBM's converters end a classifier in ZipMap, which turns the
// [N, classes] probabilities into a list of maps, a type that onnxruntime-node refuses to return.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { edited, message } from './edit-wire.ts';
import { type OnnxNode, operatorName } from './onnx-graph.ts';
import { text, type WireField, wireFields } from './wire.ts';

// Identity is in every operator set; a graph with operators of ai.onnx.ml alone may not import one.
const DEFAULT_OPSET = 13;

export function isZipMap(node: Pick<OnnxNode, 'op' | 'domain'>): boolean {
  return operatorName(node) === 'ai.onnx.ml.ZipMap';
}

/**
 * The model with an Identity in the place of each ZipMap of the main graph: its outputs keep their names and become
 * float tensors. Everything else keeps its bytes; weights are copied once and never parsed. Returns `model` itself
 * where there is no ZipMap. The bytes must be those of a model that `readGraph` could read.
 */
export function withoutZipMap(model: Uint8Array): Uint8Array {
  let graph: WireField | undefined;
  let hasDefaultOpset = false;
  for (const field of wireFields(model)) {
    if (field.field === 7) graph = field;
    if (field.field === 8) hasDefaultOpset ||= isDefaultDomain(field.bytes);
  }
  if (graph === undefined) return model;

  const zipped = zippedOutputs(graph.bytes);
  if (zipped.size === 0) return model;

  return edited(model, graph, graphParts(graph.bytes, zipped), hasDefaultOpset ? [] : [opsetImport()]);
}

function isDefaultDomain(opsetImport: Uint8Array): boolean {
  for (const field of wireFields(opsetImport)) {
    if (field.field === 1) return ['', 'ai.onnx'].includes(text(field.bytes));
  }
  return true;
}

/** Names of the outputs of the graph's ZipMap nodes. */
function zippedOutputs(graph: Uint8Array): Set<string> {
  const outputs = new Set<string>();
  for (const field of wireFields(graph)) {
    if (field.field !== 1) continue;
    const node = nodeEnds(field.bytes);
    if (isZipMap(node)) outputs.add(node.output);
  }
  return outputs;
}

/** The graph's bytes in pieces, with its ZipMap nodes replaced and their outputs' types left to be inferred. */
function graphParts(graph: Uint8Array, zipped: ReadonlySet<string>): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let kept = 0;
  for (const field of wireFields(graph)) {
    const replacement = replacementFor(field, zipped);
    if (replacement === undefined) continue;
    parts.push(graph.subarray(kept, field.start), replacement);
    kept = field.end;
  }
  parts.push(graph.subarray(kept));
  return parts;
}

function replacementFor(field: WireField, zipped: ReadonlySet<string>): Uint8Array | undefined {
  if (field.field === 1) {
    const node = nodeEnds(field.bytes);
    return isZipMap(node) ? identity(node.input, node.output) : undefined;
  }
  // 12: an output of the graph; 13: type of an inner value.
  if (field.field === 12 || field.field === 13) {
    const name = valueName(field.bytes);
    return zipped.has(name) ? untypedValue(field.field, name) : undefined;
  }
  return undefined;
}

/** What ZipMap has: one input, one output. */
function nodeEnds(bytes: Uint8Array): { op: string; domain: string; input: string; output: string } {
  const node = { op: '', domain: '', input: '', output: '' };
  for (const field of wireFields(bytes)) {
    if (field.field === 1) node.input = text(field.bytes);
    if (field.field === 2) node.output = text(field.bytes);
    if (field.field === 4) node.op = text(field.bytes);
    if (field.field === 7) node.domain = text(field.bytes);
  }
  return node;
}

function valueName(bytes: Uint8Array): string {
  for (const field of wireFields(bytes)) {
    if (field.field === 1) return text(field.bytes);
  }
  return '';
}

function identity(input: string, output: string): Uint8Array {
  const node = new BinaryWriter();
  node.tag(1, WireType.LengthDelimited).string(input);
  node.tag(2, WireType.LengthDelimited).string(output);
  node.tag(4, WireType.LengthDelimited).string('Identity');
  return message(1, node);
}

function untypedValue(field: number, name: string): Uint8Array {
  return message(field, new BinaryWriter().tag(1, WireType.LengthDelimited).string(name));
}

function opsetImport(): Uint8Array {
  return message(8, new BinaryWriter().tag(2, WireType.Varint).int64(DEFAULT_OPSET));
}
