// Where an error becomes a gRPC status: the only place that knows codes.
import { randomUUID } from 'node:crypto';
import { Metadata, status as Status, type StatusObject } from '@grpc/grpc-js';
import { type ErrorKind, ScorewireError } from '../errors.ts';
import { BadRequest, ErrorInfo, RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../gen/google/rpc/status.ts';

const DOMAIN = 'scorewire';
/** Clients refuse trailers above about 8 KB, and details are in them twice. */
const MAX_MESSAGE = 1024;
const MAX_DESCRIPTION = 256;

const CODES: Record<ErrorKind, Status> = {
  invalid_argument: Status.INVALID_ARGUMENT,
  not_found: Status.NOT_FOUND,
  failed_precondition: Status.FAILED_PRECONDITION,
  overloaded: Status.RESOURCE_EXHAUSTED,
  unavailable: Status.UNAVAILABLE,
  deadline_exceeded: Status.DEADLINE_EXCEEDED,
  cancelled: Status.CANCELLED,
  unimplemented: Status.UNIMPLEMENTED,
  internal: Status.INTERNAL,
};

/** The status's name, as metrics and spans have it. */
export function codeName(kind: ErrorKind): string {
  return Status[CODES[kind]];
}

/** Told about every INTERNAL answer, with the id that the caller gets. */
export type FaultLog = (id: string, error: ScorewireError, entityId: string) => void;

/** Any error as one of ours; what is not one is a fault inside, and its words stay inside. */
export function toScorewireError(error: unknown): ScorewireError {
  if (error instanceof ScorewireError) return error;
  return new ScorewireError('internal', 'FAULT', 'a fault inside the server', { cause: error });
}

/**
 * The gRPC status of an error: code, message, and google.rpc.Status details (ErrorInfo always; BadRequest, RetryInfo
 * where there is something in them). INTERNAL carries a fresh id that `logFault` gets as well, and never a cause.
 */
export function toStatus(error: ScorewireError, entityId: string, logFault: FaultLog): StatusObject {
  const { violations = [], retryAfterMs, metadata = {} } = error.details;
  let { message } = error;
  const info = new Map(Object.entries(metadata));
  if (entityId !== '') info.set('entity_id', clip(entityId, MAX_DESCRIPTION));
  if (error.kind === 'internal') {
    const id = randomUUID();
    logFault(id, error, entityId);
    info.set('id', id);
    message = entityId === '' ? `${message} (id ${id})` : `${message} (entity ${clip(entityId, 100)}, id ${id})`;
  }
  message = clip(message, MAX_MESSAGE);
  const code = CODES[error.kind];
  const details = [
    any('ErrorInfo', ErrorInfo.encode({ reason: error.reason, domain: DOMAIN, metadata: info }).finish()),
  ];
  if (violations.length > 0) {
    const fieldViolations = violations.map(({ field, description }) => ({
      field: clip(field, MAX_DESCRIPTION),
      description: clip(description, MAX_DESCRIPTION),
      reason: error.reason,
    }));
    details.push(any('BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  }
  const trailers = new Metadata();
  if (retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(retryAfterMs / 1000)),
      nanos: Math.floor(retryAfterMs % 1000) * 1e6,
    };
    details.push(any('RetryInfo', RetryInfo.encode({ retryDelay }).finish()));
    // What gRPC's own retry policies obey (proposal A6).
    trailers.set('grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs)));
  }
  trailers.set('grpc-status-details-bin', Buffer.from(RpcStatus.encode({ code, message, details }).finish()));
  return { code, details: message, metadata: trailers };
}

function any(name: string, value: Uint8Array): { typeUrl: string; value: Uint8Array } {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value };
}

/** Shortened, and without half surrogate pairs, which can't be percent-encoded. */
function clip(text: string, length: number): string {
  return (text.length <= length ? text : `${text.slice(0, length - 3)}...`).toWellFormed();
}
