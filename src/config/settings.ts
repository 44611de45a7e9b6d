// Every setting, once: its name in files, environment and flags, its type, default, unit and meaning all come from here.

import {
  decimal,
  host,
  httpUrl,
  type Kind,
  oneOf,
  oneWord,
  path,
  redisUrl,
  wholeNumber,
  wordOr,
  words,
} from './kinds.ts';

export type Setting<T> = Kind<T> & {
  readonly default: T;
  /** Unit of the value; absent where there is none. */
  readonly unit?: string;
  /** One sentence for the reference page, the help and the JSON schema. */
  readonly doc: string;
  /** The short flag, for the few that people type; every setting also takes `--set key=value`. */
  readonly flag?: `--${string}`;
};

type About = Omit<Setting<unknown>, 'type' | 'allowed' | 'default'>;

function setting<T>(kind: Kind<T>, value: NoInfer<T>, about: About): Setting<T> {
  return { ...kind, default: value, ...about };
}

/** A setting whose absence means something of its own, which `doc` says. */
function optional<T>(kind: Kind<T>, about: About): Setting<T | undefined> {
  return { allowed: kind.allowed, type: kind.type.optional(), default: undefined, ...about };
}

const port = wholeNumber(0, 65_535);
const MIB = 1024 * 1024;

