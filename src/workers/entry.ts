// The thread's side of a worker: it owns the sessions and answers one request at a time, as they come.
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
// What the package's own InferenceSession calls, one turn of the event loop later: a thread with nothing else to do need
// not have a turn at all.
import { type Binding, binding, initOrt } from 'onnxruntime-node/dist/binding.js';
import { type DataType, free, type Tensor, type TensorData } from '../tensor.ts';
import type { LoadRequest, NamedTensor, RunRequest, ServeTask, WorkerReply, WorkerRequest } from './messages.ts';

const sessions = new Map<number, Binding.InferenceSession>();
/** Of sessions that have inputs which a run need not bring: those, ready to be fed. */
const defaults = new Map<number, Readonly<Record<string, ort.Tensor>>>();

/** The one task that Piscina gives this thread: it ends with the thread. */
export default function serve({ port, signal }: ServeTask): never {
  initOrt();
  port.postMessage({ kind: 'started' } satisfies WorkerReply);
  for (;;) {
    // Read before the port is: a request posted in between has raised it, and then the wait is none.
    const seen = Atomics.load(signal, 0);
    const received = receiveMessageOnPort(port);
    if (received === undefined) Atomics.wait(signal, 0, seen);
    else reply(port, received.message);
  }
}

function reply(port: MessagePort, request: WorkerRequest): void {
  port.postMessage(answer(request));
}

function answer(request: WorkerRequest): WorkerReply {
  try {
    switch (request.kind) {
      case 'load':
        return load(request);
      case 'run':
        return run(request);
      case 'unload':
        sessions.get(request.session)?.dispose();
        sessions.delete(request.session);
        defaults.delete(request.session);
        return { kind: 'unloaded' };
      case 'exit':
        return process.exit(0);
    }
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

function load({ session, source, intraOpThreads, defaults: given = [] }: LoadRequest): WorkerReply {
  const start = performance.now();
  const options: ort.InferenceSession.SessionOptions = {
    intraOpNumThreads: intraOpThreads,
    interOpNumThreads: 1,
    // Nothing but what ends the process: LightGBM's label shape makes onnxruntime warn at every run, and an error comes
    // back as an exception, so that a line on stderr for every bad row would say it twice and past the log.
    logSeverityLevel: 4,
    // A spinning pool burns a core that the I/O thread needs.
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  };
  const created = new binding.InferenceSession();
  if (source.kind === 'file') {
    created.loadModel(source.path, options);
  } else {
    // Without a path onnxruntime would look for external data in the current directory.
    (options.extra as { session: Record<string, unknown> }).session.model_external_initializers_file_folder_path =
      source.externalDataDir;
    // The binding refuses shared memory here; the copy is garbage once the session stands.
    const { buffer, byteLength } = new Uint8Array(source.bytes);
    created.loadModel(buffer, 0, byteLength, options);
  }
  sessions.set(session, created);
  if (given.length > 0) defaults.set(session, Object.fromEntries(given.map((input) => [input.name, toOrt(input)])));
  return { kind: 'loaded', loadUs: (performance.now() - start) * 1000 };
}

function run({ session, inputs, outputs }: RunRequest): WorkerReply {
  const loaded = sessions.get(session);
  if (loaded === undefined) throw new Error(`session ${session} is not loaded in this worker`);
  const feeds: Record<string, ort.Tensor> = { ...defaults.get(session) };
  for (const input of inputs) feeds[input.name] = toOrt(input);
  const fetches: Record<string, null> = {};
  for (const name of outputs) fetches[name] = null;
  const start = performance.now();
  const results = loaded.run(feeds, fetches, {});
  const runUs = (performance.now() - start) * 1000;
  for (const { data } of inputs) free(data);
  const tensors: Tensor[] = [];
  for (const name of outputs) {
    const result = results[name] as ort.Tensor;
    tensors.push({ type: result.type as DataType, dims: result.dims, data: fromOrt(result) });
  }
  return { kind: 'ran', outputs: tensors, runUs };
}

function toOrt({ type, data, dims }: NamedTensor): ort.Tensor {
  // The package's Tensor makes a Float16Array of it where there are those, which its own binding doesn't know.
  if (type === 'float16') return { type, location: 'cpu', data, dims } as unknown as ort.Tensor;
  return new ort.Tensor(type as 'float32', data as Float32Array, dims);
}

function fromOrt({ type, data }: ort.Tensor): TensorData {
  if (type !== 'float16' || data instanceof Uint16Array) return data as TensorData;
  const { buffer, byteOffset, length } = data as unknown as Uint16Array<ArrayBuffer>;
  return new Uint16Array(buffer, byteOffset, length);
}
