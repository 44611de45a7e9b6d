// All workers: each has every session, loaded and warm, before it gets work; one that goes away is replaced.
import type { NamedTensor, SessionSource } from './messages.ts';
import { RunFailed, Worker } from './worker.ts';

/** A session that every worker must have. */
export type SessionPlan = {
  session: number;
  /** For messages: the model file. */
  file: string;
  source: SessionSource;
  intraOpThreads: number;
  /** Inputs that runs need not bring; absent: none. */
  defaults?: readonly NamedTensor[];
  /** Runs the session a few times in a worker that has just loaded it. Must not reject. */
  warmUp: (worker: Worker) => Promise<void>;
};

export type PoolEvents = {
  /** A worker has every session and is warm. */
  ready(worker: Worker): void;
  /** A worker went away by itself; another one is on its way. */
  gone(worker: Worker): void;
  sessionCreated(plan: SessionPlan): void;
  /** A replacement could not be started; it is tried again after `retryMs`. */
  replacementFailed(error: unknown, retryMs: number): void;
};

/** Milliseconds between two tries to replace a worker: doubled from the first up to the last. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 10_000;

/** A model that onnxruntime refuses: its file, and onnxruntime's words. */
export class LoadFailed extends Error {}

export class WorkerPool {
  readonly #plans: readonly SessionPlan[];
  readonly #events: PoolEvents;
  readonly #workers = new Set<Worker>();
  readonly #ready = new Set<Worker>();
  #nextId = 1;
  #closing = false;

  constructor(plans: readonly SessionPlan[], events: PoolEvents) {
    this.#plans = plans;
    this.#events = events;
  }

  /** Workers that are ready or getting ready. */
  get workers(): ReadonlySet<Worker> {
    return this.#workers;
  }

  /** Resolves when `count` workers are ready. Rejects with LoadFailed if a session can't be created. */
  async start(count: number): Promise<void> {
    const started = await Promise.allSettled(Array.from({ length: count }, () => this.#add()));
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** Ends all workers, each after the run that it has. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#workers].map((worker) => worker.close()));
    this.#workers.clear();
  }

  async #add(): Promise<void> {
    const worker = new Worker(this.#nextId++, (gone) => this.#replace(gone));
    this.#workers.add(worker);
    try {
      for (const plan of this.#plans) {
        await this.#load(worker, plan);
        this.#events.sessionCreated(plan);
        await plan.warmUp(worker);
      }
      if (!worker.alive) throw new Error(`worker ${worker.id} went away before it was ready`);
    } catch (error) {
      this.#workers.delete(worker);
      await worker.close();
      throw error;
    }
    this.#ready.add(worker);
    this.#events.ready(worker);
  }

  async #load(worker: Worker, { session, source, intraOpThreads, defaults, file }: SessionPlan): Promise<void> {
    try {
      await worker.load({ session, source, intraOpThreads, defaults });
    } catch (error) {
      if (!(error instanceof RunFailed)) throw error;
      throw new LoadFailed(`${file}: onnxruntime can't load it: ${error.message}`, { cause: error });
    }
  }

  #replace(gone: Worker): void {
    // One that goes away before it is ready fails its own start.
    if (!this.#ready.delete(gone) || this.#closing) return;
    this.#workers.delete(gone);
    this.#events.gone(gone);
    void this.#tryReplace(FIRST_RETRY_MS);
  }

  async #tryReplace(retryMs: number): Promise<void> {
    try {
      await this.#add();
    } catch (error) {
      if (this.#closing) return;
      this.#events.replacementFailed(error, retryMs);
      setTimeout(() => {
        if (!this.#closing) void this.#tryReplace(Math.min(retryMs * 2, LAST_RETRY_MS));
      }, retryMs).unref();
    }
  }
}
