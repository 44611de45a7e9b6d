// ModelInfer requests and answers, as tests write them down.
import type {
  InferParameter,
  ModelInferRequest_InferInputTensor as InputMessage,
  ModelInferRequest,
  ModelInferResponse,
} from '../../src/gen/inference/inference.ts';

type Value = number | bigint | boolean | string;

/** bigint: int64_param; number: double_param. */
export type ParameterInit = Value | { uint64: bigint } | undefined;

export type TensorInit = {
  name: string;
  datatype: string;
  shape: readonly number[];
  parameters?: Readonly<Record<string, ParameterInit>>;
} & (
  | { raw: Uint8Array }
  | { typed: readonly (Value | Uint8Array)[] }
  /** Neither. */
  | { nothing: true }
);

export type RequestInit = {
  version?: string;
  id?: string;
  parameters?: Readonly<Record<string, ParameterInit>>;
  outputs?: readonly (string | { name: string; parameters: Readonly<Record<string, ParameterInit>> })[];
};

export function inferRequest(model: string, inputs: readonly TensorInit[], init: RequestInit = {}): ModelInferRequest {
  return {
    modelName: model,
    modelVersion: init.version ?? '',
    id: init.id ?? '',
    parameters: parametersOf(init.parameters),
    inputs: inputs.map(inputMessage),
    outputs: (init.outputs ?? []).map((output) =>
      typeof output === 'string'
        ? { name: output, parameters: new Map() }
        : { name: output.name, parameters: parametersOf(output.parameters) },
    ),
    rawInputContents: inputs.flatMap((input) => ('raw' in input ? [Buffer.from(input.raw)] : [])),
  };
}

export function parametersOf(values: RequestInit['parameters'] = {}): Map<string, InferParameter> {
  return new Map(Object.entries(values).map(([name, value]) => [name, parameterOf(value)]));
}

function parameterOf(value: ParameterInit): InferParameter {
  switch (typeof value) {
    case 'bigint':
      return { parameterChoice: { $case: 'int64Param', value } };
    case 'boolean':
      return { parameterChoice: { $case: 'boolParam', value } };
    case 'string':
      return { parameterChoice: { $case: 'stringParam', value } };
    case 'number':
      return { parameterChoice: { $case: 'doubleParam', value } };
    case 'object':
      return { parameterChoice: { $case: 'uint64Param', value: value.uint64 } };
    default:
      return {};
  }
}

const EMPTY = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
};

function inputMessage(input: TensorInit): InputMessage {
  const { name, datatype, shape, parameters } = input;
  const contents = 'typed' in input ? { ...EMPTY, [fieldOf(datatype)]: input.typed.map(toElement) } : undefined;
  return { name, datatype, shape: shape.map(BigInt), parameters: parametersOf(parameters), contents };
}

function toElement(value: Value | Uint8Array): unknown {
  return value instanceof Uint8Array || typeof value === 'string' ? Buffer.from(value) : value;
}

export function fieldOf(datatype: string): keyof typeof EMPTY {
  if (/^INT(8|16|32)$/.test(datatype)) return 'intContents';
  if (/^UINT(8|16|32)$/.test(datatype)) return 'uintContents';
  return `${datatype.toLowerCase()}Contents` as keyof typeof EMPTY;
}

/** Texts as raw contents have them. */
export function packed(...texts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text as string);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

export function unpacked(bytes: Uint8Array): Buffer[] {
  const buffer = Buffer.from(bytes);
  const texts: Buffer[] = [];
  for (let at = 0; at < buffer.length; ) {
    const end = at + 4 + buffer.readUInt32LE(at);
    texts.push(buffer.subarray(at + 4, end));
    at = end;
  }
  return texts;
}

export function floats(...values: readonly number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

export function int32s(...values: readonly number[]): Buffer {
  return Buffer.from(Int32Array.from(values).buffer);
}

/** The bytes of one output of an answer. */
export function rawOutput(response: ModelInferResponse, name: string): Buffer {
  return Buffer.from(response.rawOutputContents[response.outputs.findIndex((output) => output.name === name)] ?? []);
}

export function int32sOf(bytes: Buffer): number[] {
  return [...new Int32Array(new Uint8Array(bytes).buffer)];
}

export function floatsOf(bytes: Buffer): number[] {
  return [...new Float32Array(new Uint8Array(bytes).buffer)];
}
