// ModelService.PromoteModel: which version of a model answers, forward and back.
import { dirname } from 'node:path';
import { invalidField, ScorewireError, toScorewireError } from '../errors.ts';
import { ModelServiceService, type PromoteModelRequest, type PromoteModelResponse } from '../gen/scorewire/v1/model.ts';
import { writeLive } from '../models/live-version.ts';
import type { ScoreStore } from '../scores/score-store.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { requireStore } from '../scoring/scorer.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { Logger } from '../telemetry/log.ts';
import type { AdminGate } from './admin-gate.ts';
import { toModelInfo } from './model-info.ts';
import { type Caller, type UnaryEdge, type UnaryHandler, unary } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';

export type PromotionParts = {
  edge: UnaryEdge;
  gate: AdminGate;
  /** Throws UNAVAILABLE before they are there. */
  models: () => ModelRegistry;
  /** Undefined: scores are not kept. */
  store: ScoreStore | undefined;
  log: Logger;
};

type Coverage = { entities: number; covered: number };

const NOTHING: Coverage = { entities: 0, covered: 0 };

export function promoteModelMethod(parts: PromotionParts): UnaryMethod {
  const admit = (caller: Caller): void => parts.gate.check(caller);
  // One after the other, so that what is kept in the end is what is live.
  let last: Promise<unknown> = Promise.resolve();
  const handler: UnaryHandler<PromoteModelRequest, PromoteModelResponse> = (request, context, done) => {
    const models = parts.models();
    models.get(request.model, request.version);
    context.model = request.model;
    const { minCoverage } = request;
    if (!(minCoverage >= 0 && minCoverage <= 1)) {
      throw invalidField('min_coverage', `expected a number from 0 to 1, found ${minCoverage}`);
    }
    const promoted = last.then(() => promote(parts, models, request));
    last = promoted.catch(() => {});
    promoted.then(
      (response) => done(undefined, response),
      (error: unknown) => done(toScorewireError(error)),
    );
  };
  return unary(parts.edge, ModelServiceService.promoteModel, handler, admit);
}

async function promote(
  { store, log }: PromotionParts,
  models: ModelRegistry,
  { model: name, version, minCoverage }: PromoteModelRequest,
): Promise<PromoteModelResponse> {
  const previous = models.get(name);
  const wanted = version === undefined ? models.highest(name) : models.get(name, version);
  // What is live already needs nothing to become so.
  const least = wanted === previous ? 0 : minCoverage;
  const coverage = await coverageOf(store, previous, wanted, least);
  models.promote(name, version);
  const choice = version === undefined ? undefined : wanted.spec.version;
  const kept = await keep(wanted, choice, log);
  log.info(
    { version: wanted.spec.version, previousVersion: previous.spec.version, ...coverage, kept },
    `model ${name} promoted`,
  );
  return {
    model: toModelInfo(wanted, true),
    previousVersion: BigInt(previous.spec.version),
    entities: BigInt(coverage.entities),
    covered: BigInt(coverage.covered),
    kept,
  };
}

/** @throws ScorewireError FAILED_PRECONDITION where it is less than `least`, UNAVAILABLE where the store doesn't say */
async function coverageOf(
  store: ScoreStore | undefined,
  previous: ServedModel,
  wanted: ServedModel,
  least: number,
): Promise<Coverage> {
  // The way back is open though the store is not.
  if (least === 0) return (await store?.coverage(previous.scope, wanted.scope).catch(() => NOTHING)) ?? NOTHING;
  const asked = requireStore(store);
  const coverage = await asked.coverage(previous.scope, wanted.scope);
  const { entities, covered } = coverage;
  if (entities > 0 ? covered / entities >= least : await hasAny(asked, wanted)) return coverage;
  const { name, version } = wanted.spec;
  const live = `version ${previous.spec.version}, which is live,`;
  const found =
    entities === 0
      ? `neither version ${version} nor ${live} has scores`
      : `version ${version} has scores of ${covered} of the ${entities} entities that ${live} has scores of: ${shown(covered / entities)}`;
  throw new ScorewireError(
    'failed_precondition',
    'LOW_COVERAGE',
    `model ${name}: ${found}; the least coverage is ${least}: fill it first, by a job or PutScores with version ${version}, or ask for less`,
    { metadata: { model: name, version: String(version), entities: String(entities), covered: String(covered) } },
  );
}

async function hasAny(store: ScoreStore, { scope }: ServedModel): Promise<boolean> {
  return (await store.coverage(scope, scope)).entities > 0;
}

/** Rounded down, so that what is too little never looks like enough. */
function shown(share: number): string {
  return String(Math.floor(share * 10_000) / 10_000);
}

/** Whether the choice outlives the process. */
async function keep({ spec }: ServedModel, choice: number | undefined, log: Logger): Promise<boolean> {
  const folder = dirname(spec.directory);
  try {
    await writeLive(folder, choice);
    return true;
  } catch (error) {
    log.warn(
      { model: spec.name, version: spec.version, err: error },
      `which version is live could not be kept in ${folder}: a server that starts later doesn't know of it`,
    );
    return false;
  }
}
