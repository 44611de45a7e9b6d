// Every field of Triton's ModelConfig (its model_config.proto), what it holds, and what becomes of it here.

import type { DataType } from '../tensor.ts';

/**
 * `honoured`: it does what it says. `harmless`: what it asks for has no meaning here. `ignored`: the model is served
 * all the same, and a warning says what is not as asked. `refused`: a model that has it can't be served.
 */
export type Fate = 'honoured' | 'harmless' | 'ignored' | 'refused';

export type FieldType =
  | 'text'
  | 'truth'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint64'
  | 'float'
  /** Of a field that is refused whatever it holds. */
  | 'anything'
  /** An enum: its names in the order of their numbers, which count from 0. */
  | { readonly names: readonly string[] }
  | { readonly fields: Fields };

export type Field = {
  readonly type: FieldType;
  readonly many?: 'list' | 'map';
  /** Absent inside of a field that has one for all that is in it. */
  readonly fate?: Fate;
  /** One line: what becomes of it, or why it is refused. */
  readonly note?: string;
  /** Fields that are ignored or refused: the values that ask for nothing, beside those that a field has by itself. */
  readonly quiet?: readonly unknown[];
};

export type Fields = { readonly [name: string]: Field };

type One<T> = T extends 'text'
  ? string
  : T extends 'truth'
    ? boolean
    : T extends { readonly names: readonly (infer N)[] }
      ? N
      : T extends { readonly fields: infer F }
        ? ContentOf<F>
        : T extends 'anything'
          ? unknown
          : number;

/** What a message with these fields holds, in proto3 JSON with Triton's own names. */
export type ContentOf<F> = {
  readonly [K in keyof F]?: F[K] extends { many: 'list'; type: infer T }
    ? readonly One<T>[]
    : F[K] extends { many: 'map'; type: infer T }
      ? Readonly<Record<string, One<T>>>
      : F[K] extends { type: infer T }
        ? One<T>
        : never;
};

const DATA_TYPE = {
  names: [
    'TYPE_INVALID',
    'TYPE_BOOL',
    'TYPE_UINT8',
    'TYPE_UINT16',
    'TYPE_UINT32',
    'TYPE_UINT64',
    'TYPE_INT8',
    'TYPE_INT16',
    'TYPE_INT32',
    'TYPE_INT64',
    'TYPE_FP16',
    'TYPE_FP32',
    'TYPE_FP64',
    'TYPE_STRING',
    'TYPE_BF16',
  ],
} as const;

export type TritonType = (typeof DATA_TYPE.names)[number];

/** Triton's names for the element types that are served. */
export const TRITON_TYPES: Readonly<Record<DataType, TritonType>> = {
  bool: 'TYPE_BOOL',
  uint8: 'TYPE_UINT8',
  uint16: 'TYPE_UINT16',
  uint32: 'TYPE_UINT32',
  uint64: 'TYPE_UINT64',
  int8: 'TYPE_INT8',
  int16: 'TYPE_INT16',
  int32: 'TYPE_INT32',
  int64: 'TYPE_INT64',
  float16: 'TYPE_FP16',
  float32: 'TYPE_FP32',
  float64: 'TYPE_FP64',
  string: 'TYPE_STRING',
};

const NO_GPU = 'models run on the CPU';
const NO_ACCELERATOR = 'onnxruntime runs the graph by itself, with all of its optimisations';
const NO_SHAPE_TENSOR = 'shape tensors are of TensorRT';
const NO_RATE_LIMIT = 'all models share the workers fairly';

const RESHAPE = {
  type: { fields: { shape: { type: 'int64', many: 'list', fate: 'honoured', note: 'what the graph takes or gives' } } },
  fate: 'honoured',
} as const;

