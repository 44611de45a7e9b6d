// All workers: each has every session, loaded and warm, before it gets work; one that goes away is replaced. A session is never
// created in a worker that has work, since that would hold it up: workers that lack one are replaced as well, one after the other.
import { setTimeout as sleep } from 'node:timers/promises';
import { makeLow, raiseThreads } from '../thread-priority.ts';
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
  /** A worker gives way to one that has more sessions; resolves when it has no work any more. */
  retired(worker: Worker): Promise<void>;
  sessionCreated(plan: SessionPlan): void;
  /** A replacement could not be started; it is tried again after `retryMs`. */
  replacementFailed(error: unknown, retryMs: number): void;
};

/** Milliseconds between two tries to replace a worker: doubled from the first up to the last. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 10_000;

/** A model that onnxruntime refuses: its file, and onnxruntime's words. */
export class LoadFailed extends Error {}

/** The pool was closed meanwhile. */
export class PoolClosed extends Error {}

/** Times that a worker may go away while it has to do with a session before that is to blame. */
const STRIKES = 2;

/** Sessions of which nobody knows yet whether they can be created. */
class Trial {
  #plans: readonly SessionPlan[];
  readonly failed = new Map<SessionPlan, LoadFailed>();
  readonly #strikes = new Map<SessionPlan, number>();

  constructor(plans: readonly SessionPlan[]) {
    this.#plans = plans;
  }

  /** Those that have not failed. */
  get plans(): readonly SessionPlan[] {
    return this.#plans;
  }

