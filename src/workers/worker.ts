// One worker thread as the I/O thread sees it: a Piscina of one, since Piscina can't address one of several.
import { Piscina } from 'piscina';
import { ScorewireError } from '../errors.ts';
import type { LoadRequest, RunReply, RunRequest, WorkerReply, WorkerRequest } from './messages.ts';

/** A run that onnxruntime refused; the worker is well. The message is for the log, not for a caller. */
export class RunFailed extends Error {}

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url).href;

/**
 * Starts a thread, and ends it. One request at a time: who calls `run` waits for its end before the next.
 * A thread that exits rejects the request it had with UNAVAILABLE (WORKER_EXITED), calls `onExit` once and is not
 * started again: who made this worker makes another one.
 */
export class Worker {
  readonly id: number;
  readonly #pool: Piscina<WorkerRequest, WorkerReply>;
  #state: 'running' | 'gone' | 'closed' = 'running';
  #requests = 0;
  #whenIdle: (() => void) | undefined;

  constructor(id: number, onExit: (worker: Worker) => void) {
    this.id = id;
    this.#pool = new Piscina({
      filename: ENTRY,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      recordTiming: false,
    });
    const gone = () => {
      if (this.#state !== 'running') return;
      this.#state = 'gone';
      // Piscina has put an empty thread in the place of the one that went; it has run nothing and may be ended.
      void this.#pool.destroy();
      onExit(this);
    };
    this.#pool.on('error', gone);
    this.#pool.threads[0]?.once('exit', gone);
  }

  get alive(): boolean {
    return this.#state === 'running';
  }

  get busy(): boolean {
    return this.#requests > 0;
  }

  /** Creates a session; rejects with RunFailed and onnxruntime's words if the model doesn't load. Microseconds. */
  async load(request: Omit<LoadRequest, 'kind'>): Promise<number> {
    const reply = await this.#send({ kind: 'load', ...request });
    if (reply.kind !== 'loaded') throw new Error(`a load was answered by ${reply.kind}`);
    return reply.loadUs;
  }

  /** Runs a session once. Rejects with RunFailed, or UNAVAILABLE if the thread exits. */
  async run(request: Omit<RunRequest, 'kind'>): Promise<RunReply> {
    const reply = await this.#send({
      kind: 'run',
      session: request.session,
      inputs: request.inputs,
      outputs: request.outputs,
    });
    if (reply.kind !== 'ran') throw new Error(`a run was answered by ${reply.kind}`);
    return reply;
  }

  /** Ends the thread as a fault would, between runs. */
  async exit(): Promise<void> {
    if (this.#state === 'running') await this.#post({ kind: 'exit' }).catch(() => {});
  }

  /**
   * Ends the thread after the run under way, however long that takes: ending it inside a run aborts the process. Not by
   * Piscina's own close, which waits for ever if the thread goes away meanwhile.
   */
  async close(): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'closed';
    if (this.busy) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#pool.destroy();
  }

  async #send(request: WorkerRequest): Promise<WorkerReply> {
    if (this.#state !== 'running') throw workerExited(this.id);
    let reply: WorkerReply;
    try {
      reply = await this.#post(request);
    } catch (cause) {
      // The entry answers every fault of a request with a reply: what throws here is the thread itself.
      throw workerExited(this.id, cause);
    }
    if (reply.kind === 'failed') throw new RunFailed(reply.message);
    return reply;
  }

  async #post(request: WorkerRequest): Promise<WorkerReply> {
    this.#requests++;
    try {
      return await this.#pool.run(request);
    } finally {
      this.#requests--;
      if (this.#requests === 0) this.#whenIdle?.();
    }
  }
}

function workerExited(id: number, cause?: unknown): ScorewireError {
  return new ScorewireError('unavailable', 'WORKER_EXITED', 'the worker that had this request went away; try again', {
    metadata: { worker: String(id) },
    cause,
  });
}
