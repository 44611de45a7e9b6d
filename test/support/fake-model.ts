// A model that is served, as far as the scoring room can tell.
import { CostCurve } from '../../src/batching/cost-curve.ts';
import { blockEncoder } from '../../src/features/block-encoder.ts';
import { FeaturePipeline } from '../../src/features/feature-pipeline.ts';
import type { FeatureStore } from '../../src/features/feature-store.ts';
import { rowEncoder } from '../../src/features/row-encoder.ts';
import type { ModelSpec, RowLayout } from '../../src/models/model.ts';
import { tensorContract } from '../../src/models/tensor-contract.ts';
import type { ServedModel } from '../../src/scoring/served-model.ts';
import { Uses } from '../../src/scoring/uses.ts';
import { ModelStatistics } from '../../src/telemetry/model-statistics.ts';

/** One feature called `x`, in one float32 input. */
const ONE_FEATURE: RowLayout = {
  kind: 'features',
  features: [{ name: 'x', type: 'number', dataType: 'float32', input: 0, column: 0, allowNan: false }],
  inputs: [{ name: 'x', type: 'float32', rowDims: [1], width: 1 }],
  dense: true,
  named: true,
};

/** A binary classifier whose score is the only column of `score`, unless `change` says otherwise. */
export function fakeModel(change: Partial<ModelSpec> = {}, session = 1, featureStore?: FeatureStore): ServedModel {
  const spec: ModelSpec = {
    name: 'churn',
    version: 1,
    directory: '/models/churn/1',
    file: '/models/churn/1/model.onnx',
    digest: '00',
    bytes: 1,
    task: 'binary',
    description: '',
    producer: '',
    opset: {},
    metadata: new Map(),
    inputs: [{ name: 'x', type: 'float32', shape: [null, 1] }],
    optionalInputs: [],
    outputs: [{ name: 'score', type: 'float32', shape: [null, 1] }],
    rows: ONE_FEATURE,
    score: { output: 'score', column: 0 },
    scoreProblem: '',
    labels: [],
    threshold: 0.5,
    segments: [],
    batching: { supported: true, reason: '' },
    featureView: { timeZone: 'UTC' },
    storedScores: { allowStale: false },
    view: '00',
    warmUp: [],
    source: { kind: 'file', path: '/models/churn/1/model.onnx' },
    ...change,
  };
  const encode = rowEncoder(spec.name, spec.rows);
  return {
    spec,
    session,
    features: new FeaturePipeline(spec.name, spec.rows, spec.featureView, featureStore),
    encode,
    encodeBlock: blockEncoder(spec.rows, encode),
    batchingProblem: '',
    maxRows: 64,
    maxDelayMs: 0,
    latencyBudgetMs: 10,
    tensorBudgetMs: Number.POSITIVE_INFINITY,
    cost: new CostCurve([1], [100], 0),
    scoreOutputs: spec.score === undefined ? [] : [spec.score.output],
    outputNames: spec.outputs.map(({ name }) => name),
    contract: tensorContract(spec, true),
    shape: { inputs: [], batchDimension: true },
    statistics: new ModelStatistics(),
    uses: new Uses(),
    scope: { model: spec.name, version: spec.version, digest: spec.digest, view: spec.view },
    storedScores: {
      freshForMs: 86_400_000,
      keptForMs: 86_400_000,
      writtenBackForMs: 3_600_000,
      writeBack: true,
      allowStale: spec.storedScores.allowStale,
    },
    loadedAtMs: 0,
  };
}