  /** Takes a session that could not be created out; one that took a worker with it, when it does so again. Whether it is out. */
  fail(plan: SessionPlan, error: unknown): boolean {
    if (this.failed.has(plan)) return true;
    if (!this.#plans.includes(plan)) return false;
    const strikes = (this.#strikes.get(plan) ?? 0) + 1;
    this.#strikes.set(plan, strikes);
    if (!(error instanceof LoadFailed) && strikes < STRIKES) return false;
    const failure =
      error instanceof LoadFailed
        ? error
        : new LoadFailed(`${plan.file}: the worker that loaded it went away`, { cause: error });
    this.failed.set(plan, failure);
    this.#plans = this.#plans.filter((other) => other !== plan);
    return true;
  }
}

export class WorkerPool {
  readonly #events: PoolEvents;
  /** What every worker must have before it is ready, by session. */
  readonly #wanted = new Map<number, SessionPlan>();
  /** Workers that are ready or getting ready, and the sessions that each has. */
  readonly #sessions = new Map<Worker, Set<number>>();
  readonly #ready = new Set<Worker>();
  /** Of workers that give way: over when they are gone. */
  readonly #retiring = new Set<Promise<void>>();
  /** Workers that there should be. */
  #count = 0;
  readonly #closing = new AbortController();
  #nextId = 1;

  constructor(events: PoolEvents) {
    this.#events = events;
  }

  /** Workers that are ready or getting ready. */
  get workers(): ReadonlySet<Worker> {
    return new Set(this.#sessions.keys());
  }

  /**
   * Starts `count` workers; resolves when all are ready, with the sessions that can't be created: no worker has these.
   * Rejects where a worker can't be started.
   */
  async start(count: number, plans: readonly SessionPlan[]): Promise<ReadonlyMap<SessionPlan, LoadFailed>> {
    this.#count = count;
    const trial = new Trial(plans);
    const started = await Promise.allSettled(Array.from({ length: count }, () => this.#build(trial)));
    for (const outcome of started) {
      if (outcome.status === 'fulfilled') continue;
      await this.close();
      throw outcome.reason;
    }
    this.#want(trial.plans);
    for (const outcome of started) {
      if (outcome.status === 'fulfilled' && !this.#admit(outcome.value)) void this.#addOne();
    }
    return trial.failed;
  }

  /**
   * Brings sessions into all workers while these serve: for each in turn a fresh one is made that has everything and is warm, and
   * takes its place. Resolves when every ready worker has them, with those that can't be created, which no worker has then.
   * One call at a time.
   * @param measure is given the first fresh worker before that has any other work, and the sessions that it has got
   * @throws PoolClosed
   */
  async add(
    plans: readonly SessionPlan[],
    measure: (worker: Worker, plans: readonly SessionPlan[]) => Promise<void>,
  ): Promise<ReadonlyMap<SessionPlan, LoadFailed>> {
    const trial = new Trial(plans);
    try {
      await this.#addAll(trial, measure);
    } catch (error) {
      if (!(error instanceof LoadFailed)) throw error;
      // A session that was there before can't be created any more, such as where its files are gone: those who have it go on.
      for (const plan of trial.plans) {
        this.#wanted.delete(plan.session);
        trial.failed.set(plan, new LoadFailed(`no worker could be started for it: ${error.message}`, { cause: error }));
      }
    }
    await this.#disposeUnwanted();
    return trial.failed;
  }

  /** @throws LoadFailed of a session that is no part of the trial */
  async #addAll(
    trial: Trial,
    measure: (worker: Worker, plans: readonly SessionPlan[]) => Promise<void>,
  ): Promise<void> {
    let first = await this.#buildNext(trial);
    for (let tries = 1; trial.plans.length > 0; tries++) {
      await measure(first, trial.plans).catch((error: unknown) => {
        void this.#discard(first);
        throw error;
      });
      if (first.alive || tries === STRIKES) break;
      this.#sessions.delete(first);
      first = await this.#buildNext(trial);
    }
    if (trial.plans.length === 0) {
      // Nothing new came of it: those that serve may go on.
      await this.#discard(first);
      return;
    }
    this.#want(trial.plans);
    this.#admit(first);
    // Also where there is none: whoever is on the way has everything.
    while (this.#outdated() !== undefined) this.#admit(await this.#buildNext(trial));
  }

  /** When those that gave way are gone, so that there is one worker more than there should be, and not one for each that has a long run. */
  async #buildNext(trial: Trial): Promise<Worker> {
    await Promise.all(this.#retiring);
    return await this.#buildInTheEnd(trial, true);
  }

  /** Has all workers give a session's memory back, each between two runs; those that start later don't load it. */
  async remove(session: number): Promise<void> {
    this.#wanted.delete(session);
    await this.#disposeUnwanted();
  }

  /** Ends all workers, each after the run or the load that it has. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#sessions.keys()].map((worker) => worker.close()));
    this.#sessions.clear();
  }

  #want(plans: readonly SessionPlan[]): void {
    for (const plan of plans) this.#wanted.set(plan.session, plan);
  }

  /**
   * One worker, loaded and warm, that nobody has yet. Sessions of a trial that fail are left out, and are out of the trial then.
   * @param givesWay there are enough that serve meanwhile: it lets those go first, until it is admitted
   */
  async #build(trial: Trial, givesWay = false): Promise<Worker> {
    if (this.#closing.signal.aborted) throw new PoolClosed('the workers are closed');
    const make = () => new Worker(this.#nextId++, (gone) => this.#replace(gone));
    const worker = givesWay ? makeLow(make) : make();
    const has = new Set<number>();
    this.#sessions.set(worker, has);
    try {
      // Looked at anew each time: more may be wanted by now.
      for (let plan = this.#lacking(has, trial); plan !== undefined; plan = this.#lacking(has, trial)) {
        await this.#load(worker, plan, trial);
        has.add(plan.session);
      }
      if (!worker.alive) throw new Error(`worker ${worker.id} went away before it was ready`);
      return worker;
    } catch (error) {
      await this.#discard(worker);
      if (this.#closing.signal.aborted) throw new PoolClosed('the workers are closed', { cause: error });
      throw error;
    }
  }

  #lacking(has: ReadonlySet<number>, trial: Trial): SessionPlan | undefined {
    for (const plan of this.#wanted.values()) if (!has.has(plan.session)) return plan;
    return trial.plans.find(({ session }) => !has.has(session));
  }

  /** A session on trial that fails is left out, and the worker goes on without it. */
  async #load(worker: Worker, plan: SessionPlan, trial: Trial): Promise<void> {
    const { session, source, intraOpThreads, defaults, file } = plan;
    let failure: unknown;
    try {
      await worker.load({ session, source, intraOpThreads, defaults });
      this.#events.sessionCreated(plan);
      await plan.warmUp(worker);
      if (worker.alive) return;
      failure = new Error(`worker ${worker.id} went away before it was ready`);
    } catch (error) {
      failure =
        error instanceof RunFailed
          ? new LoadFailed(`${file}: onnxruntime can't load it: ${error.message}`, { cause: error })
          : error;
    }
    if (this.#closing.signal.aborted || !trial.fail(plan, failure)) throw failure;
    this.#wanted.delete(session);
    if (!worker.alive) throw failure;
  }

  /**
   * As `#build`, tried until there is one.
   * @param beside others serve meanwhile, and go on where a session can't be created: it is not tried again then
   * @throws PoolClosed, LoadFailed
   */
  async #buildInTheEnd(trial: Trial, beside = false): Promise<Worker> {
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(2 * retryMs, LAST_RETRY_MS)) {
      try {
        return await this.#build(trial, beside);
      } catch (error) {
        if (error instanceof PoolClosed || (beside && error instanceof LoadFailed)) throw error;
        this.#events.replacementFailed(error, retryMs);
      }
      await sleep(retryMs, undefined, { ref: false, signal: this.#closing.signal }).catch(() => {});
    }
  }

  /**
   * A worker that is warm gets work from now on, and one that is too much gets no more: first those that lack a session. False where
   * it went away while it waited to be let in.
   */
  #admit(worker: Worker): boolean {
    if (!worker.alive) {
      this.#sessions.delete(worker);
      return false;
    }
    raiseThreads();
    this.#ready.add(worker);
    this.#events.ready(worker);
    // What was unloaded while it loaded.
    void this.#disposeUnwanted();
    if (this.#ready.size > this.#count) {
      const retiring = this.#retire(this.#outdated() ?? this.#oldest());
      this.#retiring.add(retiring);
      void retiring.finally(() => this.#retiring.delete(retiring));
    }
    return true;
  }

  #oldest(): Worker {
    const [oldest] = this.#ready;
    return oldest as Worker;
  }

  #outdated(): Worker | undefined {
    for (const worker of this.#ready) {
      const has = this.#sessions.get(worker);
      for (const session of this.#wanted.keys()) if (!has?.has(session)) return worker;
    }
    return undefined;
  }

  /** Ends a worker that nobody has. */
  async #discard(worker: Worker): Promise<void> {
    this.#sessions.delete(worker);
    await worker.close();
  }

  async #retire(worker: Worker): Promise<void> {
    this.#ready.delete(worker);
    await this.#events.retired(worker);
    await worker.close();
    this.#sessions.delete(worker);
  }

  /** Sessions that no worker should have are given back by those that are ready; the others are not asked before they are. */
  async #disposeUnwanted(): Promise<void> {
    const disposed: Promise<void>[] = [];
    for (const worker of this.#ready) {
      const has = this.#sessions.get(worker);
      for (const session of has ?? []) {
        if (this.#wanted.has(session)) continue;
        has?.delete(session);
        // One that goes away has given everything back.
        disposed.push(worker.unload(session).catch(() => {}));
      }
    }
    await Promise.all(disposed);
  }

  #replace(gone: Worker): void {
    // One that goes away before it is ready fails its own start.
    if (!this.#ready.delete(gone) || this.#closing.signal.aborted) return;
    this.#sessions.delete(gone);
    this.#events.gone(gone);
    void this.#addOne();
  }

  /** One more worker, in the end; none where the pool is closed. */
  async #addOne(): Promise<void> {
    const nothing = new Trial([]);
    try {
      while (!this.#admit(await this.#buildInTheEnd(nothing)));
    } catch (error) {
      if (!(error instanceof PoolClosed)) throw error;
    }
  }
}
