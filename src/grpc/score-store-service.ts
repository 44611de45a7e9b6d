// scorewire.v1.ScoreStoreService: what is stored, and what no longer holds.
import { invalidField, type ScorewireError, toScorewireError } from '../errors.ts';
import {
  type GetScoreStoreStatsRequest,
  type GetScoreStoreStatsResponse,
  type InvalidateScoresRequest,
  type InvalidateScoresResponse,
  type RefreshError,
  type ScoreStats,
  ScoreStoreServiceService,
} from '../gen/scorewire/v1/score_store.ts';
import {
  AGE_BUCKETS_SECONDS,
  type Invalidation,
  type ScopeStats,
  type ScoreScope,
  type ScoreStore,
} from '../scores/score-store.ts';
import type { BulkScorer } from '../scoring/bulk-scorer.ts';
import { entityProblem } from '../scoring/entity-call.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { requireStore } from '../scoring/scorer.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { ModelCells } from '../telemetry/metrics.ts';
import type { AdminGate } from './admin-gate.ts';
import { durationMs, toDuration } from './duration.ts';
import { MAX_AHEAD_MS, timestampMs } from './timestamp.ts';
import { type Caller, type UnaryEdge, type UnaryHandler, unary } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';

export type ScoreStoreParts = {
  edge: UnaryEdge;
  gate: AdminGate;
  /** Throws UNAVAILABLE before they are there. */
  models: () => ModelRegistry;
  /** Undefined: scores are not kept. */
  store: ScoreStore | undefined;
  bulk: () => BulkScorer;
  cells: (model: ServedModel) => ModelCells;
};

/** Entities of one invalidation. */
const MAX_ENTITIES = 10_000;
const MAX_ERRORS = 100;

export function scoreStoreMethods(parts: ScoreStoreParts): UnaryMethod[] {
  const admit = (caller: Caller): void => parts.gate.check(caller);
  const invalidate: UnaryHandler<InvalidateScoresRequest, InvalidateScoresResponse> = (request, context, done) => {
    const store = requireStore(parts.store);
    const model = parts.models().get(request.model);
    context.model = request.model;
    const invalidation = toInvalidation(request, Date.now());
    if (request.refresh && invalidation.kind !== 'entities') {
      throw invalidField('refresh', 'expected entities beside it, found another target');
    }
    answer(done, async () => {
      const invalidated = await store.invalidate(invalidation);
      const refreshed =
        request.refresh && invalidation.kind === 'entities'
          ? await refresh(parts.bulk(), model, invalidation.entities)
          : { refreshed: 0n, errors: [] };
      return { invalidated: invalidated === undefined ? undefined : BigInt(invalidated), ...refreshed };
    });
  };
  const stats: UnaryHandler<GetScoreStoreStatsRequest, GetScoreStoreStatsResponse> = ({ model }, context, done) => {
    const models = parts.models();
    const { store } = parts;
    const wanted = model === '' ? models.all() : models.versions(model);
    if (model !== '') context.model = model;
    answer(done, async () => {
      const found = store?.problem() === undefined ? ((await store?.stats()) ?? []) : [];
      return {
        store: store?.kind ?? 'off',
        problem: store?.problem() ?? '',
        models: wanted.map((each) => toStats(each, models.isLive(each), parts.cells(each), found)),
      };
    });
  };
  return [
    unary(parts.edge, ScoreStoreServiceService.invalidateScores, invalidate, admit),
    unary(parts.edge, ScoreStoreServiceService.getScoreStoreStats, stats),
  ];
}

function answer<Response>(
  done: (error: ScorewireError | undefined, response?: Response) => void,
  work: () => Promise<Response>,
): void {
  work().then(
    (response) => done(undefined, response),
    (error: unknown) => done(toScorewireError(error)),
  );
}

