// What every unary method has in common: decoding that can fail, deadline, errors, metrics and spans.
import type { MethodDefinition } from '@grpc/grpc-js';
import { ScorewireError, toScorewireError } from '../errors.ts';
import type { Peer } from '../http2/peer.ts';
import { type CallCells, callCells, type Metrics } from '../telemetry/metrics.ts';
import type { CallSpan, Tracing } from '../telemetry/tracing.ts';
import type { RefusedStatus } from './call-head.ts';
import { codeName, type FaultLog, toStatus } from './status.ts';
import type { UnaryCall, UnaryMethod } from './unary-call.ts';
import { wellFormed } from './well-formed.ts';

/** What a handler may know of its call. */
export type CallContext = {
  /** When the request was there, `performance.now()` milliseconds. */
  receivedMs: number;
  /** When the caller gives up, on the same clock; Infinity where it doesn't say. */
  deadlineMs: number;
  /** Whether the caller left. */
  abandoned: () => boolean;
  span: CallSpan | undefined;
  /** For the metrics: the model's name, once it is known to exist. */
  model: string;
  /** For errors: canonical, '' if none was given. */
  entityId: string;
};

/** Answers by `done`, exactly once; what it throws instead becomes the status. */
export type UnaryHandler<Request, Response> = (
  request: Request,
  context: CallContext,
  done: (error: ScorewireError | undefined, response?: Response) => void,
) => void;

export type UnaryEdge = { metrics: Metrics; tracing: Tracing; logFault: FaultLog };

/** A request that is no protobuf message of its type. */
export class Malformed {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/** The method's decoder, which doesn't throw; ts-proto alone would also take half of a message for all of it. */
export function tolerant<Request>(
  method: Pick<MethodDefinition<Request, unknown>, 'path' | 'requestDeserialize'>,
): (bytes: Buffer) => Request | Malformed {
  const check = wellFormed(method.path);
  return (bytes) => {
    try {
      check(bytes);
      return method.requestDeserialize(bytes);
    } catch (cause) {
      return new Malformed(cause);
    }
  };
}

/** Who calls. */
export type Caller = { readonly peer: Peer; header(name: string): string | undefined };

/** A handler that lets some callers do more than others. */
export type CallerHandler<Request, Response> = (
  ...args: [...Parameters<UnaryHandler<Request, Response>>, caller: Caller]
) => void;

/**
 * `method`, served by `handler`.
 * @param admit throws ScorewireError for callers that are not let in; absent: all are
 */
export function unary<Request, Response>(
  edge: UnaryEdge,
  method: MethodDefinition<Request, Response>,
  handler: CallerHandler<Request, Response>,
  admit?: (caller: Caller) => void,
): UnaryMethod {
  const { path } = method;
  const name = path.slice(1);
  const decode = tolerant(method);
  const cellsOf = cellsByModel(edge.metrics, name);
  const onMessage = (call: UnaryCall, message: Buffer): void => {
    const context = contextOf(edge, name, call, performance.now(), () => call.abandoned);
    let open = true;
    const done = (failure: ScorewireError | undefined, response?: Response): void => {
      if (!open) return;
      open = false;
      let error = failure ?? tooLate(context);
      let bytes: Uint8Array | undefined;
      if (error === undefined) {
        try {
          bytes = method.responseSerialize(response as Response);
        } catch (fault) {
          error = toScorewireError(fault);
        }
      }
      recordOutcome(edge, cellsOf, context, error);
      if (error === undefined) call.answer(bytes as Uint8Array);
      else call.refuse(toStatus(error, context.entityId, edge.logFault));
    };
    try {
      admit?.(call);
      const request = decode(message);
      if (request instanceof Malformed) throw malformed(name);
      handler(request, context, done, call);
    } catch (error) {
      done(toScorewireError(error));
    }
  };
  return { path, onMessage };
}

/** The error for a request of the method, by its name, that is no message of its type. */
export function malformed(method: string): ScorewireError {
  const message = `the request is not a well-formed message of ${method}`;
  return new ScorewireError('invalid_argument', 'MALFORMED_MESSAGE', message);
}

/** Finds the cells of a method's calls by the model's name. */
export type CellsByModel = (model: string) => CallCells;

export function cellsByModel(metrics: Metrics, method: string): CellsByModel {
  const cells = new Map<string, CallCells>();
  return (model) => {
    let found = cells.get(model);
    if (found === undefined) {
      found = callCells(metrics, method, model);
      cells.set(model, found);
    }
    return found;
  };
}

/** Ends a call of many messages with an error, and counts that; returns the status by name. */
export function refuseCall(
  { metrics, logFault }: UnaryEdge,
  call: { refuse(status: RefusedStatus): void },
  cause: unknown,
): string {
  const error = toScorewireError(cause);
  const code = codeName(error.kind);
  metrics.errors.cell({ code, reason: error.reason }).add(1);
  call.refuse(toStatus(error, '', logFault));
  return code;
}

/** Counts what became of a request, and ends its span. */
export function recordOutcome(
  { metrics }: UnaryEdge,
  cellsOf: CellsByModel,
  { model, receivedMs, span }: CallContext,
  error: ScorewireError | undefined,
): void {
  const code = error === undefined ? 'OK' : codeName(error.kind);
  cellsOf(model).record(code, (performance.now() - receivedMs) / 1000);
  span?.end(code);
  if (error !== undefined) metrics.errors.cell({ code, reason: error.reason }).add(1);
}

/** What an answer becomes that nobody waits for any more: it must not be counted as one that arrived. */
export function tooLate({ deadlineMs, abandoned }: CallContext): ScorewireError | undefined {
  if (performance.now() >= deadlineMs) {
    return new ScorewireError('deadline_exceeded', 'DEADLINE_EXPIRED_IN_RUN', 'the deadline passed during the run');
  }
  return abandoned() ? new ScorewireError('cancelled', 'CALLER_LEFT', 'the caller left during the run') : undefined;
}

/** What a request begins with, in a call of the method by its name. */
export function contextOf(
  { tracing }: UnaryEdge,
  method: string,
  call: { readonly deadlineMs: number; header(name: string): string | undefined },
  receivedMs: number,
  abandoned: () => boolean,
): CallContext {
  return {
    receivedMs,
    deadlineMs: call.deadlineMs,
    abandoned,
    span: tracing.enabled ? tracing.start(method, call.header('traceparent')) : undefined,
    model: '',
    entityId: '',
  };
}
