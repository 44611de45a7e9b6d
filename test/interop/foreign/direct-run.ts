// Runs ONNX's backend cases with onnxruntime alone: what the server has to reach, and no more can be asked of it.
// Cases come as JSON lines on standard input, answers leave as JSON lines on standard output, in no fixed order.
// A case that ends its process natively costs that process alone.

import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import * as ort from 'onnxruntime-node';

type JsonTensor = { type: ort.Tensor.Type; dims: number[]; data?: string; texts?: string[] };
type Case = { name: string; file: string; outputs: string[]; sets: (JsonTensor & { name: string })[][] };
type Answer = { name: string; sets?: JsonTensor[][]; error?: string; crash?: string };

const CASE_MS = 60_000;

// onnxruntime's binding can't read Float16Array, and takes bit patterns only where the runtime has no such class.
Reflect.deleteProperty(globalThis, 'Float16Array');

const ARRAYS = {
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

function toTensor({ type, dims, data, texts }: JsonTensor): ort.Tensor {
  if (texts !== undefined) return new ort.Tensor('string', texts, dims);
  const bytes = Uint8Array.from(Buffer.from(data ?? '', 'base64'));
  return new ort.Tensor(type, new ARRAYS[type as keyof typeof ARRAYS](bytes.buffer) as never, dims);
}

function toJson(tensor: ort.Tensor): JsonTensor {
  const { type } = tensor;
  const dims = [...tensor.dims];
  if (type === 'string') return { type, dims, texts: [...(tensor.data as string[])] };
  const view = tensor.data as Uint8Array;
  return { type, dims, data: Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64') };
}

async function run({ name, file, outputs, sets }: Case): Promise<Answer> {
  try {
    const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 4 });
    const answers: JsonTensor[][] = [];
    for (const inputs of sets) {
      const feeds = Object.fromEntries(inputs.map((input) => [input.name, toTensor(input)]));
      const found = await session.run(feeds);
      answers.push(outputs.map((output) => toJson(found[output] as ort.Tensor)));
    }
    await session.release();
    return { name, sets: answers };
  } catch (error) {
    return { name, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Asks one child after the other, as long as there are cases. */
async function dispatch(cases: Iterator<Case>): Promise<void> {
  let child: ChildProcess | undefined;
  for (let next = cases.next(); !next.done; next = cases.next()) {
    child ??= fork(import.meta.filename, ['child'], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const answer = await ask(child, next.value);
    if (answer.crash !== undefined) child = undefined;
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  child?.disconnect();
}

function ask(child: ChildProcess, question: Case): Promise<Answer> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), CASE_MS);
    const settle = (answer: Answer): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      resolve(answer);
    };
    child.once('message', (answer) => settle(answer as Answer));
    child.once('exit', (code, signal) => settle({ name: question.name, crash: String(signal ?? code) }));
    child.send(question);
  });
}

if (process.argv[2] === 'child') {
  process.on('message', async (question) => process.send?.(await run(question as Case)));
} else {
  const cases: Case[] = [];
  for await (const line of createInterface({ input: process.stdin })) cases.push(JSON.parse(line));
  const iterator = cases.values();
  await Promise.all([dispatch(iterator), dispatch(iterator)]);
}
