// Classify, Regress and MultiInference: examples in, classes or numbers out.
import { ScorewireError } from '../errors.ts';
import { ClassificationRequest } from '../gen/tensorflow_serving/apis/classification.ts';
import { MultiInferenceRequest } from '../gen/tensorflow_serving/apis/inference.ts';
import { ModelSpec } from '../gen/tensorflow_serving/apis/model.ts';
import { PredictionServiceService } from '../gen/tensorflow_serving/apis/prediction_service.ts';
import { PREFIX_BYTES } from '../grpc/call-head.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import { wellFormedMessage } from '../grpc/well-formed.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { type ExampleBytes, readExampleRequest } from './example-request.ts';
import { resultBytes, writeResults } from './example-results.ts';
import { type BlockScores, type ExampleRunParts, encodeExamples, runExamples } from './example-run.ts';
import { answeredBy, chosenModel } from './model-choice.ts';
import { DEFAULT_SIGNATURE, EXAMPLE_SIGNATURES, type ExampleMethod, exampleMethodOf, METHODS } from './signatures.ts';
import { type SlicedCall, type SlicedMethodParts, slicedMethod } from './sliced-method.ts';
import { VarintWriter, varintBytes } from './varint-writer.ts';

export type ExampleMethodParts = SlicedMethodParts &
  ExampleRunParts & {
    /** @throws ScorewireError UNAVAILABLE before the models are there */
    models: () => ModelRegistry;
    /** Told how many examples of a call were scored; must not throw. */
    scored: (model: ServedModel, rows: number) => void;
  };

/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

const NOUNS: Readonly<Record<ExampleMethod, string>> = { classify: 'classification', regress: 'regression' };

export function exampleMethods(parts: ExampleMethodParts): UnaryMethod[] {
  return [
    singleMethod(parts, 'classify', PredictionServiceService.classify.path),
    singleMethod(parts, 'regress', PredictionServiceService.regress.path),
    slicedMethod(parts, PredictionServiceService.multiInference.path, (call) => multiInference(parts, call)),
  ];
}

// Both requests, and both responses, have their fields alike.
const checkSingle = wellFormedMessage('tensorflow.serving.ClassificationRequest');
const checkMulti = wellFormedMessage('tensorflow.serving.MultiInferenceRequest');
const RESPONSE_RESULT = 10;
const RESPONSE_MODEL = 18;

function singleMethod(parts: ExampleMethodParts, method: ExampleMethod, path: string): UnaryMethod {
  return slicedMethod(parts, path, (call) => {
    call.work(call.message.length, readExampleRequest(call.message), ({ rest, examples }) => {
      checkSingle(rest);
      const { modelSpec } = ClassificationRequest.decode(rest);
      const model = chosenModel(parts.models(), modelSpec);
      call.use(model);
      const signature = checkedSignature(model, method, modelSpec?.signatureName ?? '');
      score(parts, call, model, examples, (scores) => {
        const bytes = resultBytes(method, model.spec, scores);
        call.hold(bytes);
        call.work(bytes, writeResults(method, model.spec, scores), (result) => {
          const spec = ModelSpec.encode(answeredBy(model, signature)).finish();
          call.answer(message([RESPONSE_RESULT, result], [RESPONSE_MODEL, spec]));
        });
      });
    });
  });
}

const RESULTS = 10;
const RESULT_MODEL = 10;
const RESULT_OF: Readonly<Record<ExampleMethod, number>> = { classify: 18, regress: 26 };