function toInvalidation({ model, target, at }: InvalidateScoresRequest, nowMs: number): Invalidation {
  const atMs = at === undefined ? nowMs : timestampMs(at);
  if (!(atMs >= 0 && atMs <= nowMs + MAX_AHEAD_MS)) {
    throw invalidField('at', 'expected a time since 1970 that is not in the future, found another');
  }
  switch (target?.$case) {
    case 'entities': {
      const entities = target.value.entityIds;
      if (entities.length > MAX_ENTITIES) {
        throw invalidField('entities.entity_ids', `expected at most ${MAX_ENTITIES}, found ${entities.length}`);
      }
      for (const [index, entity] of entities.entries()) {
        const problem = entityProblem(entity);
        if (problem !== '') throw invalidField(`entities.entity_ids[${index}]`, problem);
      }
      return { kind: 'entities', model, entities, atMs };
    }
    case 'all':
      if (!target.value) throw invalidField('all', 'expected true, found false');
      return { kind: 'model', model, atMs };
    case 'olderThan': {
      const ageMs = durationMs(target.value);
      if (ageMs >= 0) return { kind: 'age', model, scoredBeforeMs: atMs - ageMs };
      throw invalidField('older_than', 'expected a Duration that is not negative, found another');
    }
    default:
      throw invalidField('target', 'expected entities, all or older_than, found none');
  }
}

/** Computes and stores the scores of entities, with their features as they are now. */
function refresh(
  bulk: BulkScorer,
  invalidated: ServedModel,
  entities: readonly string[],
): Promise<{ refreshed: bigint; errors: RefreshError[] }> {
  // Another file may have come to its place meanwhile.
  const model = bulk.model(invalidated.spec.name, BigInt(invalidated.spec.version));
  return new Promise((resolve, reject) => {
    const errors: RefreshError[] = [];
    let failed = 0;
    let refused = 0;
    bulk.startEntities(
      model,
      {
        count: entities.length,
        entities: { length: entities.length, read: (from) => ({ values: entities, start: from }) },
        rows: undefined,
        policy: 'real_time_only',
        limits: { freshForMs: 0, staleAllowed: false },
        chunkRows: MAX_ENTITIES,
        inOrder: true,
        job: 'refresh',
        kept: (counts) => {
          refused += counts.invalidated;
        },
      },
      {
        take(chunk) {
          failed += chunk.errors.length;
          for (const { row, error } of chunk.errors) {
            if (errors.length === MAX_ERRORS) break;
            errors.push({ entityId: entities[row] as string, reason: error.reason, message: error.message });
          }
          return true;
        },
        done: () => resolve({ refreshed: BigInt(entities.length - failed - refused), errors }),
        failed: reject,
      },
    );
  });
}

function toStats(model: ServedModel, live: boolean, cells: ModelCells, found: readonly ScopeStats[]): ScoreStats {
  const { spec, scope } = model;
  const stats = found.find((each) => isSame(each.scope, scope));
  const { hit, miss, unavailable } = cells.lookUps;
  const misses = miss.value + unavailable.value;
  const ages = stats?.ages ?? [...AGE_BUCKETS_SECONDS.map(() => 0), 0];
  return {
    model: spec.name,
    version: BigInt(spec.version),
    live,
    entries: BigInt(stats?.entries ?? 0),
    bytes: BigInt(stats?.bytes ?? 0),
    hits: BigInt(hit.value),
    misses: BigInt(misses),
    hitRate: hit.value === 0 ? 0 : hit.value / (hit.value + misses),
    evictions: BigInt(stats?.evictions ?? 0),
    ages: ages.map((entries, index) => {
      const seconds = AGE_BUCKETS_SECONDS[index];
      return { upTo: seconds === undefined ? undefined : toDuration(1000 * seconds), entries: BigInt(entries) };
    }),
    estimated: stats?.estimated ?? false,
    unavailable: BigInt(unavailable.value),
    stale: BigInt(cells.answers.stale.value),
  };
}

function isSame(one: ScoreScope, other: ScoreScope): boolean {
  return one.model === other.model && one.digest === other.digest && one.view === other.view;
}
