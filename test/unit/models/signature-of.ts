import { parseManifest } from '../../../src/models/manifest.ts';
import { readGraph } from '../../../src/models/onnx-graph.ts';
import { type Signature, signature } from '../../../src/models/signature.ts';
import { type ModelDef, onnxModel } from '../../support/onnx-builder.ts';

export const MANIFEST = 'models/m/model.yaml';

/** The signature of a model named m, with the text of its manifest. */
export function signatureOf(model: Uint8Array | ModelDef, manifest = ''): Signature {
  const bytes = model instanceof Uint8Array ? model : onnxModel(model);
  const file = 'models/m/1/model.onnx';
  return signature('m', file, readGraph(bytes, file), parseManifest(manifest, MANIFEST));
}

/** The message of the SetupError that this throws. */
export function mistakeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Error && error.name === 'SetupError') return error.message;
    throw error;
  }
  return 'no mistake';
}