const QUEUE_POLICY = {
  fields: {
    timeout_action: {
      type: { names: ['REJECT', 'DELAY'] },
      fate: 'honoured',
      note: 'what becomes of a request that waited too long',
    },
    default_timeout_microseconds: {
      type: 'uint64',
      fate: 'honoured',
      note: 'how long a request may wait; 0: without end',
    },
    allow_timeout_override: { type: 'truth', fate: 'honoured', note: 'whether requests may bring a shorter timeout' },
    max_queue_size: {
      type: 'uint32',
      fate: 'honoured',
      note: 'requests that may wait, one of several rows counting as so many; 0: as many as `limits.max_queue_rows` lets',
    },
  },
} as const;

const INPUT = {
  name: { type: 'text', fate: 'honoured', note: 'an input of the graph' },
  data_type: { type: DATA_TYPE, fate: 'honoured', note: 'must be that of the graph; not TYPE_BF16' },
  format: { type: { names: ['FORMAT_NONE', 'FORMAT_NHWC', 'FORMAT_NCHW'] }, fate: 'harmless', note: 'for people' },
  dims: { type: 'int64', many: 'list', fate: 'honoured', note: "may be narrower than the graph's" },
  reshape: RESHAPE,
  is_shape_tensor: { type: 'truth', fate: 'refused', note: NO_SHAPE_TENSOR },
  allow_ragged_batch: { type: 'truth', fate: 'refused', note: 'requests that differ in shape are not batched' },
  optional: {
    type: 'truth',
    fate: 'honoured',
    note: 'an input with a value of its own in the graph, of a model without rows',
  },
  is_non_linear_format_io: { type: 'truth', fate: 'refused', note: 'non-linear formats are of TensorRT' },
} as const;

const OUTPUT = {
  name: { type: 'text', fate: 'honoured', note: 'an output of the graph; those that are not listed are not offered' },
  data_type: INPUT.data_type,
  dims: INPUT.dims,
  reshape: RESHAPE,
  label_filename: {
    type: 'text',
    fate: 'honoured',
    note: 'a file beside config.pbtxt, one label a line: what classification answers call the elements',
  },
  is_shape_tensor: INPUT.is_shape_tensor,
  is_non_linear_format_io: INPUT.is_non_linear_format_io,
} as const;

const PARAMETERS = { type: 'text', many: 'map' } as const;
const ACCELERATORS = {
  type: { fields: { name: { type: 'text' }, parameters: PARAMETERS } },
  many: 'list',
} as const;
const PINNED_MEMORY = { type: { fields: { enable: { type: 'truth' } } } } as const;
const GRAPH_SHAPES = {
  type: { fields: { dim: { type: 'int64', many: 'list' } } },
  many: 'map',
} as const;

const OPTIMIZATION = {
  graph: { type: { fields: { level: { type: 'int32' } } } },
  priority: { type: { names: ['PRIORITY_DEFAULT', 'PRIORITY_MAX', 'PRIORITY_MIN'] } },
  cuda: {
    type: {
      fields: {
        graphs: { type: 'truth' },
        busy_wait_events: { type: 'truth' },
        graph_spec: {
          type: {
            fields: {
              batch_size: { type: 'int32' },
              input: GRAPH_SHAPES,
              graph_lower_bound: { type: { fields: { batch_size: { type: 'int32' }, input: GRAPH_SHAPES } } },
            },
          },
          many: 'list',
        },
        output_copy_stream: { type: 'truth' },
      },
    },
  },
  execution_accelerators: {
    type: { fields: { gpu_execution_accelerator: ACCELERATORS, cpu_execution_accelerator: ACCELERATORS } },
  },
  input_pinned_memory: PINNED_MEMORY,
  output_pinned_memory: PINNED_MEMORY,
  gather_kernel_buffer_threshold: { type: 'uint32' },
  eager_batching: { type: 'truth' },
} as const;