export const settingTable = {
  server: {
    host: setting(host(), '127.0.0.1', { flag: '--host', doc: 'Address that the gRPC port is bound to.' }),
    port: setting(port, 8001, { flag: '--port', doc: 'Port for gRPC; 0 takes any free one.' }),
    httpHost: optional(host(), { doc: 'Address that the HTTP port is bound to; absent: the same as server.host.' }),
    httpPort: setting(wordOr('off', port), 8002, {
      flag: '--http-port',
      doc: 'Port for metrics, health checks and the status page; 0 takes any free one, off has none.',
    }),
  },
  tls: {
    cert: optional(path(), {
      flag: '--tls-cert',
      doc: 'PEM file with the certificate chain of the server; absent: no TLS.',
    }),
    key: optional(path(), { flag: '--tls-key', doc: 'PEM file with the private key of the certificate.' }),
    clientCa: optional(path(), {
      flag: '--tls-client-ca',
      doc: 'PEM file with the authorities whose client certificates are accepted; when set, every client must show one.',
    }),
  },
  models: {
    dir: setting(path(), './models', {
      flag: '--models',
      doc: 'Folder with the models: NAME/VERSION/model.onnx.',
    }),
    control: setting(oneOf('none', 'poll', 'explicit'), 'none', {
      doc: 'Who decides what is loaded after the start: nobody, the folder (what comes, changes or goes there), or callers (LoadModel and UnloadModel).',
    }),
    pollSeconds: setting(wholeNumber(1, 86_400), 15, {
      unit: 'seconds',
      doc: 'How often the folder is looked at, where models.control is poll or explicit.',
    }),
    loadAtStart: setting(words(), 'all', {
      doc: 'What is loaded at the start where models.control is explicit: all, none, or names of models with commas between them.',
    }),
  },
  workers: {
    count: setting(wordOr('auto', wholeNumber(1, 256)), 'auto', {
      flag: '--workers',
      doc: 'Worker threads that run models; auto goes by the number of cores.',
    }),
    threadsPerSession: setting(wholeNumber(1, 64), 1, {
      doc: 'Threads that one run of a model uses inside its worker; more than 1 pays for large models only.',
    }),
  },
  limits: {
    maxMessageBytes: setting(wholeNumber(1024, 1024 * MIB), 4 * MIB, {
      unit: 'bytes',
      doc: 'Largest message that is received; larger ones are refused.',
    }),
    maxBatchMessageBytes: setting(wholeNumber(1024, 1024 * MIB), 64 * MIB, {
      unit: 'bytes',
      doc: 'Largest ScoreBatch request; larger ones are refused.',
    }),
    maxInferMessageBytes: setting(wholeNumber(1024, 1024 * MIB), 64 * MIB, {
      unit: 'bytes',
      doc: 'Largest request with tensors (Open Inference Protocol, TensorFlow Serving); larger ones are refused.',
    }),
    maxBatchBytes: setting(wholeNumber(1024, 64 * 1024 * MIB), 512 * MIB, {
      unit: 'bytes',
      doc: 'Requests above 1 MiB, and large answers with tensors that are not read yet, held at once, together; what comes on top is refused as overload.',
    }),
    maxInFlight: setting(wholeNumber(1, 1_000_000), 4096, {
      unit: 'calls',
      doc: 'Calls under way at once; what comes on top is refused as overload.',
    }),
    maxStreamsPerConnection: setting(wholeNumber(1, 1_000_000), 100, {
      unit: 'calls',
      doc: 'Calls under way at once on one connection; clients hold back what comes on top until there is room.',
    }),
    maxQueueRows: setting(wholeNumber(1, 1_000_000), 4096, {
      unit: 'rows',
      doc: 'Rows that may wait for one model; what comes on top is refused as overload.',
    }),
    maxConnectionIdleSeconds: setting(wholeNumber(1, 86_400), 300, {
      unit: 'seconds',
      doc: 'A connection without a call for so long is closed.',
    }),
  },
  batching: {
    maxRows: setting(wholeNumber(1, 4096), 64, {
      unit: 'rows',
      doc: 'Largest batch, for models whose manifest has no max batch of its own.',
    }),
    maxDelayMs: setting(decimal(0, 1000), 0, {
      unit: 'ms',
      doc: 'How long a batch may wait for more rows while a worker is idle, for models without their own; 0: never.',
    }),
    latencyBudgetMs: optional(decimal(0.1, 60_000), {
      unit: 'ms',
      doc: 'Time to aim for from arrival to answer, for models without their own; absent: the larger of 10 ms and 5 single-row runs.',
    }),
  },
  inference: {
    serverName: setting(oneWord(), 'triton', {
      doc: 'Name that ServerMetadata of the Open Inference Protocol answers; clients made for Triton look for triton.',
    }),
    strictReadiness: setting(oneOf('on', 'off'), 'on', {
      doc: 'Whether ServerReady of the Open Inference Protocol says no while a model could not be loaded and no version of it is served.',
    }),
    clientSharedMemory: setting(oneOf('on', 'off'), 'off', {
      doc: 'Whether callers on this machine may register shared memory (/dev/shm) for tensors.',
    }),
  },
  jobs: {
    file: optional(path(), {
      flag: '--jobs',
      doc: 'YAML file with the jobs that are run by name; absent: there are none.',
    }),
    maxRunning: setting(wholeNumber(1, 64), 1, {
      unit: 'jobs',
      doc: 'Jobs that run at once; what comes on top waits for its turn.',
    }),
  },
  store: {
    kind: setting(oneOf('memory', 'redis', 'tiered', 'off'), 'memory', {
      flag: '--store',
      doc: 'Where scores computed before are kept: in this process, in Redis (shared by replicas), or in this process over Redis; off: nowhere.',
    }),
    maxEntries: setting(wholeNumber(1, 100_000_000), 2_000_000, {
      unit: 'entries',
      doc: 'Entries kept in memory at most; those not asked for the longest give way.',
    }),
    maxBytes: setting(wholeNumber(MIB, 64 * 1024 * MIB), 512 * MIB, {
      unit: 'bytes',
      doc: 'Memory that entries take at most, keys included.',
    }),
    freshForSeconds: setting(wholeNumber(1, 31_536_000), 86_400, {
      unit: 'seconds',
      doc: 'Age up to which a stored score is an answer, for models without their own and calls without max_staleness.',
    }),
    keptForSeconds: setting(wholeNumber(1, 31_536_000), 86_400, {
      unit: 'seconds',
      doc: 'How long scores of jobs and of PutScores are kept, for models without their own.',
    }),
    writtenBackForSeconds: setting(wholeNumber(1, 31_536_000), 3600, {
      unit: 'seconds',
      doc: 'How long scores are kept that a call by entity alone had computed, for models without their own.',
    }),
    writeBack: setting(oneOf('on', 'off'), 'on', {
      doc: 'Whether scores that a call by entity alone had computed are kept, for models without their own.',
    }),
    memoryForSeconds: setting(wholeNumber(1, 86_400), 10, {
      unit: 'seconds',
      doc: 'How long a tiered store answers from memory before it asks Redis again.',
    }),
    timeoutMs: setting(decimal(0.1, 1000), 5, {
      unit: 'ms',
      doc: 'How long a look-up in Redis may take, and never more than half of what is left of the latency budget; then the model answers.',
    }),
  },
  redis: {
    url: setting(redisUrl(), 'redis://127.0.0.1:6379', {
      flag: '--redis',
      doc: 'The Redis server, for store.kind redis and tiered.',
    }),
    prefix: setting(oneWord(), 'scorewire', {
      doc: 'What the names of all keys begin with; replicas that share scores have the same.',
    }),
  },
  features: {
    file: optional(path(), {
      flag: '--features',
      doc: 'YAML file with the feature stores that models take features from by entity; absent: there are none.',
    }),
    reloadSeconds: setting(wholeNumber(1, 86_400), 5, {
      unit: 'seconds',
      doc: 'How often the files of embedded feature stores are looked at; those that changed are read again.',
    }),
    timeoutMs: setting(decimal(0.1, 1000), 5, {
      unit: 'ms',
      doc: 'How long a look-up of features in Redis may take, and never more than half of what is left of the latency budget.',
    }),
  },
  admin: {
    tokenFile: optional(path(), {
      doc: 'File with the token that callers from elsewhere show to change what the server does (jobs, stored scores, live versions, models, shared memory, log and trace settings); callers on this machine, and those with a client certificate, need none.',
    }),
  },
  drain: {
    delayMs: setting(wholeNumber(0, 600_000), 0, {
      unit: 'ms',
      doc: 'Time between saying NOT_SERVING and refusing new calls, in which load balancers look elsewhere.',
    }),
    timeoutMs: setting(wholeNumber(0, 600_000), 10_000, {
      unit: 'ms',
      doc: 'Time that calls under way get to end, once new ones are refused.',
    }),
  },
  warmUp: {
    budgetMs: setting(wholeNumber(1, 60_000), 40, {
      unit: 'ms',
      doc: 'Time that measuring the cost of batches may take, a model on one worker.',
    }),
  },
  log: {
    level: setting(oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info', {
      doc: 'Lines below this level are left out.',
    }),
    format: setting(oneOf('auto', 'pretty', 'json'), 'auto', {
      doc: 'pretty for people, json for machines; auto is pretty on a terminal.',
    }),
  },
  telemetry: {
    traceRatio: setting(decimal(0, 1), 0, {
      doc: 'Share of the calls without a traced caller that are traced; 0 turns tracing off, traced callers included.',
    }),
    traceEndpoint: setting(httpUrl(), 'http://127.0.0.1:4318/v1/traces', {
      doc: 'Where spans are sent (OTLP over HTTP, protobuf).',
    }),
  },
};

