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
import { cellsByModel, malformed, refuseCall, type UnaryEdge } from './unary.ts';
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
/** Bytes of a message beside its entries, which are read at once. */
const MAX_REST_BYTES = 64 * 1024;

const checkMessage = wellFormedMessage('scorewire.v1.PutScoresRequest');

export function putScoresMethod(parts: PutScoresParts): StreamMethod {
  const { path } = ScoreStoreServiceService.putScores;
  const cellsOf = cellsByModel(parts.edge.metrics, METHOD);
  return {
    path,
    open: (call) =>
      new PutScores(call, parts, (model, code) => {
        cellsOf(model).record(code, (performance.now() - call.startedMs) / 1000);
      }),
  };
}

type Source = { model: ServedModel; name: string; version: bigint | undefined; job: string };

/** One call. A message is read in slices and put before the next one is taken. */
class PutScores implements StreamHandler {
  readonly #call: StreamCall;
  readonly #parts: PutScoresParts;
  readonly #closed: (model: string, code: string) => void;
  readonly #counts: PutCounts = { stored: 0, outdated: 0, invalidated: 0 };
  #source: Source | undefined;
  #received = 0;
  #reading: { cancel(): void } | undefined;
  #over = false;

  constructor(call: StreamCall, parts: PutScoresParts, closed: (model: string, code: string) => void) {
    this.#call = call;
    this.#parts = parts;
    this.#closed = closed;
  }

  onMessage(message: Buffer): void {
    this.#call.pause();
    // What is put must outlive this call of ours.
    this.#reading = inSlices(
      this.#read(Buffer.from(message)),
      (puts) => void this.#put(puts),
      (error) => this.#refuse(error instanceof NotWellFormed ? malformed(METHOD) : error),
    );
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

  onAbort(): void {
    this.#close('CANCELLED');
  }

  *#read(message: Buffer): Sliced<ScorePut[]> {
    this.#parts.gate.check(this.#call);
    const cursor = new WireCursor(message);
    const rest: Uint8Array[] = [];
    let restBytes = 0;
    const entries: [from: number, to: number][] = [];
    while (cursor.at < message.length) {
      const start = cursor.at;
      const tag = cursor.tag(message.length);
      cursor.skip(tag, message.length, 0);
      if (tag === ENTRIES) {
        entries.push([start, cursor.at]);
        if (entries.length % (64 * STEP_ENTRIES) === 0) yield;
        continue;
      }
      rest.push(message.subarray(start, cursor.at));
      restBytes += cursor.at - start;
      if (restBytes > MAX_REST_BYTES) {
        throw invalidField('job', `expected at most ${MAX_REST_BYTES} bytes beside the entries, found more`);
      }
    }
    const source = this.#begin(Buffer.concat(rest));
    const nowMs = Date.now();
    const puts: ScorePut[] = [];
    for (const [index, [from, to]] of entries.entries()) {
      if (index % STEP_ENTRIES === STEP_ENTRIES - 1) yield;
      const field = message.subarray(from, to);
      checkMessage(field);
      const [entry] = PutScoresRequest.decode(field).entries as [ScoreEntry];
      puts.push(toPut(entry, this.#received + index, source, nowMs));
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

  async #put(puts: ScorePut[]): Promise<void> {
    try {
      this.#received += puts.length;
      const counts = await requireStore(this.#parts.store).put((this.#source as Source).model.scope, puts);
      this.#counts.stored += counts.stored;
      this.#counts.outdated += counts.outdated;
      this.#counts.invalidated += counts.invalidated;
    } catch (error) {
      this.#refuse(error);
      return;
    }
    if (!this.#over) this.#call.resume();
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