const DYNAMIC_BATCHING = {
  preferred_batch_size: {
    type: 'int32',
    many: 'list',
    fate: 'ignored',
    note: 'a batch is as large as pays, by what runs have cost',
  },
  max_queue_delay_microseconds: {
    type: 'uint64',
    fate: 'honoured',
    note: 'how long a row may wait for company while a worker is idle',
  },
  preserve_ordering: { type: 'truth', fate: 'ignored', note: 'answers of different calls come when they are ready' },
  priority_levels: { type: 'uint64', fate: 'ignored', note: 'all requests are of one priority' },
  default_priority_level: { type: 'uint64', fate: 'ignored', note: 'all requests are of one priority' },
  default_queue_policy: { type: QUEUE_POLICY, fate: 'honoured' },
  priority_queue_policy: {
    type: QUEUE_POLICY,
    many: 'map',
    fate: 'ignored',
    note: 'all requests are of one priority',
  },
} as const;

const INSTANCE_GROUP = {
  name: { type: 'text', fate: 'harmless', note: 'there are no groups' },
  kind: {
    type: { names: ['KIND_AUTO', 'KIND_GPU', 'KIND_CPU', 'KIND_MODEL'] },
    fate: 'ignored',
    note: NO_GPU,
    quiet: ['KIND_CPU'],
  },
  count: {
    type: 'int32',
    fate: 'ignored',
    note: 'every worker has every model; `workers.count` says how many there are',
    quiet: [1],
  },
  rate_limiter: {
    type: {
      fields: {
        resources: {
          type: { fields: { name: { type: 'text' }, global: { type: 'truth' }, count: { type: 'uint32' } } },
          many: 'list',
        },
        priority: { type: 'uint32' },
      },
    },
    fate: 'ignored',
    note: NO_RATE_LIMIT,
  },
  gpus: { type: 'int32', many: 'list', fate: 'ignored', note: NO_GPU },
  secondary_devices: {
    type: { fields: { kind: { type: { names: ['KIND_NVDLA'] } }, device_id: { type: 'int64' } } },
    many: 'list',
    fate: 'ignored',
    note: NO_GPU,
  },
  profile: { type: 'text', many: 'list', fate: 'ignored', note: 'profiles are of TensorRT' },
  passive: { type: 'truth', fate: 'ignored', note: 'every worker answers' },
  host_policy: { type: 'text', fate: 'ignored', note: 'the operating system places the threads' },
} as const;

const WARM_UP = {
  name: { type: 'text', fate: 'honoured', note: 'for messages' },
  batch_size: { type: 'uint32', fate: 'honoured', note: 'rows of the sample; 0 is 1' },
  inputs: {
    type: {
      fields: {
        data_type: { type: DATA_TYPE, fate: 'honoured', note: 'must be that of the input' },
        dims: { type: 'int64', many: 'list', fate: 'honoured', note: 'without open ones' },
        zero_data: { type: 'truth', fate: 'honoured', note: 'zeros, or empty texts' },
        random_data: { type: 'truth', fate: 'honoured', note: 'numbers by a fixed sequence, or empty texts' },
        input_data_file: {
          type: 'text',
          fate: 'honoured',
          note: 'raw elements of one row in a file in `warmup/`; texts as in requests, with their lengths',
        },
      },
    },
    many: 'map',
    fate: 'honoured',
  },
  count: { type: 'uint32', fate: 'honoured', note: 'how often it is run in each worker; 0 is 1' },
} as const;

