// What the generator's parts agree on: a connection of any kind, and who owns it.

/** A connection that makes prepared calls, of whatever kind. */
export interface LoadConnection {
  /** Calls that have been sent and not ended. */
  readonly inFlight: number;
  /**
   * Puts the next call, or as many as go together, into the outbox; `flush` sends it. False where the peer's limits or our
   * own hold it back: nothing was done.
   * @param call index into the prepared calls
   * @param intendedUs handed back with the result
   */
  send(call: number, intendedUs: number): boolean;
  /** Sends what the outbox holds, in one write. */
  flush(): void;
  /** The intended start times of what is in flight. */
  intendedOfOpenCalls(): number[];
  /** Gives up on what is in flight, without reporting it. */
  destroy(): void;
}

/** What a connection tells its owner. */
export interface ConnectionOwner {
  /**
   * A call has ended.
   * @param intendedUs as given to `send`
   * @param doneUs when its last frame was read
   * @param detail grpc-message or what else explains an error; empty where the call went well
   */
  finished(intendedUs: number, doneUs: number, status: number, detail: string): void;
  /** A chunk has been read, and every call that ended in it reported: the time to send. */
  chunkRead(): void;
  /** The answer of a sampled call that went well: the message with gRPC's five-byte prefix. */
  sampled(call: number, framed: Uint8Array): void;
  /** The connection takes no more calls. */
  closed(connection: LoadConnection): void;
}
