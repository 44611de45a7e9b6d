// ModelInfer requests of one row each, and what their answers must hold.

import { ModelInferRequest, ModelInferResponse } from '../../src/gen/inference/inference.ts';
import { goldenRows, MAX_SCORE_DIFFERENCE } from './requests.ts';

export const MODEL_INFER_PATH = '/inference.GRPCInferenceService/ModelInfer';

const MODEL = 'boosted-trees';
// As bench/models/train.py names them.
const INPUT = 'features';
const OUTPUT = 'score';

/** The golden rows of boosted-trees, each by the name of its input, as raw bytes or as a list of numbers. */
export function inferCalls(form: 'raw' | 'typed'): Uint8Array[] {
  return goldenRows(MODEL).map(({ row }) =>
    ModelInferRequest.encode({
      modelName: MODEL,
      modelVersion: '',
      id: '',
      parameters: new Map(),
      inputs: [
        {
          name: INPUT,
          datatype: 'FP32',
          shape: [1n, BigInt(row.length)],
          parameters: new Map(),
          contents: form === 'raw' ? undefined : { ...NO_CONTENTS, fp32Contents: row },
        },
      ],
      outputs: [{ name: OUTPUT, parameters: new Map() }],
      rawInputContents: form === 'raw' ? [Buffer.from(Float32Array.from(row).buffer)] : [],
    }).finish(),
  );
}

const NO_CONTENTS = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
};

/** How many of the sampled answers don't hold the score that their row must have, as their last number. */
export function wrongInfers(samples: readonly { message: number; answer: Uint8Array }[]): number {
  const golden = goldenRows(MODEL);
  return samples.filter(({ message, answer }) => {
    const [raw] = ModelInferResponse.decode(answer).rawOutputContents;
    const score = raw === undefined ? Number.NaN : Buffer.from(raw).readFloatLE(raw.length - 4);
    return !(Math.abs(score - (golden[message]?.score as number)) <= MAX_SCORE_DIFFERENCE);
  }).length;
}
