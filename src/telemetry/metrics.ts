// Every metric of the server, named here and nowhere else. Names and attributes follow OpenTelemetry's conventions where
// those have them; times are in seconds.

import {
  type CounterCell,
  CounterFamily,
  GaugeFamily,
  type HistogramCell,
  HistogramFamily,
  type Registry,
} from './instruments.ts';

/** From 10 us to 10 s, dense around the 10 ms that a call may take. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 5e-3, 7.5e-3, 10e-3,
  15e-3, 20e-3, 30e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1, 2, 5, 10,
];

/** 1, 2, 4 ... 1024. */
export const ROW_BOUNDS: readonly number[] = Array.from({ length: 11 }, (_, power) => 2 ** power);

/** 0.05, 0.10 ... 0.95, 1. */
export const PROBABILITY_BOUNDS: readonly number[] = Array.from({ length: 20 }, (_, step) => (step + 1) / 20);

const MAGNITUDES = [-3, -2, -1, 0, 1, 2, 3, 4, 5, 6].flatMap((power) => [10 ** power, 3 * 10 ** power]);

/** Third decades from 0.001 to 3,000,000 on both sides of 0, for scores that are no probabilities. */
export const VALUE_BOUNDS: readonly number[] = [...MAGNITUDES.map((bound) => -bound).reverse(), 0, ...MAGNITUDES];

/** What kind of number a model's score is; decides the buckets that it is counted in. */
export type ScoreKind = 'probability' | 'value';

/** The families, as the server's rooms use them. */
export type Metrics = ReturnType<typeof createMetrics>;

