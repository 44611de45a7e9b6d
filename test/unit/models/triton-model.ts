import type { TensorContract } from '../../../src/models/model.ts';
import type { ModelOverride } from '../../../src/models/model-files.ts';
import { type ModelFolder, readModel } from '../../../src/models/model-folder.ts';
import { tensorContract } from '../../../src/models/tensor-contract.ts';
import { type ModelDef, onnxModel } from '../../support/onnx-builder.ts';
import { tempRepository } from './temp-repository.ts';

/** `A` and `B` int32 [N, 4] -> `SUM` and `DIFFERENCE` int32 [N, 4]. */
export const addSub: ModelDef = {
  inputs: [
    { name: 'A', type: 'int32', dims: ['N', 4] },
    { name: 'B', type: 'int32', dims: ['N', 4] },
  ],
  outputs: [
    { name: 'SUM', type: 'int32', dims: ['N', 4] },
    { name: 'DIFFERENCE', type: 'int32', dims: ['N', 4] },
  ],
  nodes: [
    { op: 'Add', inputs: ['A', 'B'], outputs: ['SUM'] },
    { op: 'Sub', inputs: ['A', 'B'], outputs: ['DIFFERENCE'] },
  ],
};

/** The rest of a config that fits `addSub`. */
export const ADD_SUB_TENSORS = `
  input [ { name: "A" data_type: TYPE_INT32 dims: [ 4 ] }, { name: "B" data_type: TYPE_INT32 dims: 4 } ]
  output { name: "DIFFERENCE" data_type: TYPE_INT32 dims: 4 }
  output { name: "SUM" data_type: TYPE_INT32 dims: 4 }`;

/** The model `m`, read from a folder with this config and these files beside it; paths read `models/...` in all messages. */
export async function readTriton(
  config: string,
  model: ModelDef = addSub,
  files: Readonly<Record<string, string | Uint8Array>> = {},
  override?: ModelOverride,
): Promise<ModelFolder & { contract: TensorContract | undefined }> {
  const directory = await tempRepository({
    'm/1/model.onnx': onnxModel(model),
    'm/config.pbtxt': config,
    ...Object.fromEntries(Object.entries(files).map(([path, content]) => [`m/${path}`, content])),
  });
  const folder = await readModel(directory, 'm', override);
  const shorter = (text: string) => text.replaceAll(directory, 'models');
  const [spec] = folder.specs;
  return {
    ...folder,
    warnings: folder.warnings.map(shorter),
    failures: folder.failures.map((failure) => ({ ...failure, reason: shorter(failure.reason) })),
    contract: spec && tensorContract(spec, true),
  };
}

/** Why the model can't be served with this config. */
export async function refusal(...args: Parameters<typeof readTriton>): Promise<string> {
  const { failures, specs } = await readTriton(...args);
  if (specs.length > 0) return 'it can be served';
  return failures.map(({ reason }) => reason).join(' | ');
}
