// Callers of TensorFlow Serving's services: clients from the generated code, tensors and examples in few words.
import { type CallOptions, ChannelCredentials, Metadata } from '@grpc/grpc-js';
import type { Example } from '../../src/gen/tensorflow/core/example/example.ts';
import type { Feature } from '../../src/gen/tensorflow/core/example/feature.ts';
import { TensorProto } from '../../src/gen/tensorflow/core/framework/tensor.ts';
import { DataType } from '../../src/gen/tensorflow/core/framework/types.ts';
import type { ClassificationResponse } from '../../src/gen/tensorflow_serving/apis/classification.ts';
import {
  type GetModelMetadataResponse,
  SignatureDefMap,
} from '../../src/gen/tensorflow_serving/apis/get_model_metadata.ts';
import type { GetModelStatusResponse } from '../../src/gen/tensorflow_serving/apis/get_model_status.ts';
import type { Input } from '../../src/gen/tensorflow_serving/apis/input.ts';
import type { ModelSpec } from '../../src/gen/tensorflow_serving/apis/model.ts';
import { ModelServiceClient } from '../../src/gen/tensorflow_serving/apis/model_service.ts';
import type { PredictResponse } from '../../src/gen/tensorflow_serving/apis/predict.ts';
import { PredictionServiceClient } from '../../src/gen/tensorflow_serving/apis/prediction_service.ts';
import type { RegressionResponse } from '../../src/gen/tensorflow_serving/apis/regression.ts';
import { promised } from './test-client.ts';

export { DataType as DT };

export type SpecInit = string | { name?: string; version?: bigint; label?: string; signature?: string };

export function modelSpec(init: SpecInit): ModelSpec {
  const { name = '', version, label, signature = '' } = typeof init === 'string' ? { name: init } : init;
  return {
    name,
    versionChoice:
      label !== undefined
        ? { $case: 'versionLabel', value: label }
        : version === undefined
          ? undefined
          : { $case: 'version', value: version },
    signatureName: signature,
  };
}

/** A tensor; no `dims`: a scalar without a shape. */
export function tensor(dtype: number, dims: readonly number[] | undefined, fields: Partial<TensorProto>): TensorProto {
  const tensorShape =
    dims === undefined
      ? undefined
      : { dim: dims.map((size) => ({ size: BigInt(size), name: '' })), unknownRank: false };
  return { ...TensorProto.decode(new Uint8Array()), dtype: dtype as DataType, tensorShape, ...fields };
}

export function floats(dims: readonly number[], values: readonly number[]): TensorProto {
  return tensor(DataType.DT_FLOAT, dims, { floatVal: [...values] });
}

export function shapeOf({ tensorShape }: TensorProto): number[] {
  return (tensorShape?.dim ?? []).map(({ size }) => Number(size));
}

export type FeatureInit = number | bigint | string | readonly number[] | readonly bigint[] | readonly Uint8Array[];

/** Numbers are floats, bigints integers, texts bytes; an empty list has no kind. */
export function example(features: Readonly<Record<string, FeatureInit>>): Example {
  const entries = Object.entries(features).map(([name, value]): [string, Feature] => [name, feature(value)]);
  return { features: { feature: new Map(entries) } };
}

function feature(init: FeatureInit): Feature {
  const values = typeof init === 'string' ? [Buffer.from(init)] : Array.isArray(init) ? init : [init];
  const [first] = values;
  if (first === undefined) return {};
  if (typeof first === 'number') return { kind: { $case: 'floatList', value: { value: values } } };
  if (typeof first === 'bigint') return { kind: { $case: 'int64List', value: { value: values } } };
  return { kind: { $case: 'bytesList', value: { value: values } } };
}

export function exampleInput(examples: readonly Example[], context?: Example): Input {
  const list = [...examples];
  return context === undefined
    ? { kind: { $case: 'exampleList', value: { examples: list } } }
    : { kind: { $case: 'exampleListWithContext', value: { examples: list, context } } };
}

export class TensorflowClient {
  readonly prediction: PredictionServiceClient;
  readonly models: ModelServiceClient;

  constructor(address: string) {
    const options = { 'grpc.max_receive_message_length': -1 };
    this.prediction = new PredictionServiceClient(address, ChannelCredentials.createInsecure(), options);
    this.models = new ModelServiceClient(address, ChannelCredentials.createInsecure(), options);
  }

  predict(
    spec: SpecInit | undefined,
    inputs: Readonly<Record<string, TensorProto>>,
    outputFilter: string[] = [],
    options: { deadlineMs?: number; signal?: AbortSignal } = {},
  ): Promise<PredictResponse> {
    const request = {
      modelSpec: spec === undefined ? undefined : modelSpec(spec),
      inputs: new Map(Object.entries(inputs)),
      outputFilter,
    };
    const { deadlineMs, signal } = options;
    const until: CallOptions = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
    return promised((done) => this.prediction.predict(request, new Metadata(), until, done), signal);
  }

  classify(spec: SpecInit, input: Input | undefined): Promise<ClassificationResponse> {
    return promised((done) => this.prediction.classify({ modelSpec: modelSpec(spec), input }, done));
  }

  regress(spec: SpecInit, input: Input | undefined): Promise<RegressionResponse> {
    return promised((done) => this.prediction.regress({ modelSpec: modelSpec(spec), input }, done));
  }

  metadata(spec: SpecInit, metadataField: string[] = ['signature_def']): Promise<GetModelMetadataResponse> {
    const request = { modelSpec: modelSpec(spec), metadataField };
    return promised((done) => this.prediction.getModelMetadata(request, done));
  }

  async signatures(spec: SpecInit): Promise<SignatureDefMap['signatureDef']> {
    const { metadata } = await this.metadata(spec);
    return SignatureDefMap.decode(metadata.get('signature_def')?.value as Uint8Array).signatureDef;
  }

  status(spec: SpecInit): Promise<GetModelStatusResponse> {
    return promised((done) => this.models.getModelStatus({ modelSpec: modelSpec(spec) }, done));
  }

  close(): void {
    this.prediction.close();
    this.models.close();
  }
}