/** Registers every metric. @throws Error when it is called twice for one registry. */
export function createMetrics(registry: Registry) {
  const histogram = (name: string, unit: string, description: string, bounds: readonly number[]) =>
    registry.add(new HistogramFamily(name, unit, description, bounds));
  const seconds = (name: string, description: string) => histogram(name, 's', description, LATENCY_BOUNDS_SECONDS);
  const counter = (name: string, unit: string, description: string) =>
    registry.add(new CounterFamily(name, unit, description));
  const gauge = (name: string, unit: string, description: string) =>
    registry.add(new GaugeFamily(name, unit, description));

  return {
    /** rpc.system.name, rpc.method, rpc.status_code, model; see `callCells`. */
    calls: seconds('rpc.server.call.duration', 'Time from the arrival of a call to its status.'),
    /** model, version */
    queueDelay: seconds('scorewire.queue.duration', 'Time that a request waited for a worker.'),
    /** model, version; once a batch */
    inference: seconds('scorewire.inference.duration', 'Time that one batch took in a worker, hand-over included.'),
    /** model, version */
    features: seconds(
      'scorewire.feature.duration',
      'Time that looking up and computing the features of a request took.',
    ),
    /** model, version */
    batchRows: histogram('scorewire.batch.rows', '{row}', 'Rows a batch.', ROW_BOUNDS),
    /** model, version */
    queueDepth: gauge('scorewire.queue.depth', '{row}', 'Rows that wait for a worker.'),
    /** model, version */
    probabilities: histogram(
      'scorewire.score.probability',
      '1',
      'Scores of models that give probabilities.',
      PROBABILITY_BOUNDS,
    ),
    /** model, version */
    values: histogram('scorewire.score.value', '1', 'Scores of models that give other numbers.', VALUE_BOUNDS),
    /** code (the gRPC status by name), reason */
    errors: counter('scorewire.errors', '{error}', 'Calls that were answered with an error.'),
    /** model, reason */
    shed: counter(
      'scorewire.shed',
      '{request}',
      'Requests refused because they could not be answered in time, or a limit was reached.',
    ),
    /** In flight, over all methods. */
    inFlight: gauge('scorewire.calls.in_flight', '{call}', 'Calls under way.'),
    /** state */
    workers: gauge('scorewire.workers', '{worker}', 'Workers by state.'),
    workerRestarts: counter('scorewire.worker.restarts', '{restart}', 'Workers that ended and were replaced.'),
    /** model, version */
    sessionsCreated: counter(
      'scorewire.sessions.created',
      '{session}',
      'Models loaded into workers; does not grow with calls.',
    ),
    /** model, version, result: hit, miss, unavailable */
    lookUps: counter(
      'scorewire.store.lookups',
      '{lookup}',
      'Look-ups of stored scores; unavailable: no answer in time.',
    ),
    /** model, version, origin: precomputed, real_time, stale, default */
    answers: counter('scorewire.answers', '{score}', 'Scores that were answered, by where they came from.'),
    /** model */
    writeBackFailures: counter(
      'scorewire.store.write_back.failures',
      '{score}',
      'Scores that were computed and could not be stored.',
    ),
    /** store: scores, or the name of a feature store; failure: timeout, refused, error, garbage */
    redisFailures: counter(
      'scorewire.redis.failures',
      '{call}',
      'Calls of Redis that failed; refused: not made, as Redis was away; garbage: a value that nobody can read.',
    ),
    /** store */
    redisAway: gauge('scorewire.redis.away', '1', 'Whether Redis is not asked now, as it did not answer: 1 or 0.'),
    /** store, result: hit, miss, corrupt, unavailable */
    featureLookUps: counter(
      'scorewire.features.lookups',
      '{lookup}',
      'Look-ups of stored features, by entity; corrupt: a record that can not be read, and counts as absent.',
    ),
    /** store, result: read, failed */
    featureLoads: counter('scorewire.features.loads', '{load}', 'Times that the files of a feature store had changed.'),
    /** model */
    featureAge: histogram(
      'scorewire.features.age',
      's',
      'Age of stored features when a model was given them.',
      [1, 10, 60, 300, 900, 3600, 21_600, 43_200, 86_400, 172_800, 604_800],
    ),
    /** job, state: succeeded, failed, cancelled */
    jobRuns: counter('scorewire.job.runs', '{run}', 'Runs of jobs that ended.'),
    /** job, result: scored, rejected */
    jobRows: counter('scorewire.job.rows', '{row}', 'Rows that jobs have gone through.'),
    /** job */
    jobsRunning: gauge('scorewire.job.running', '{run}', 'Whether a job runs, or waits for its turn.'),
    /** job */
    jobLastSuccess: gauge(
      'scorewire.job.last_success.time',
      's',
      'When a job last succeeded since the server started, in seconds since 1970; 0: not yet.',
    ),
    /** job */
    jobLate: gauge(
      'scorewire.job.late',
      '1',
      'Whether a job has not succeeded for longer than its definition says (late_after): 1 or 0.',
    ),
    /** quantile: 0.5, 0.99, 1 */
    eventLoopDelay: gauge('scorewire.event_loop.delay', 's', 'How late the event loop was since the reading before.'),
    /** v8js.gc.type: minor, major, incremental, weakcb; of the main thread */
    garbageCollection: seconds('v8js.gc.duration', 'Time of garbage collections in the main thread.'),
    processMemory: gauge('process.memory.usage', 'By', 'Resident memory of the process, workers included.'),
    heapUsed: gauge('v8js.memory.heap.used', 'By', 'Heap in use by the main thread.'),
    externalMemory: gauge('scorewire.memory.external', 'By', 'Memory outside the heap that the main thread holds.'),
    /** cpu.mode: user, system */
    processCpu: registry.add(
      new GaugeFamily('process.cpu.time', 's', 'CPU time of the process, workers included.', true),
    ),
    uptime: gauge('process.uptime', 's', 'Time since the process started.'),
  };
}

/** Durations of the calls of one method and model, by status; looking the cell of a status up costs a few nanoseconds. */
export class CallCells {
  readonly #find: (status: string) => HistogramCell;
  readonly #cells = new Map<string, HistogramCell>();

