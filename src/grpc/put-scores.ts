// scorewire.v1.ScoreStoreService/PutScores: scores that were computed elsewhere, in any number of messages, into the store.
import { invalidField, ScorewireError } from '../errors.ts';
import {
  PutScoresRequest,
  PutScoresResponse,
  type ScoreEntry,
  ScoreStoreServiceService,
} from '../gen/scorewire/v1/score_store.ts';
import type { PutCounts, ScorePut, ScoreStore } from '../scores/score-store.ts';
import { entityProblem } from '../scoring/entity-call.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { requireStore } from '../scoring/scorer.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { Tensor } from '../tensor.ts';
import type { AdminGate } from './admin-gate.ts';
import { inSlices, type Sliced } from './slices.ts';
import type { StreamCall, StreamHandler, StreamMethod } from './stream-call.ts';
import { fromWireTensor } from './tensor-message.ts';
import { MAX_AHEAD_MS, timestampMs } from './timestamp.ts';
import { type CellsByModel, cellsByModel, malformed, refuseCall, type UnaryEdge } from './unary.ts';
import { wellFormedMessage } from './well-formed.ts';
import { NotWellFormed, WireCursor } from './wire-cursor.ts';

export type PutScoresParts = {
  edge: UnaryEdge;
  gate: AdminGate;
  /** Throws UNAVAILABLE before they are there. */
  models: () => ModelRegistry;
  /** Undefined: scores are not kept. */
  store: ScoreStore | undefined;
};

const METHOD = ScoreStoreServiceService.putScores.path.slice(1);
// Tags: field number times 8, and the wire type.
const ENTRIES = 42;
/** Entries between two yields. */
const STEP_ENTRIES = 16;
/** Entries that are read, and put, before the next ones are: what a message of any size takes of memory, and of a turn. */
const PART_ENTRIES = 1024;
/** Bytes of a message beside its entries, which are read at once. */
const MAX_REST_BYTES = 64 * 1024;

const checkMessage = wellFormedMessage('scorewire.v1.PutScoresRequest');

const DRAINING = new ScorewireError('unavailable', 'DRAINING', 'the server is shutting down; put all again elsewhere');

/** The open calls, so that a drain can end them. */
export class PutScoresCalls {
  readonly #parts: PutScoresParts;
  readonly #cellsOf: CellsByModel;
  readonly #open = new Set<PutScores>();
  #drained: (() => void) | undefined;

  constructor(parts: PutScoresParts) {
    this.#parts = parts;
    this.#cellsOf = cellsByModel(parts.edge.metrics, METHOD);
  }

