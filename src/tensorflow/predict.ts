// Predict: tensors in, tensors out.
import { invalidField, ScorewireError } from '../errors.ts';
import { PredictionServiceService } from '../gen/tensorflow_serving/apis/prediction_service.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { RunTensors, TensorAnswer } from '../scoring/tensor-call.ts';
import { answeredBy, chosenModel } from './model-choice.ts';
import { checkInputs, readInputs, setOf } from './predict-inputs.ts';
import { type PredictMessage, readPredictRequest } from './predict-request.ts';
import { type NamedTensor, writePredictResponse } from './predict-response.ts';
import { reshaped } from './reshaped.ts';
import { DEFAULT_SIGNATURE, EXAMPLE_SIGNATURES, exampleMethodOf } from './signatures.ts';
import { type SlicedCall, type SlicedMethodParts, slicedMethod } from './sliced-method.ts';

export type PredictParts = SlicedMethodParts & {
  /** @throws ScorewireError UNAVAILABLE before the models are there */
  models: () => ModelRegistry;
  run: RunTensors;
  /** Told about every call with tensors that was run; must not throw. */
  ran: (model: ServedModel, answer: TensorAnswer) => void;
};

/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

export function predictMethod(parts: PredictParts): UnaryMethod {
  return slicedMethod(parts, PredictionServiceService.predict.path, (call) => {
    call.work(call.message.length, readPredictRequest(call.message), (message) => predict(parts, call, message));
  });
}

function predict(parts: PredictParts, call: SlicedCall, { request, inputs: messages }: PredictMessage): void {
  const { modelSpec, outputFilter } = request;
  const model = chosenModel(parts.models(), modelSpec);
  call.use(model);
  checkSignature(model, modelSpec?.signatureName ?? '');
  const checked = checkInputs(model, messages);
  const outputNames = wantedOutputs(model, outputFilter);
  call.hold(checked.bytes);
  // Of a small message all is read at once, whatever becomes of it: it does not stay.
  call.work(call.message.length, readInputs(checked), (inputs) => {
    call.release();
    const { receivedMs, deadlineMs, abandoned } = call.context;
    parts.run({ model, inputs, outputNames, receivedMs, deadlineMs, abandoned }, (error, answer) => {
      if (answer === undefined) {
        call.fail(error);
        return;
      }
      try {
        observe(parts, call, model, checked.rows, answer);
        write(call, model, outputNames, answer);
      } catch (fault) {
        call.fail(fault);
      }
    });
  });
}

function observe(
  { ran }: PredictParts,
  { context }: SlicedCall,
  model: ServedModel,
  rows: number,
  answer: TensorAnswer,
) {
  const { queuedMs, startedMs, endedMs, inferenceUs } = answer;
  ran(model, answer);
  model.statistics.answered(rows, {
    queueUs: 1000 * (startedMs - queuedMs),
    inferUs: inferenceUs,
    totalUs: 1000 * (endedMs - context.receivedMs),
  });
  context.span?.event('queue', queuedMs, startedMs);
  context.span?.event('inference', startedMs, endedMs, { 'scorewire.batch.rows': answer.batchRows });
}

function write(call: SlicedCall, model: ServedModel, names: readonly string[], { outputs }: TensorAnswer): void {
  const { contract } = model;
  let values = 0;
  const tensors = outputs.map((output, index): NamedTensor => {
    const name = names[index] as string;
    const served = contract.outputs.find((one) => one.name === name);
    const { dims } = output;
    values += output.data.length;
    if (served?.reshape === undefined) return { name, tensor: output };
    const shown =
      contract.maxRows > 0
        ? [dims[0] as number, ...reshaped(dims.slice(1), served.reshape, served.dims)]
        : reshaped(dims, served.reshape, served.dims);
    return { name, tensor: { ...output, dims: shown } };
  });
  const work = writePredictResponse(answeredBy(model, DEFAULT_SIGNATURE), tensors);
  call.work(8 * values, work, (framed) => call.answer(framed));
}

/** @throws ScorewireError FAILED_PRECONDITION for one that there is not, INVALID_ARGUMENT for one that takes examples */
function checkSignature(model: ServedModel, name: string): void {
  if (name === '' || name === DEFAULT_SIGNATURE) return;
  const method = exampleMethodOf(model);
  if (method !== undefined && name === EXAMPLE_SIGNATURES[method]) {
    throw invalidField(
      'model_spec.signature_name',
      `expected "${DEFAULT_SIGNATURE}", which takes tensors, found "${name}", which takes examples`,
    );
  }
  const message = `Serving signature key "${name.slice(0, MAX_SHOWN)}" not found.`;
  throw new ScorewireError('failed_precondition', 'SIGNATURE_NOT_FOUND', message, {
    violations: [{ field: 'model_spec.signature_name', description: `expected "${DEFAULT_SIGNATURE}"` }],
  });
}

/** @throws ScorewireError INVALID_ARGUMENT */
function wantedOutputs({ outputNames }: ServedModel, filter: readonly string[]): readonly string[] {
  if (filter.length === 0) return outputNames;
  const wanted = new Set<string>();
  for (const [index, name] of filter.entries()) {
    const shown = name.slice(0, MAX_SHOWN);
    if (!outputNames.includes(name)) {
      const known = setOf(outputNames);
      const message = `output tensor alias not found in signature: ${shown} Outputs expected to be in the set ${known}.`;
      throw wrongOutput(index, message);
    }
    if (wanted.has(name)) throw wrongOutput(index, `duplicate output tensor alias: ${shown}`);
    wanted.add(name);
  }
  return [...wanted];
}

function wrongOutput(index: number, message: string): ScorewireError {
  const violations = [{ field: `output_filter[${index}]`, description: message }];
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, { violations });
}
