// What the I/O thread and a worker say to each other: one request, one reply, in turn.
import type { MessagePort } from 'node:worker_threads';
import type { Tensor } from '../tensor.ts';

/** What a thread begins with: requests come by `port`, and `signal[0]` goes up by one after each. */
export type ServeTask = { port: MessagePort; signal: Int32Array<SharedArrayBuffer> };

/** Where a session's model comes from. `bytes` lie in shared memory, so that workers read one copy. */
export type SessionSource =
  | { kind: 'file'; path: string }
  | { kind: 'bytes'; bytes: Uint8Array; externalDataDir: string };

export type NamedTensor = Tensor & { name: string };

/** Creates session `session` (a number that the pool gives out, never used twice). */
export type LoadRequest = {
  kind: 'load';
  session: number;
  source: SessionSource;
  intraOpThreads: number;
  /** Inputs that a run gets where it doesn't bring them itself; absent: none. */
  defaults?: readonly NamedTensor[];
};

/** Runs a session once; the reply has the outputs asked for, in that order. */
export type RunRequest = {
  kind: 'run';
  session: number;
  inputs: readonly NamedTensor[];
  outputs: readonly string[];
};

/** Gives back what a session holds; nobody runs it any more. One that isn't there is none. */
export type UnloadRequest = { kind: 'unload'; session: number };

/** Ends the thread between two runs, where that is safe: a run under way would take the whole process down. */
export type ExitRequest = { kind: 'exit' };

export type WorkerRequest = LoadRequest | RunRequest | UnloadRequest | ExitRequest;

/** `loadUs`: microseconds that creating the session took. */
export type LoadReply = { kind: 'loaded'; loadUs: number };

export type UnloadReply = { kind: 'unloaded' };

/** `runUs`: microseconds that the run took in the worker. */
export type RunReply = { kind: 'ran'; outputs: Tensor[]; runUs: number };

/** The request failed and the worker is well: onnxruntime's message, for the log and never for a caller. */
export type FailedReply = { kind: 'failed'; message: string };

/** The first of all: the thread is ready for requests. */
export type StartedReply = { kind: 'started' };

export type WorkerReply = StartedReply | LoadReply | RunReply | UnloadReply | FailedReply;