  method(): StreamMethod {
    const { path } = ScoreStoreServiceService.putScores;
    return {
      path,
      open: (call) => {
        const puts: PutScores = new PutScores(call, this.#parts, (model, code) => {
          this.#cellsOf(model).record(code, (performance.now() - call.startedMs) / 1000);
          this.#open.delete(puts);
          if (this.#open.size === 0) this.#drained?.();
        });
        this.#open.add(puts);
        if (this.#drained !== undefined) puts.drain();
        return puts;
      },
    };
  }

  /** Takes no more messages; resolves when those that are being put are, and all calls have ended. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      for (const puts of [...this.#open]) puts.drain();
      if (this.#open.size === 0) resolve();
    });
  }
}

type Source = { model: ServedModel; name: string; version: bigint | undefined; job: string };

/** One call. A message is read in parts, each put before the next one is read, and all before the next message is taken. */
class PutScores implements StreamHandler {
  readonly #call: StreamCall;
  readonly #parts: PutScoresParts;
  readonly #closed: (model: string, code: string) => void;
  readonly #counts: PutCounts = { stored: 0, outdated: 0, invalidated: 0 };
  #source: Source | undefined;
  #received = 0;
  #reading: { cancel(): void } | undefined;
  #busy = false;
  #draining = false;
  #over = false;

  constructor(call: StreamCall, parts: PutScoresParts, closed: (model: string, code: string) => void) {
    this.#call = call;
    this.#parts = parts;
    this.#closed = closed;
  }

  onMessage(message: Buffer): void {
    if (this.#draining) {
      this.#refuse(DRAINING);
      return;
    }
    this.#call.pause();
    this.#busy = true;
    // What is put must outlive this call of ours.
    void this.#putAll(Buffer.from(message));
  }

  onEnd(): void {
    if (this.#source === undefined) {
      this.#refuse(invalidField('model', 'expected a first message with a model, found no message'));
      return;
    }
    const { stored, outdated, invalidated } = this.#counts;
    const response = {
      received: BigInt(this.#received),
      stored: BigInt(stored),
      outdated: BigInt(outdated),
      invalidated: BigInt(invalidated),
    };
    this.#call.send(PutScoresResponse.encode(response).finish());
    this.#call.end();
    this.#close('OK');
  }

  onDrain(): void {}

  /** Ends the call, after the message that is being put. */
  drain(): void {
    this.#draining = true;
    if (!this.#busy) this.#refuse(DRAINING);
  }

  onAbort(): void {
    this.#close('CANCELLED');
  }

  async #putAll(message: Buffer): Promise<void> {
    try {
      const { model } = await this.#sliced(this.#beginWith(message));
      const store = requireStore(this.#parts.store);
      const cursor = new WireCursor(message);
      while (cursor.at < message.length && !this.#over) {
        const puts = await this.#sliced(this.#readPart(message, cursor));
        this.#received += puts.length;
        const { stored, outdated, invalidated } = await store.put(model.scope, puts);
        this.#counts.stored += stored;
        this.#counts.outdated += outdated;
        this.#counts.invalidated += invalidated;
      }
    } catch (error) {
      this.#refuse(error instanceof NotWellFormed ? malformed(METHOD) : error);
      return;
    }
    this.#busy = false;
    if (this.#over) return;
    // All that there is may have been put by now.
    this.#call.resume();
    if (this.#draining && !this.#busy) this.#refuse(DRAINING);
  }

  /** Never settles once the call is over. */
  #sliced<T>(work: Sliced<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reading = inSlices(work, resolve, reject);
    });
  }

  *#beginWith(message: Buffer): Sliced<Source> {
    this.#parts.gate.check(this.#call);
    const cursor = new WireCursor(message);
    const rest: Uint8Array[] = [];
    let restBytes = 0;
    let entries = 0;
    while (cursor.at < message.length) {
      const start = cursor.at;
      const tag = cursor.tag(message.length);
      cursor.skip(tag, message.length, 0);
      if (tag === ENTRIES) {
        entries++;
        if (entries % (64 * STEP_ENTRIES) === 0) yield;
        continue;
      }
      rest.push(message.subarray(start, cursor.at));
      restBytes += cursor.at - start;
      if (restBytes > MAX_REST_BYTES) {
        throw invalidField('job', `expected at most ${MAX_REST_BYTES} bytes beside the entries, found more`);
      }
    }
    return this.#begin(Buffer.concat(rest));
  }

  *#readPart(message: Buffer, cursor: WireCursor): Sliced<ScorePut[]> {
    const source = this.#source as Source;
    const nowMs = Date.now();
    const puts: ScorePut[] = [];
    while (cursor.at < message.length && puts.length < PART_ENTRIES) {
      const start = cursor.at;
      const tag = cursor.tag(message.length);
      cursor.skip(tag, message.length, 0);
      if (tag !== ENTRIES) continue;
      const field = message.subarray(start, cursor.at);
      checkMessage(field);
      const [entry] = PutScoresRequest.decode(field).entries as [ScoreEntry];
      puts.push(toPut(entry, this.#received + puts.length, source, nowMs));
      if (puts.length % STEP_ENTRIES === 0) yield;
    }
    return puts;
  }

  #begin(rest: Buffer): Source {
    checkMessage(rest);
    const { model: name, version, digest, job } = PutScoresRequest.decode(rest);
    const begun = this.#source;
    if (begun !== undefined) {
      if ((name !== '' && name !== begun.name) || (version !== undefined && version !== begun.version)) {
        throw invalidField('model', `expected the first message's, or none; found "${name.slice(0, 100)}"`);
      }
      return begun;
    }
    // In this order: a server that isn't ready, then one that has no store.
    const models = this.#parts.models();
    requireStore(this.#parts.store);
    const model = models.get(name, version);
    if (digest !== '' && digest !== model.spec.digest) {
      throw new ScorewireError(
        'failed_precondition',
        'OTHER_MODEL_FILE',
        `digest: ${name} ${model.spec.version} is served from a file with the digest ${model.spec.digest}`,
        { metadata: { model: name, digest: model.spec.digest } },
      );
    }
    this.#source = { model, name, version, job: job.slice(0, 100) };
    return this.#source;
  }

  #refuse(error: unknown): void {
    if (this.#over) return;
    this.#close(refuseCall(this.#parts.edge, this.#call, error));
  }

  #close(code: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#reading?.cancel();
    this.#closed(this.#source?.name ?? '', code);
  }
}

/** @param index of the entry, from the first of the call */
function toPut(entry: ScoreEntry, index: number, { model, job }: Source, nowMs: number): ScorePut {
  const field = (name: string): string => `entries[${index}].${name}`;
  const entity = entry.entity === undefined ? '' : String(entry.entity.value);
  const problem = entityProblem(entity);
  if (problem !== '') throw invalidField(field('entity'), problem);
  if (entry.score === undefined || Number.isNaN(entry.score)) {
    throw invalidField(field('score'), `expected a number, found ${entry.score === undefined ? 'nothing' : 'NaN'}`);
  }
  const scoredAtMs = entry.scoredAt === undefined ? nowMs : timestampMs(entry.scoredAt);
  const featuresAsOfMs = entry.featuresAsOf === undefined ? scoredAtMs : timestampMs(entry.featuresAsOf);
  for (const [name, ms] of [
    ['scored_at', scoredAtMs],
    ['features_as_of', featuresAsOfMs],
  ] as const) {
    if (!(ms >= 0 && ms <= nowMs + MAX_AHEAD_MS)) {
      throw invalidField(field(name), 'expected a time since 1970 that is not in the future, found another');
    }
  }
  return {
    entity,
    stored: {
      score: entry.score,
      label: labelOf(entry.label, model, field('label')),
      outputs: entry.outputs.size === 0 ? undefined : outputsOf(entry, field),
      scoredAtMs,
      featuresAsOfMs,
      keptUntilMs: scoredAtMs + model.storedScores.keptForMs,
      job,
    },
  };
}

function labelOf(label: number | undefined, { spec }: ServedModel, field: string): number {
  if (label === undefined || spec.task === 'binary') return -1;
  if (spec.task === 'regression') throw invalidField(field, `expected none, as ${spec.name} gives no labels`);
  if (label >= 0 && (spec.labels.length === 0 || label < spec.labels.length)) return label;
  throw invalidField(field, `expected a class of ${spec.name}, found ${label}`);
}

function outputsOf({ outputs }: ScoreEntry, field: (name: string) => string): Map<string, Tensor> {
  return new Map(
    [...outputs].map(([name, tensor]) => [name, fromWireTensor(tensor, field(`outputs[${name.slice(0, 100)}]`))]),
  );
}
