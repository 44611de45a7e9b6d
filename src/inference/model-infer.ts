// inference.GRPCInferenceService/ModelInfer: one request with tensors, one response.
import { GRPCInferenceServiceService } from '../gen/inference/inference.ts';
import { toStatus } from '../grpc/status.ts';
import { cellsByModel, contextOf, recordOutcome, tooLate, type UnaryEdge } from '../grpc/unary.ts';
import type { UnaryCall, UnaryMethod } from '../grpc/unary-call.ts';
import { AT_ONCE_MESSAGE_BYTES, InferCall, type InferDone, type InferParts } from './infer-call.ts';

export type ModelInferParts = InferParts & { edge: UnaryEdge; maxMessageBytes: number };

export function modelInferMethod(parts: ModelInferParts): UnaryMethod {
  const { edge, maxMessageBytes } = parts;
  const { path } = GRPCInferenceServiceService.modelInfer;
  const method = path.slice(1);
  const cellsOf = cellsByModel(edge.metrics, method);
  return {
    path,
    maxMessageBytes,
    tooLargeHint,
    keepsMessagesAbove: AT_ONCE_MESSAGE_BYTES,
    onMessage: (call: UnaryCall, message: Buffer) => {
      const context = contextOf(edge, method, call, performance.now(), () => call.abandoned);
      const done: InferDone = (failure, response) => {
        const error = failure ?? tooLate(context);
        recordOutcome(edge, cellsOf, context, error);
        if (error !== undefined || response === undefined) {
          if (error !== undefined) call.refuse(toStatus(error, '', edge.logFault));
        } else if (response.framed) {
          call.answerFramed(response.bytes);
        } else {
          call.answer(response.bytes);
        }
      };
      new InferCall(parts, context, call, false, done).start(message);
    },
  };
}

export function tooLargeHint(bytes: number, maxBytes: number): string {
  return `send the rows in ${Math.ceil(bytes / maxBytes)} requests or more, each with a part of them; the server's setting is limits.max_infer_message_bytes`;
}
