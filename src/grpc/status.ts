// Where an error becomes a gRPC status: the only place that knows codes.
import { randomUUID } from 'node:crypto';
import { Metadata, status as Status, type StatusObject } from '@grpc/grpc-js';
import type { ErrorKind, FieldViolation, ScorewireError } from '../errors.ts';
import { BadRequest, ErrorInfo, RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../gen/google/rpc/status.ts';
import type { RowError } from '../gen/scorewire/v1/scoring.ts';
import { toDuration } from './duration.ts';

const DOMAIN = 'scorewire';
// gRPC's C core, under Python and others, refuses trailers above 8 KiB. The message is in them twice, as it is (percent-
// encoded) and in the details (base64): these limits together leave room for the rest.
/** Characters of the message, percent-encoded. */
const MAX_MESSAGE = 1536;
/** Bytes of a text in the details. */
const MAX_TEXT = 256;
/** Bytes of all violations. */
const MAX_VIOLATIONS = 2400;

const CODES: Record<ErrorKind, Status> = {
  invalid_argument: Status.INVALID_ARGUMENT,
  not_found: Status.NOT_FOUND,
  failed_precondition: Status.FAILED_PRECONDITION,
  already_exists: Status.ALREADY_EXISTS,
  overloaded: Status.RESOURCE_EXHAUSTED,
  unavailable: Status.UNAVAILABLE,
  deadline_exceeded: Status.DEADLINE_EXCEEDED,
  cancelled: Status.CANCELLED,
  permission_denied: Status.PERMISSION_DENIED,
  unimplemented: Status.UNIMPLEMENTED,
  internal: Status.INTERNAL,
};

/** The status's name, as metrics and spans have it. */
export function codeName(kind: ErrorKind): string {
  return Status[CODES[kind]];
}

/** Told about every INTERNAL answer, with the id that the caller gets. */
export type FaultLog = (id: string, error: ScorewireError, entityId: string) => void;

/**
 * The gRPC status of an error: code, message, and google.rpc.Status details (ErrorInfo always; BadRequest, RetryInfo
 * where there is something in them). INTERNAL carries a fresh id that `logFault` gets as well, and never a cause.
 */
export function toStatus(error: ScorewireError, entityId: string, logFault: FaultLog): StatusObject {
  const { violations = [], retryAfterMs, metadata = {} } = error.details;
  let { message } = error;
  const info = new Map(Object.entries(metadata));
  for (const [key, value] of info) info.set(key, clip(value, MAX_TEXT));
  if (entityId !== '') info.set('entity_id', clip(entityId, MAX_TEXT));
  if (error.kind === 'internal') {
    const id = randomUUID();
    logFault(id, error, entityId);
    info.set('id', id);
    message = faultMessage(message, entityId, id);
  }
  message = clip(message, MAX_MESSAGE, encodedLength);
  const code = CODES[error.kind];
  const details = [
    any('ErrorInfo', ErrorInfo.encode({ reason: error.reason, domain: DOMAIN, metadata: info }).finish()),
  ];
  if (violations.length > 0) details.push(any('BadRequest', encodeViolations(violations, error.reason)));
  const trailers = new Metadata();
  if (retryAfterMs !== undefined) {
    details.push(any('RetryInfo', RetryInfo.encode({ retryDelay: toDuration(retryAfterMs) }).finish()));
    // What gRPC's own retry policies obey (proposal A6).
    trailers.set('grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs)));
  }
  trailers.set('grpc-status-details-bin', Buffer.from(RpcStatus.encode({ code, message, details }).finish()));
  return { code, details: message, metadata: trailers };
}

/** The error of one row or item among many, which does not end the call. `row` counts from the first of the message. */
export function toRowError(error: ScorewireError, row: number, entityId: string, logFault: FaultLog): RowError {
  const code = CODES[error.kind];
  const { violations, retryAfterMs } = error.details;
  const field = clip(violations?.[0]?.field ?? '', MAX_TEXT);
  const retryDelay = retryAfterMs === undefined ? undefined : toDuration(retryAfterMs);
  let message = clip(error.message, MAX_MESSAGE);
  if (error.kind === 'internal') {
    const id = randomUUID();
    logFault(id, error, entityId);
    message = faultMessage(message, entityId, id);
  }
  return { row: BigInt(row), code, reason: error.reason, field, message, retryDelay };
}

/** `id` finds the fault in the log. */
function faultMessage(message: string, entityId: string, id: string): string {
  return entityId === '' ? `${message} (id ${id})` : `${message} (entity ${clip(entityId, 100)}, id ${id})`;
}

function any(name: string, value: Uint8Array): { typeUrl: string; value: Uint8Array } {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value };
}

/** A BadRequest with as many of the violations as there is room for. */
function encodeViolations(violations: readonly FieldViolation[], reason: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const { field, description } of violations) {
    const violation = { field: clip(field, MAX_TEXT), description: clip(description, MAX_TEXT), reason };
    // Messages of one type, one after the other, are one with all their repeated fields.
    const part = BadRequest.encode({ fieldViolations: [violation] }).finish();
    size += part.length;
    if (size > MAX_VIOLATIONS) break;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Shortened to `limit`, and without half surrogate pairs, which can't be encoded. */
function clip(text: string, limit: number, sizeOf: (text: string) => number = Buffer.byteLength): string {
  // No character takes more than 9 when percent-encoded, none less than 1.
  if (text.length * 9 <= limit) return text.toWellFormed();
  const whole = text.slice(0, limit + 1).toWellFormed();
  if (text.length <= limit && sizeOf(whole) <= limit) return whole;
  let fits = 0;
  for (let step = 2 ** Math.floor(Math.log2(limit)); step >= 1; step /= 2) {
    if (sizeOf(shortened(whole, fits + step)) <= limit) fits += step;
  }
  return shortened(whole, fits);
}

function shortened(text: string, length: number): string {
  return `${text.slice(0, length)}...`.toWellFormed();
}

/** As grpc-js encodes a message for the wire. */
function encodedLength(text: string): number {
  return encodeURI(text).length;
}
