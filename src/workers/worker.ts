// One worker thread as the I/O thread sees it: a Piscina of one, since Piscina can't address one of several. Piscina
// starts the thread, and tells and cleans up when it goes; requests don't go through its queue but straight to the thread,
// which waits for them outside of its event loop.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { ScorewireError } from '../errors.ts';
import type { LoadRequest, RunReply, RunRequest, ServeTask, WorkerReply, WorkerRequest } from './messages.ts';

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
  readonly #pool: Piscina<ServeTask, never>;
  readonly #port: MessagePort;
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  /** Requests under way, oldest first: replies come in their order. */
  readonly #pending: { resolve: (reply: WorkerReply) => void; reject: (error: ScorewireError) => void }[] = [];
  #state: 'running' | 'gone' | 'closed' = 'running';
  #whenIdle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

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
    const gone = (cause?: unknown) => {
      for (const { reject } of this.#pending.splice(0)) reject(workerExited(id, cause));
      this.#whenIdle?.();
      if (this.#state !== 'running') return;
      this.#state = 'gone';
      this.#port.close();
      // Piscina has put an empty thread in the place of the one that went; it has run nothing and may be ended.
      void this.#pool.destroy();
      onExit(this);
    };
    this.#pool.on('error', gone);
    this.#pool.threads[0]?.once('exit', () => gone());
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on('message', (reply: WorkerReply) => {
      this.#pending.shift()?.resolve(reply);
      if (this.#pending.length === 0) this.#whenIdle?.();
    });
    // The thread says that it stands: to end it while it loads onnxruntime aborts the process.
    this.#pending.push({ resolve: () => {}, reject: () => {} });
    const task: ServeTask = { port: port2, signal: this.#signal };
    this.#pool.run(task, { transferList: [port2] }).catch(gone);
  }

  get alive(): boolean {
    return this.#state === 'running';
  }

  get busy(): boolean {
    return this.#pending.length > 0;
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

  /** Gives a session's memory back, after the runs that the worker has by now. Rejects with UNAVAILABLE if the thread exits. */
  async unload(session: number): Promise<void> {
    await this.#send({ kind: 'unload', session });
  }

  /** Ends the thread as a fault would, between runs. */
  async exit(): Promise<void> {
    if (this.#state === 'running') await this.#post({ kind: 'exit' }).catch(() => {});
  }

  /**
   * Ends the thread after the run under way, however long that takes: ending it inside a run aborts the process. Not by
   * Piscina's own close, which waits for ever if the thread goes away meanwhile.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'closed';
    if (this.busy) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    this.#port.close();
    await this.#pool.destroy();
  }

  async #send(request: WorkerRequest): Promise<WorkerReply> {
    const reply = await this.#post(request);
    if (reply.kind === 'failed') throw new RunFailed(reply.message);
    return reply;
  }

  #post(request: WorkerRequest): Promise<WorkerReply> {
    if (this.#state !== 'running') return Promise.reject(workerExited(this.id));
    return new Promise((resolve, reject) => {
      // First, since it throws for what can't be cloned; replies never come before this turn ends.
      this.#port.postMessage(request);
      this.#pending.push({ resolve, reject });
      Atomics.add(this.#signal, 0, 1);
      Atomics.notify(this.#signal, 0);
    });
  }
}

function workerExited(id: number, cause?: unknown): ScorewireError {
  return new ScorewireError('unavailable', 'WORKER_EXITED', 'the worker that had this request went away; try again', {
    metadata: { worker: String(id) },
    cause,
  });
}
