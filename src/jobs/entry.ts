// A job's thread: it reads, encodes and writes; what it has encoded goes to the I/O thread, whose workers score it.
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { ChunkCollector } from '../duckdb/collect-chunks.ts';
import type { Database } from '../duckdb/database.ts';
import { checkFormats } from '../duckdb/file-format.ts';
import { featureLayout } from '../duckdb/input-columns.ts';
import { saidBy } from '../duckdb/read-rows.ts';
import { SetupError } from '../errors.ts';
import type { FeatureStores } from '../features/feature-stores.ts';
import type { Feature } from '../models/model.ts';
import type { PutCounts } from '../scores/score-store.ts';
import type { TensorData } from '../tensor.ts';
import { ChunkEncoder, entitiesOf, rowAt } from './encode-chunk.ts';
import { FileSink } from './file-sink.ts';
import { checkTargets, checkUnchanged, type FoundFile, findFiles } from './input-files.ts';
import type { InputChunk } from './job-input.ts';
import type { JobSink, RejectedRow, ScoredRows } from './job-sink.ts';
import { beginOrResume, holdsScores, makeFolder, openState, removeState } from './job-state.ts';
import type { FromJob, JobPhase, JobTask, KeptRows, ToJob } from './messages.ts';
import { openFeatures } from './open-features.ts';
import { openInput } from './open-input.ts';
import { StoreSink } from './store-sink.ts';

/** Chunks that are with the workers, or wait for them, at once: some 30,000 rows. */
const MAX_PIECES = 16;

/** What is scored is kept after so many rows, which DuckDB then writes without a detour, or so long. */
const KEEP_ROWS = 122_880;
const KEEP_MS = 5_000;

/** The run was told to stop. */
class Stopped extends Error {}

type Scored = Extract<ToJob, { kind: 'scored' }>;

/** A chunk that the workers have. */
type Pending = { chunk: InputChunk; rejected: RejectedRow[]; asOfMs: Float64Array; scored: Promise<Scored> };

const port = parentPort as NonNullable<typeof parentPort>;
const task = workerData as JobTask;
const waiting = new Map<number, { resolve: (scored: Scored) => void; reject: (error: Stopped) => void }>();
/** Who waits for the score store. */
let keeping: { resolve: (counts: PutCounts) => void; reject: (error: Stopped) => void } | undefined;
let isStopped = false;
/** Tells a query that is under way. */
let onStop: () => void = () => {};

port.on('message', (message: ToJob) => {
  if (message.kind === 'stop') {
    isStopped = true;
    for (const { reject } of waiting.values()) reject(new Stopped());
    keeping?.reject(new Stopped());
    onStop();
    return;
  }
  if (message.kind === 'kept') {
    keeping?.resolve(message.counts);
    return;
  }
  waiting.get(message.firstRow)?.resolve(message);
  waiting.delete(message.firstRow);
});

try {
  await run();
} catch (error) {
  if (error instanceof Stopped) tell({ kind: 'stopped' });
  else tell({ kind: 'failed', ...failure(error as NodeJS.ErrnoException) });
} finally {
  port.close();
}

/** What files and DuckDB say is for whoever wrote the job; all else is a fault of ours. */
function failure(error: NodeJS.ErrnoException): { message: string; setup: boolean } {
  if (error instanceof SetupError) return { message: error.message, setup: true };
  if (error.errno !== undefined || /^(TransactionContext|[A-Z]\w+( \w+)*) Error: /.test(error.message)) {
    return { message: saidBy(error), setup: true };
  }
  return { message: error.stack ?? String(error), setup: false };
}

async function run(): Promise<void> {
  const { definition, directories, fresh } = task;
  checkFormats(definition);
  const stores = await openFeatures(task);
  try {
    await scoreInto(await openState(definition.output, directories, fresh), stores);
  } finally {
    await stores.close();
  }
}

async function scoreInto(database: Database, stores: FeatureStores): Promise<void> {
  const { definition, fresh } = task;
  try {
    const files = await findFiles(database, definition);
    checkTargets(definition, files);
    makeFolder(dirname(definition.rejects), 'rejects');
    const { resumed, replaced } = await beginOrResume(database, planText(files), fresh);
    if (replaced) note('what an earlier run left was of another input, model or job: starting over');
    const progress = { rows: 0, done: 0, resumed: 0, rejected: 0 };
    const show = (phase: JobPhase): void => tell({ kind: 'progress', progress: { phase, ...progress } });
    show('reading');
    const layout = featureLayout(task.model.name, task.model.rows);
    const pipeline = stores.pipeline({ ...task.model, featureView: task.model.view });
    const elsewhere = ({ source }: Feature): boolean =>
      source === 'computed' || (source === 'store' && pipeline.byEntity);
    const model = { name: task.model.name, layout, elsewhere };
    const input = await interruptible(database, openInput(database, definition, files, model));
    checkUnchanged(files);
    await database.settle();
    const encoder = new ChunkEncoder(model.name, layout, task.model.blockRows, pipeline, asOf(files));
    const toFiles = await FileSink.open({
      database,
      definition,
      model: task.model,
      entities: input.entities,
      rows: input.rows,
      checkInput: () => {
        if (input.inFiles) checkUnchanged(files);
      },
    });
    const toStore = definition.store ? new StoreSink(toFiles, keep) : undefined;
    await toStore?.catchUp(database);
    const sink: JobSink = toStore ?? toFiles;
    progress.rows = input.rows;
    progress.done = sink.rowsKept;
    progress.resumed = sink.rowsKept;
    progress.rejected = sink.rejectedKept;
    if (resumed && sink.rowsKept > 0) note(`going on behind the ${sink.rowsKept} rows of an earlier run`);
    else if (resumed && definition.query !== undefined)
      note('going on with the rows that the query gave an earlier run');
    show('scoring');
    await score(input.chunks(sink.rowsKept), encoder, sink, ({ scores, rejected }) => {
      progress.done += scores.length;
      progress.rejected += rejected.length;
      show('scoring');
    });
    show('writing');
    const counts = await interruptible(database, sink.finish());
    database.close();
    removeState(definition.output);
    tell({ kind: 'done', counts, resumed: progress.resumed });
  } catch (error) {
    const worth = isStopped || (await holdsScores(database));
    database.close();
    // A job that can't be run leaves nothing behind.
    if (!worth) removeState(definition.output);
    // Whatever a stop makes fail is the stop.
    throw isStopped ? new Stopped() : error;
  }
}