type Table = typeof settingTable;
type Value<S> = S extends Setting<infer T> ? T : never;

/** All settings, checked and frozen. Names end in their unit. */
export type Settings = {
  readonly [Section in keyof Table]: { readonly [Key in keyof Table[Section]]: Value<Table[Section][Key]> };
};

/** One row of the table, with the names that are derived from its place in it. */
export type SettingEntry = {
  /** Name in files, in `--set` and in messages: `server.http_port`. */
  readonly key: string;
  /** Name in the environment: `SCOREWIRE_SERVER_HTTP_PORT`. */
  readonly environment: string;
  /** Place in `Settings`: `['server', 'httpPort']`. */
  readonly place: readonly [section: string, name: string];
  readonly setting: Setting<unknown>;
};

function snakeCase(camelCase: string): string {
  return camelCase.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Every setting by its key, in the order of the table. */
export const settingEntries: ReadonlyMap<string, SettingEntry> = new Map(
  Object.entries(settingTable).flatMap(([section, settings]) =>
    Object.entries<Setting<unknown>>(settings).map(([name, entry]) => {
      const key = `${snakeCase(section)}.${snakeCase(name)}`;
      const environment = `SCOREWIRE_${key.replace('.', '_').toUpperCase()}`;
      return [key, { key, environment, place: [section, name], setting: entry }] as const;
    }),
  ),
);
