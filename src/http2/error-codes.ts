// HTTP/2's error codes (RFC 9113, section 7).

export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
} as const;

/** What breaks the rules in a way that ends the connection. */
export class ConnectionError extends Error {
  override name = 'ConnectionError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.protocolError, message);
}

/** The error for a frame that has not the size of its kind. */
export function expectBytes(bytes: number, expected: number, what: string): void {
  if (bytes !== expected) throw new ConnectionError(ErrorCode.frameSizeError, `${what} of ${bytes} bytes`);
}
