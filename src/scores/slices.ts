// Long work on the I/O thread, in slices: between two of them the event loop serves everybody else.

/** What a turn of the event loop gives to one such work. */
const SLICE_MS = 0.3;

export class Slices {
  #endMs = performance.now() + SLICE_MS;

  /** Whether it is time to wait for `next`. */
  get over(): boolean {
    return performance.now() >= this.#endMs;
  }

  /** Resolves in another turn of the event loop, `pauseMs` later at least. */
  async next(pauseMs = 0): Promise<void> {
    await new Promise<void>((resolve) => {
      if (pauseMs === 0) setImmediate(resolve);
      else setTimeout(resolve, pauseMs).unref();
    });
    this.#endMs = performance.now() + SLICE_MS;
  }
}
