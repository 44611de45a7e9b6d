/** One connection to the server, whatever protocol it speaks. */
export interface CallConnection {
  /** Calls under way. */
  readonly inFlight: number;
  /**
   * Takes a call; `flush` sends it at the latest. False where it can't be sent now: nothing was done.
   * @param call index into the prepared calls
   * @param intendedUs handed back with the result
   */
  send(call: number, intendedUs: number): boolean;
  /** Sends what `send` has put together. */
  flush(): void;
  /** The intended start times of what is in flight. */
  intendedOfOpenCalls(): number[];
  /** Gives up on what is in flight, without reporting it. */
  destroy(): void;
}
