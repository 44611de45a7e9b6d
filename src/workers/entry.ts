// The thread's side of a worker: it owns the sessions and runs one request at a time, as they come.
import * as ort from 'onnxruntime-node';
import type { DataType, Tensor, TensorData } from '../tensor.ts';
import type { LoadRequest, NamedTensor, RunRequest, WorkerReply, WorkerRequest } from './messages.ts';

const sessions = new Map<number, ort.InferenceSession>();

/** Piscina calls this for every message that the I/O thread sends. */
export default async function handle(request: WorkerRequest): Promise<WorkerReply> {
  try {
    switch (request.kind) {
      case 'load':
        return await load(request);
      case 'run':
        return await run(request);
      case 'exit':
        return process.exit(0);
    }
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

async function load({ session, source, intraOpThreads }: LoadRequest): Promise<WorkerReply> {
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
  if (source.kind === 'file') {
    sessions.set(session, await ort.InferenceSession.create(source.path, options));
  } else {
    // Without a path onnxruntime would look for external data in the current directory.
    (options.extra as { session: Record<string, unknown> }).session.model_external_initializers_file_folder_path =
      source.externalDataDir;
    // The binding refuses shared memory here; the copy is garbage once the session stands.
    sessions.set(session, await ort.InferenceSession.create(new Uint8Array(source.bytes), options));
  }
  return { kind: 'loaded', loadUs: (performance.now() - start) * 1000 };
}

async function run({ session, inputs, outputs }: RunRequest): Promise<WorkerReply> {
  const loaded = sessions.get(session);
  if (loaded === undefined) throw new Error(`session ${session} is not loaded in this worker`);
  const feeds: Record<string, ort.Tensor> = {};
  for (const input of inputs) feeds[input.name] = toOrt(input);
  const start = performance.now();
  const results = await loaded.run(feeds, outputs as string[]);
  const runUs = (performance.now() - start) * 1000;
  const tensors: Tensor[] = [];
  for (const name of outputs) {
    const result = results[name] as ort.Tensor;
    tensors.push({ type: result.type as DataType, dims: result.dims, data: result.data as TensorData });
  }
  return { kind: 'ran', outputs: tensors, runUs };
}

function toOrt(input: NamedTensor): ort.Tensor {
  return new ort.Tensor(input.type as 'float32', input.data as Float32Array, input.dims);
}
