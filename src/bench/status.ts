// gRPC's status codes as the load generator counts them, and what HTTP says where gRPC says nothing.

export const OK = 0;
export const UNKNOWN = 2;
export const INVALID_ARGUMENT = 3;
export const RESOURCE_EXHAUSTED = 8;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;
/** Not a code of gRPC: the run ended, its time to drain too, and no answer had come. */
export const NO_ANSWER = 17;

const NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
  'NO_ANSWER',
] as const;

export const STATUS_COUNT = NAMES.length;

export function statusName(status: number): string {
  return NAMES[status] ?? `CODE_${status}`;
}

/** The code of an answer without grpc-status, from its HTTP status (gRPC's http-grpc-status-mapping.md). */
export function statusOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return INTERNAL;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return UNAVAILABLE;
    default:
      return UNKNOWN;
  }
}

/** The code of an answer over HTTP/1.1: the codes' own HTTP statuses (google/rpc/code.proto), read backwards. */
export function statusOfJsonApi(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
    case 422:
      return INVALID_ARGUMENT;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 5;
    case 408:
    case 504:
      return 4;
    case 429:
      return RESOURCE_EXHAUSTED;
    case 500:
      return INTERNAL;
    case 501:
      return 12;
    case 502:
    case 503:
      return UNAVAILABLE;
    default:
      return UNKNOWN;
  }
}

/** The code of a call that RST_STREAM ended, from its HTTP/2 error code. */
export function statusOfReset(errorCode: number): number {
  switch (errorCode) {
    case 7: // REFUSED_STREAM
      return UNAVAILABLE;
    case 8: // CANCEL
      return 1;
    case 11: // ENHANCE_YOUR_CALM
      return RESOURCE_EXHAUSTED;
    case 12: // INADEQUATE_SECURITY
      return 7;
    default:
      return INTERNAL;
  }
}
