// Workers that get no more work, until what they have is done.
import type { BatchRunner } from './scheduling.ts';

export class Leaving {
  readonly #done = new Map<BatchRunner, () => void>();
  readonly #busy: (worker: BatchRunner) => boolean;

  /** @param busy whether a worker still has something */
  constructor(busy: (worker: BatchRunner) => boolean) {
    this.#busy = busy;
  }

  /** Resolves when the worker has nothing any more: whoever takes something from it calls `look`. */
  async wait(worker: BatchRunner): Promise<void> {
    if (!this.#busy(worker)) return;
    await new Promise<void>((resolve) => this.#done.set(worker, resolve));
  }

  /** The worker may have nothing any more. */
  look(worker: BatchRunner): void {
    const done = this.#done.get(worker);
    if (done === undefined || this.#busy(worker)) return;
    this.#done.delete(worker);
    done();
  }
}