  constructor(find: (status: string) => HistogramCell) {
    this.#find = find;
  }

  /** `status` is the gRPC status by name, such as `OK`. */
  record(status: string, seconds: number): void {
    let cell = this.#cells.get(status);
    if (cell === undefined) {
      cell = this.#find(status);
      this.#cells.set(status, cell);
    }
    cell.record(seconds);
  }
}

/**
 * `method` is `scorewire.v1.ScoringService/Score`, `_OTHER` for one that the server doesn't have; `model` the name of a
 * model that exists, else empty. What a client merely claims must not become an attribute.
 */
export function callCells(metrics: Metrics, method: string, model: string): CallCells {
  return new CallCells((status) =>
    metrics.calls.cell({ 'rpc.system.name': 'grpc', 'rpc.method': method, 'rpc.status_code': status, model }),
  );
}

/** What is recorded for one version of a model, looked up once and kept. */
export type ModelCells = {
  readonly queueDelay: HistogramCell;
  readonly inference: HistogramCell;
  readonly features: HistogramCell;
  readonly batchRows: HistogramCell;
  readonly score: HistogramCell;
  readonly sessionsCreated: CounterCell;
  readonly lookUps: LookUpCells;
  readonly answers: Readonly<Record<AnswerOrigin, CounterCell>>;
};

const LOOK_UP_RESULTS = ['hit', 'miss', 'unavailable'] as const;

/** How look-ups of stored scores ended. */
export type LookUpCells = Readonly<Record<(typeof LOOK_UP_RESULTS)[number], CounterCell>>;

const ANSWER_ORIGINS = ['precomputed', 'real_time', 'stale', 'default'] as const;

type AnswerOrigin = (typeof ANSWER_ORIGINS)[number];

export function modelCells(metrics: Metrics, model: string, version: string, score: ScoreKind): ModelCells {
  const of = { model, version };
  return {
    queueDelay: metrics.queueDelay.cell(of),
    inference: metrics.inference.cell(of),
    features: metrics.features.cell(of),
    batchRows: metrics.batchRows.cell(of),
    score: (score === 'probability' ? metrics.probabilities : metrics.values).cell(of),
    sessionsCreated: metrics.sessionsCreated.cell(of),
    lookUps: cellsBy(LOOK_UP_RESULTS, (result) => metrics.lookUps.cell({ ...of, result })),
    answers: cellsBy(ANSWER_ORIGINS, (origin) => metrics.answers.cell({ ...of, origin })),
  };
}

function cellsBy<Name extends string>(
  names: readonly Name[],
  cell: (name: Name) => CounterCell,
): Readonly<Record<Name, CounterCell>> {
  return Object.fromEntries(names.map((name) => [name, cell(name)])) as Record<Name, CounterCell>;
}

/** Forgets what `modelCells` found, once the version is unloaded and its last request done. */
export function removeModelCells(metrics: Metrics, model: string, version: string): void {
  const { queueDelay, inference, features, batchRows, probabilities, values, sessionsCreated } = metrics;
  for (const family of [queueDelay, inference, features, batchRows, probabilities, values, sessionsCreated]) {
    family.remove({ model, version });
  }
  for (const result of LOOK_UP_RESULTS) metrics.lookUps.remove({ model, version, result });
  for (const origin of ANSWER_ORIGINS) metrics.answers.remove({ model, version, origin });
}

/** A Markdown table of the metrics, for the reference page. */
export function metricsMarkdown(registry: Registry): string {
  const rows = [...registry.families()].map((family) => {
    const kind = family.kind === 'gauge' && family.monotonic ? 'counter' : family.kind;
    return `| \`${family.name}\` | ${kind} | ${family.unit} | ${family.description} |\n`;
  });
  return `| name | kind | unit | meaning |\n|---|---|---|---|\n${rows.join('')}`;
}