/** All tasks are of one model, and what it gives is run once. */
function multiInference(parts: ExampleMethodParts, call: SlicedCall): void {
  call.work(call.message.length, readExampleRequest(call.message), ({ rest, examples }) => {
    checkMulti(rest);
    const { tasks } = MultiInferenceRequest.decode(rest);
    const [first] = tasks;
    if (first === undefined) throw wrongTasks('tasks: expected at least one task, found none');
    const model = chosenModel(parts.models(), first.modelSpec);
    call.use(model);
    const [task, ...others] = tasks.map(({ modelSpec, methodName }, index) => {
      if (chosenModel(parts.models(), modelSpec) !== model) {
        throw wrongTasks(`tasks[${index}]: expected the model and version of the first task, found another one`);
      }
      const method = methodOf(methodName);
      return { method, signature: checkedSignature(model, method, modelSpec?.signatureName ?? '') };
    }) as [{ method: ExampleMethod; signature: string }];
    if (others.length > 0) throw wrongTasks(`tasks[1]: expected each signature once, found "${task.signature}" again`);
    score(parts, call, model, examples, (scores) => {
      const bytes = resultBytes(task.method, model.spec, scores);
      call.hold(bytes);
      call.work(bytes, writeResults(task.method, model.spec, scores), (result) => {
        const spec = ModelSpec.encode(answeredBy(model, task.signature)).finish();
        const framed = message([RESULT_MODEL, spec], [RESULT_OF[task.method], result]);
        call.answer(message([RESULTS, framed.subarray(PREFIX_BYTES)]));
      });
    });
  });
}

function wrongTasks(text: string): ScorewireError {
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', text, {
    violations: [{ field: 'tasks', description: text }],
  });
}

function methodOf(name: string): ExampleMethod {
  if (name === METHODS.classify) return 'classify';
  if (name === METHODS.regress) return 'regress';
  const shown = name.slice(0, MAX_SHOWN);
  const text = `Unsupported signature method_name: ${shown}; there are ${METHODS.classify} and ${METHODS.regress}`;
  throw new ScorewireError('unimplemented', 'UNSUPPORTED_METHOD', text);
}

function score(
  parts: ExampleMethodParts,
  call: SlicedCall,
  model: ServedModel,
  examples: ExampleBytes,
  done: (scores: readonly BlockScores[]) => void,
): void {
  if (examples.count === 0) {
    throw new ScorewireError('invalid_argument', 'INVALID_FIELD', 'Input is empty.', {
      violations: [{ field: 'input', description: 'expected at least one example, found none' }],
    });
  }
  call.work(call.message.length, encodeExamples(model, examples), (blocks) => {
    call.release();
    runExamples(parts, call, model, blocks, (scores) => {
      parts.scored(model, examples.count);
      done(scores);
    });
  });
}

/**
 * The name of the signature that the answer is of: the default one stands for the one that the model has for examples.
 * @throws ScorewireError INVALID_ARGUMENT
 */
function checkedSignature(model: ServedModel, method: ExampleMethod, name: string): string {
  const own = exampleMethodOf(model);
  const known = name === '' || name === DEFAULT_SIGNATURE || (own !== undefined && name === EXAMPLE_SIGNATURES[own]);
  const shown = name.slice(0, MAX_SHOWN);
  if (!known) throw wrongSignature(`No signature was found with the name: ${shown}`, shown);
  if (own === method) return name === '' ? DEFAULT_SIGNATURE : name;
  const expected = `Expected ${NOUNS[method]} signature method_name to be ${METHODS[method]}.`;
  throw wrongSignature(`${expected} Was: ${METHODS[own ?? 'predict']}`, model.spec.scoreProblem);
}

function wrongSignature(text: string, description: string): ScorewireError {
  const violations = [{ field: 'model_spec.signature_name', description: description || text }];
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', text, { violations });
}

/** Messages as the fields of one, with room for gRPC's prefix in front. */
function message(...fields: readonly (readonly [tag: number, bytes: Uint8Array])[]): Buffer {
  const size = fields.reduce((sum, [, { length }]) => sum + 1 + varintBytes(length) + length, 0);
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + size);
  const writer = new VarintWriter(framed, PREFIX_BYTES);
  for (const [tag, bytes] of fields) {
    writer.write(tag);
    writer.write(bytes.length);
    writer.bytes(bytes);
  }
  return framed;
}
