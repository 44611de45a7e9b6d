// The closed set of things that can go wrong. No gRPC code in here: src/grpc/status.ts maps kinds to codes, once.

/** What kind of failure a caller meets. */
export type ErrorKind =
  /** The request is wrong; `violations` name the fields. */
  | 'invalid_argument'
  /** No such model, version or name. */
  | 'not_found'
  /** The model or the server is not set up for what was asked. */
  | 'failed_precondition'
  /** There is one of that name. */
  | 'already_exists'
  /** Too much work is queued; `retryAfterMs` says when to come back. */
  | 'overloaded'
  /** Not ready, draining, or a worker went away. */
  | 'unavailable'
  /** The deadline of the caller passed, or can't be met. */
  | 'deadline_exceeded'
  /** The caller left. */
  | 'cancelled'
  /** Not for this caller. */
  | 'permission_denied'
  /** Known to the contract, not built. */
  | 'unimplemented'
  /** A fault of ours; the log has the cause under `id`. */
  | 'internal';

/** One field of a request that is wrong. */
export type FieldViolation = {
  /** Path in the request message, such as `row.named.values["age"]`. */
  field: string;
  /** What was expected and what was found. */
  description: string;
};

export type ErrorDetails = {
  violations?: readonly FieldViolation[];
  /** Milliseconds after which a retry may succeed. */
  retryAfterMs?: number;
  /** What else a machine may want to know, such as the model's name. */
  metadata?: Readonly<Record<string, string>>;
  cause?: unknown;
};

/**
 * An answer that is not a score. `reason` is stable and in UPPER_SNAKE_CASE: clients may branch on it; the message is
 * for people and may change.
 */
export class ScorewireError extends Error {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly details: ErrorDetails;

  constructor(kind: ErrorKind, reason: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ScorewireError';
    this.kind = kind;
    this.reason = reason;
    this.details = details;
  }
}

/** Any error as one of ours; what is not one is a fault inside, and its words stay inside. */
export function toScorewireError(error: unknown): ScorewireError {
  if (error instanceof ScorewireError) return error;
  return new ScorewireError('internal', 'FAULT', 'a fault inside the server', { cause: error });
}

/** One wrong field, in the form that all of the server uses. */
export function invalidField(field: string, description: string): ScorewireError {
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}

/**
 * Something that keeps the server from starting: a setting, a manifest, a model, a port. The message is one line that
 * names the file or the setting, what was found and what is allowed; the command line prints it and exits with 1.
 */
export class SetupError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SetupError';
  }
}
