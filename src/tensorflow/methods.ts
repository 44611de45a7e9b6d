// tensorflow.serving.PredictionService and ModelService, whole.
import type { UnaryMethod } from '../grpc/unary-call.ts';
import { type ExampleMethodParts, exampleMethods } from './example-methods.ts';
import { modelMetadataMethod } from './model-metadata.ts';
import { modelStatusMethods } from './model-status.ts';
import { type PredictParts, predictMethod } from './predict.ts';

/** By the names that reflection lists, and that health checks ask for. */
export const TENSORFLOW_SERVICES = ['tensorflow.serving.PredictionService', 'tensorflow.serving.ModelService'];

export type TensorflowParts = PredictParts & ExampleMethodParts;

export function tensorflowMethods(parts: TensorflowParts): UnaryMethod[] {
  return [
    predictMethod(parts),
    ...exampleMethods(parts),
    modelMetadataMethod(parts.edge, parts.models),
    ...modelStatusMethods(parts.edge, parts.models),
  ];
}
