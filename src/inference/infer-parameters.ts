// What the parameters of a request, of its inputs and of its outputs ask for.
import { shown, wrongField } from './infer-error.ts';
import type { InferParameter, Parameters } from './infer-request.ts';

const FINAL_RESPONSE = 'triton_enable_empty_final_response';

/**
 * The request's own timeout in microseconds; 0: none.
 * @throws ScorewireError INVALID_ARGUMENT. What only sequences need is checked, and means nothing.
 */
export function requestTimeoutUs(parameters: Parameters): number {
  let timeoutUs = 0;
  for (const [name, parameter] of parameters) {
    const { kind } = parameter;
    switch (name) {
      case 'sequence_id':
        if (kind !== 'int64' && kind !== 'string') throw wrongType(name, 'int64_param or string_param.');
        break;
      case 'sequence_start':
      case 'sequence_end':
      case FINAL_RESPONSE:
        if (kind !== 'bool') throw wrongType(name, 'bool_param.');
        break;
      case 'priority':
        if (kind !== 'int64' && kind !== 'uint64') throw wrongType(name, 'int64_param or uint64_param.');
        if (parameter.kind === 'int64' && parameter.value < 0n) {
          throw wrongField(field(name), `invalid value for 'priority', expected value >= 0.`);
        }
        break;
      case 'timeout':
        if (parameter.kind !== 'int64') throw wrongType(name, 'int64_param.');
        timeoutUs = Number(BigInt.asUintN(64, parameter.value));
        break;
      default:
        checkOther(name, kind);
    }
  }
  return timeoutUs;
}

function checkOther(name: string, kind: InferParameter['kind']): void {
  if (name.startsWith('triton_')) {
    const message = `parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: ${FINAL_RESPONSE}`;
    throw wrongField(field(name), message);
  }
  if (kind === 'uint64' || kind === 'none') {
    const message = `invalid value type for '${shown(name)}' parameter, expected int64_param, bool_param, or string_param.`;
    throw wrongField(field(name), message);
  }
}

function wrongType(name: string, expected: string) {
  return wrongField(field(name), `invalid value type for '${name}' parameter, expected ${expected}`);
}

function field(name: string): string {
  return `parameters["${shown(name)}"]`;
}

/** Where in shared memory a tensor lies; sizes in bytes. */
export type SharedPlace = { region: string; offset: bigint; byteSize: bigint };

/**
 * Undefined for a tensor that lies in the message.
 * @param list that the tensor is in, `inputs` or `outputs`
 * @throws ScorewireError INVALID_ARGUMENT
 */
export function sharedPlace(
  list: 'inputs' | 'outputs',
  { name, parameters }: { name: string; parameters: Parameters },
): SharedPlace | undefined {
  if (parameters.size === 0) return undefined;
  const region = parameters.get('shared_memory_region');
  if (region === undefined) return undefined;
  const byteSize = parameters.get('shared_memory_byte_size');
  if (byteSize === undefined) {
    const message = `'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor '${shown(name)}'`;
    throw wrongField(`${list}["${shown(name)}"].parameters`, message);
  }
  return {
    region: region.kind === 'string' ? region.value : '',
    offset: unsigned(parameters.get('shared_memory_offset')),
    byteSize: unsigned(byteSize),
  };
}

/** As the memory's addresses count: what is negative is far beyond the end. */
function unsigned(parameter: InferParameter | undefined): bigint {
  return parameter?.kind === 'int64' ? BigInt.asUintN(64, parameter.value) : 0n;
}

/**
 * How many of the largest elements an output is wanted of; 0: all of it as it is.
 * @throws ScorewireError INVALID_ARGUMENT
 */
export function classCount(path: string, parameters: Parameters): number {
  const parameter = parameters.get('classification');
  if (parameter === undefined) return 0;
  const where = `${path}.parameters["classification"]`;
  if (parameter.kind !== 'int64') {
    throw wrongField(where, "invalid value type for 'classification' parameter, expected int64_param");
  }
  if (parameter.value <= 0n) throw wrongField(where, "invalid value for 'classification' parameter, expected >= 0");
  return Number(parameter.value);
}
