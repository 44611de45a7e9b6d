import { status as Status, type StatusObject } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../gen/google/rpc/status.ts';
import type { RowError } from '../gen/scorewire/v1/scoring.ts';
import { toMs } from './duration.ts';
import type { StatusName } from './types.ts';

export type Violation = {
  /** Path in the request message, such as `row.named.values["age"]`. */
  field: string;
  /** What was expected and what was found. */
  description: string;
};

/** What a call failed with, as the server said it or as the client found it. */
export class ScoreError extends Error {
  /** The gRPC status, such as `UNAVAILABLE`. */
  readonly code: StatusName;
  /** Stable, for programs to branch on; '' where none was given. */
  readonly reason: string;
  /** The fields of the request that are wrong; of a score on a shared stream the first of them, while the message has all. */
  readonly violations: readonly Violation[];
  /** Milliseconds after which the server wants to be asked again; Infinity: not at all. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: StatusName,
    message: string,
    details: { reason?: string; violations?: readonly Violation[]; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ScoreError';
    this.code = code;
    this.reason = details.reason ?? '';
    this.violations = details.violations ?? [];
    this.retryAfterMs = details.retryAfterMs;
  }

  /** Of a call that did not end with OK. */
  static ofStatus({ code, details, metadata }: StatusObject): ScoreError {
    const found = readDetails(metadata.get('grpc-status-details-bin')[0]);
    const retryAfterMs = pushBackMs(metadata.get('grpc-retry-pushback-ms')[0]) ?? found.retryAfterMs;
    return new ScoreError(nameOf(code), details, { ...found, retryAfterMs });
  }

  /** Of one item of a stream, whose message begins with the field that is wrong; of several it names the first. */
  static ofItem({ code, reason, field, message, retryDelay }: RowError): ScoreError {
    const description = message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message;
    const violations = field === '' ? [] : [{ field, description }];
    return new ScoreError(nameOf(code), message, { reason, violations, retryAfterMs: retryDelay && toMs(retryDelay) });
  }

  /** Of a call that its user gave up. */
  static aborted(cause: unknown): ScoreError {
    return new ScoreError('CANCELLED', 'the call was given up', { reason: 'ABORTED', cause });
  }
}

/** Of a status code, whoever sent it. */
export function nameOf(code: number): StatusName {
  return (Status[code] as StatusName | undefined) ?? 'UNKNOWN';
}

/** As gRPC's proposal A6 has it: what is no number of milliseconds means that there is to be no retry. */
function pushBackMs(header: string | Buffer | undefined): number | undefined {
  if (header === undefined) return undefined;
  const text = String(header);
  return /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

type Details = { reason?: string; violations?: Violation[]; retryAfterMs?: number };

/** Nothing where they can't be read: the status alone still says what happened. */
function readDetails(bytes: string | Buffer | undefined): Details {
  if (!Buffer.isBuffer(bytes)) return {};
  try {
    const found: Details = {};
    for (const { typeUrl, value } of RpcStatus.decode(bytes).details) {
      const name = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
      if (name === 'google.rpc.ErrorInfo') found.reason = ErrorInfo.decode(value).reason;
      if (name === 'google.rpc.BadRequest') found.violations = violationsOf(BadRequest.decode(value));
      if (name === 'google.rpc.RetryInfo') found.retryAfterMs = delayMs(RetryInfo.decode(value));
    }
    return found;
  } catch {
    return {};
  }
}

function violationsOf({ fieldViolations }: BadRequest): Violation[] {
  return fieldViolations.map(({ field, description }) => ({ field, description }));
}

function delayMs({ retryDelay }: RetryInfo): number | undefined {
  return retryDelay && toMs(retryDelay);
}