/** ModelConfig. */
export const TRITON_FIELDS = {
  name: { type: 'text', fate: 'honoured', note: "the folder's name, where it is there" },
  platform: { type: 'text', fate: 'honoured', note: 'only `onnxruntime_onnx`' },
  backend: { type: 'text', fate: 'honoured', note: 'only `onnxruntime`' },
  runtime: { type: 'text', fate: 'ignored', note: 'onnxruntime is built in' },
  version_policy: {
    type: {
      fields: {
        latest: {
          type: { fields: { num_versions: { type: 'uint32', fate: 'honoured', note: 'the highest so many; 1' } } },
          fate: 'honoured',
        },
        all: { type: { fields: {} }, fate: 'honoured', note: 'every version' },
        specific: {
          type: { fields: { versions: { type: 'int64', many: 'list', fate: 'honoured', note: 'these versions' } } },
          fate: 'honoured',
        },
      },
    },
    fate: 'honoured',
  },
  max_batch_size: {
    type: 'int32',
    fate: 'honoured',
    note: 'rows of a request and of a batch at most; 0: tensors have no dimension for rows, and nothing is batched',
  },
  input: { type: { fields: INPUT }, many: 'list', fate: 'honoured' },
  output: { type: { fields: OUTPUT }, many: 'list', fate: 'honoured' },
  batch_input: {
    type: 'anything',
    many: 'list',
    fate: 'refused',
    note: 'inputs that tell a model of its batch are not made',
  },
  batch_output: {
    type: 'anything',
    many: 'list',
    fate: 'refused',
    note: 'outputs that are divided by the lengths of inputs are not',
  },
  optimization: { type: { fields: OPTIMIZATION }, fate: 'ignored', note: NO_ACCELERATOR },
  dynamic_batching: { type: { fields: DYNAMIC_BATCHING }, fate: 'honoured' },
  sequence_batching: {
    type: 'anything',
    fate: 'refused',
    note: 'models with state between requests (sequences) are not served',
  },
  ensemble_scheduling: { type: 'anything', fate: 'refused', note: 'ensembles of models are not served' },
  instance_group: { type: { fields: INSTANCE_GROUP }, many: 'list', fate: 'honoured' },
  default_model_filename: {
    type: 'text',
    fate: 'honoured',
    note: "the model's file (or folder, with a model.onnx in it) in a version; model.onnx",
  },
  cc_model_filenames: { type: 'anything', many: 'map', fate: 'refused', note: NO_GPU },
  metric_tags: { ...PARAMETERS, fate: 'harmless', note: 'metrics have their own labels' },
  parameters: {
    type: { fields: { string_value: { type: 'text' } } },
    many: 'map',
    fate: 'honoured',
    note: '`intra_op_thread_count` (0: as the settings say); any other is ignored with a warning',
  },
  model_warmup: { type: { fields: WARM_UP }, many: 'list', fate: 'honoured' },
  model_operations: {
    type: 'anything',
    fate: 'refused',
    note: 'libraries with operators of their own are not loaded',
  },
  model_transaction_policy: {
    type: {
      fields: {
        decoupled: {
          type: 'truth',
          fate: 'refused',
          note: 'decoupled models (any number of answers to a request) are not served',
        },
      },
    },
    fate: 'honoured',
  },
  model_repository_agents: { type: 'anything', fate: 'refused', note: 'repository agents are not run' },
  response_cache: {
    type: { fields: { enable: { type: 'truth', fate: 'ignored', note: 'every request is computed' } } },
    fate: 'honoured',
  },
} as const satisfies Fields;

export type TritonContent = ContentOf<typeof TRITON_FIELDS>;

/** The table of fields for docs/, one row a field with a fate of its own. */
export function tritonFieldsMarkdown(): string {
  const rows: string[] = [];
  const add = (fields: Fields, prefix: string): void => {
    for (const [name, { type, many, fate, note }] of Object.entries(fields)) {
      if (fate === undefined) continue;
      const path = `${prefix}${name}`;
      const inside = typeof type === 'object' && 'fields' in type ? type.fields : {};
      const divided = fate === 'honoured' && Object.values(inside).some((field) => field.fate !== undefined);
      if (!divided) rows.push(`| \`${path}\` | ${FATES[fate]} | ${note} |`);
      else add(inside, `${path}${many === undefined ? '' : many === 'list' ? '[]' : '[KEY]'}.`);
    }
  };
  add(TRITON_FIELDS, '');
  return `| field | | |\n|---|---|---|\n${rows.join('\n')}\n`;
}

const FATES: Readonly<Record<Fate, string>> = {
  honoured: 'honoured',
  harmless: 'taken; it has no meaning here',
  ignored: 'ignored, with a warning',
  refused: 'refused',
};
