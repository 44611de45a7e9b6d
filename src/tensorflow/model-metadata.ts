// GetModelMetadata: what a model takes and gives.
import { ScorewireError } from '../errors.ts';
import {
  type GetModelMetadataRequest,
  type GetModelMetadataResponse,
  SignatureDefMap,
} from '../gen/tensorflow_serving/apis/get_model_metadata.ts';
import { PredictionServiceService } from '../gen/tensorflow_serving/apis/prediction_service.ts';
import { type UnaryEdge, type UnaryHandler, unary } from '../grpc/unary.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { answeredBy, chosenModel } from './model-choice.ts';
import { signaturesOf } from './signatures.ts';

const SIGNATURES = 'signature_def';
/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

/** `served` gives the models, or throws UNAVAILABLE before they are there. */
export function modelMetadataMethod(edge: UnaryEdge, served: () => ModelRegistry): UnaryMethod {
  const handler: UnaryHandler<GetModelMetadataRequest, GetModelMetadataResponse> = (request, context, done) => {
    const { modelSpec, metadataField: fields } = request;
    if (modelSpec === undefined) throw wrong('Missing ModelSpec', 'model_spec');
    const field = 'metadata_field';
    if (fields.length === 0) throw wrong('GetModelMetadataRequest must specify at least one metadata_field', field);
    const unknown = fields.find((name) => name !== SIGNATURES);
    if (unknown !== undefined) throw wrong(`Metadata field ${unknown.slice(0, MAX_SHOWN)} is not supported`, field);
    const model = chosenModel(served(), modelSpec);
    context.model = model.spec.name;
    const value = SignatureDefMap.encode({ signatureDef: signaturesOf(model) }).finish();
    const typeUrl = 'type.googleapis.com/tensorflow.serving.SignatureDefMap';
    done(undefined, {
      modelSpec: answeredBy(model, ''),
      metadata: new Map([[SIGNATURES, { typeUrl, value }]]),
    });
  };
  return unary(edge, PredictionServiceService.getModelMetadata, handler);
}

function wrong(message: string, field: string): ScorewireError {
  const violations = [{ field, description: `expected ["${SIGNATURES}"]` }];
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, field === 'model_spec' ? {} : { violations });
}