/** Since when the input's own values hold: since the oldest of its files was written. */
function asOf(files: readonly FoundFile[]): number {
  return files.reduce((least, { modifiedMs }) => Math.min(least, modifiedMs), Date.now());
}

/** Has the I/O thread put scores into the score store. */
function keep(rows: KeptRows): Promise<PutCounts> {
  return new Promise((resolve, reject) => {
    if (isStopped) throw new Stopped();
    keeping = { resolve, reject };
    tell({ kind: 'keep', rows });
  });
}

/** Scores all chunks, several at a time, and hands them on in order. */
async function score(
  chunks: AsyncGenerator<InputChunk>,
  encoder: ChunkEncoder,
  sink: JobSink,
  onTaken: (rows: ScoredRows) => void,
): Promise<void> {
  const pending: Pending[] = [];
  const collector = new ChunkCollector();
  let unkept = 0;
  let keptMs = performance.now();
  const takeOldest = async (): Promise<void> => {
    const oldest = pending.shift() as Pending;
    const rows = scoredRows(oldest, await oldest.scored);
    await sink.take(rows);
    unkept += rows.scores.length;
    onTaken(rows);
    if (unkept < KEEP_ROWS && performance.now() - keptMs < KEEP_MS) return;
    await sink.keep();
    unkept = 0;
    keptMs = performance.now();
  };
  try {
    for await (const chunk of chunks) {
      if (pending.length === MAX_PIECES) await takeOldest();
      pending.push(await send(chunk, encoder));
      collector.count(chunk.data);
    }
    while (pending.length > 0) await takeOldest();
    collector.end();
  } finally {
    // Stopped or failed: what was taken is good, and the next run goes on from there.
    await sink.keep();
  }
}

async function send(chunk: InputChunk, encoder: ChunkEncoder): Promise<Pending> {
  const { piece, rejected, asOfMs } = await encoder.encode(chunk);
  const scored = new Promise<Scored>((resolve, reject) => waiting.set(piece.firstRow, { resolve, reject }));
  // Whoever waits for the oldest hears of it.
  scored.catch(() => {});
  if (isStopped) throw new Stopped();
  const buffers = piece.blocks.flatMap(({ rows, inputs }) => [rows, ...inputs].flatMap(bufferOf));
  port.postMessage({ kind: 'piece', piece } satisfies FromJob, buffers);
  return { chunk, rejected, asOfMs, scored };
}

function bufferOf(data: TensorData | Int32Array): ArrayBuffer[] {
  return Array.isArray(data) ? [] : [data.buffer as ArrayBuffer];
}

function scoredRows({ chunk, rejected, asOfMs }: Pending, scored: Scored): ScoredRows {
  const { scores, labels, segments, errors } = scored;
  const { firstRow, data, plan } = chunk;
  for (const { row, reason, message } of errors) {
    rejected.push({ ...rowAt(data, row - firstRow, plan), row, reason, field: '', message });
  }
  for (const { row } of rejected) {
    scores[row - firstRow] = Number.NaN;
    labels[row - firstRow] = -1;
    segments[row - firstRow] = -1;
  }
  const entities = () => entitiesOf(data);
  return { firstRow, scores, labels, segments, rejected, scoredAtMs: Date.now(), asOfMs, entities };
}

/** Everything that decides what the scores are. */
function planText(files: readonly FoundFile[]): string {
  const { definition, model } = task;
  const { query, entity, inputFormat } = definition;
  const { name, version, digest, rule, rows } = model;
  const layout = JSON.stringify(rows, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value));
  return JSON.stringify({ files, query, entity, inputFormat, name, version, digest, rule, layout });
}

/** A query that is under way when the job is stopped ends before anything is closed; one that is done by then counts. */
async function interruptible<T>(database: Database, work: Promise<T>): Promise<T> {
  onStop = () => database.interrupt();
  if (isStopped) onStop();
  try {
    return await work;
  } catch (error) {
    throw isStopped ? new Stopped() : error;
  } finally {
    onStop = () => {};
  }
}

function note(text: string): void {
  tell({ kind: 'note', text });
}

function tell(message: FromJob): void {
  port.postMessage(message);
}
