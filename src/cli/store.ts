// `scorewire store`: the scores that a server keeps.
import type { Command } from 'commander';
import { toDuration, toMs } from '../client/duration.ts';
import { SetupError } from '../errors.ts';
import {
  GetScoreStoreStatsResponse,
  type InvalidateScoresRequest,
  InvalidateScoresResponse,
  type ScoreStats,
  ScoreStoreServiceService,
} from '../gen/scorewire/v1/score_store.ts';
import { type AdminFlags, addAdminOptions, calling } from './admin-calls.ts';
import { addConnectionOptions, type ConnectionFlags, deadlineOf } from './connection-options.ts';
import { count } from './job-summary.ts';
import { ageOf, bytesShown, percentShown, secondsShown, timeOf } from './quantities.ts';
import { table } from './table.ts';

type StatsFlags = ConnectionFlags & { json?: boolean };

type InvalidateFlags = AdminFlags & {
  entity?: string[];
  all?: boolean;
  olderThan?: string;
  at?: string;
  refresh?: boolean;
  json?: boolean;
};

const STATS_HELP = `
Hits and misses are those of this server since it started; evictions are scores that gave way to others because the store
was full. The columns of ages say how many scores were computed up to so long ago; ~ stands before figures that were
projected from a part of the store.

Exit status: 0 done; 1 not done, or the store does not answer.`;

const INVALIDATE_HELP = `
Takes scores out of every version of the model, on every server that shares the store.

Examples:
  scorewire store invalidate churn --entity c17 --entity c42 --refresh
  scorewire store invalidate churn --all --at 2026-03-01T06:00:00Z
  scorewire store invalidate churn --older-than 12h

Exit status: 0 done; 1 not done, or entities could not be scored anew.`;

export function addStore(program: Command): void {
  const store = program.command('store').description('see and change the scores that a server keeps');
  addConnectionOptions(
    store.command('stats').description('how many scores are kept, how old they are and how often they are asked for'),
  )
    .argument('[model]', 'only of this one')
    .option('--json', 'print JSON')
    .addHelpText('after', STATS_HELP)
    .action((model: string | undefined, flags: StatsFlags) => stats(model ?? '', flags));
  addAdminOptions(store.command('invalidate').description('take scores out that no longer hold'))
    .argument('<model>', "the model's name")
    .option('--entity <id>', 'the score of this entity; may be repeated', (value: string, all: string[] = []) => [
      ...all,
      value,
    ])
    .option('--all', 'all scores of the model')
    .option('--older-than <age>', 'scores computed longer ago than this, such as 12h')
    .option('--at <time>', 'when the event happened: scores from later features stay (default: now)')
    .option('--refresh', 'with --entity: compute these scores anew, with the features as they are now')
    .option('--json', 'print JSON')
    .addHelpText('after', INVALIDATE_HELP)
    .action(invalidate);
}

async function stats(model: string, flags: StatsFlags): Promise<void> {
  const deadlineMs = deadlineOf(flags);
  await calling(flags, async (calls) => {
    const response = await calls.unary(ScoreStoreServiceService.getScoreStoreStats, { model }, deadlineMs);
    if (flags.json) console.log(JSON.stringify(GetScoreStoreStatsResponse.toJSON(response), null, 2));
    else process.stdout.write(statsText(response));
    if (response.problem !== '') process.exitCode = 1;
  });
}

function statsText({ store, problem, models }: GetScoreStoreStatsResponse): string {
  if (store === 'off') return 'the server keeps no scores (store.kind is off)\n';
  const state = problem === '' ? '' : `, which does not answer: ${problem}`;
  const buckets = models[0]?.ages ?? [];
  const ages = buckets.map(({ upTo }) => (upTo === undefined ? 'older' : `<= ${secondsShown(toMs(upTo) / 1000)}`));
  const titles = ['model', 'version', 'live', 'entries', 'bytes', 'hits', 'misses', 'hit rate', 'evictions', ...ages];
  return `store: ${store}${state}\n\n${table(titles, models.map(statsRow))}`;
}

function statsRow(stats: ScoreStats): string[] {
  const { model, version, live, entries, bytes, hits, misses, hitRate, evictions, ages, estimated } = stats;
  const figure = (number: bigint) => `${estimated && number > 0n ? '~' : ''}${count(Number(number))}`;
  return [
    model,
    String(version),
    live ? 'yes' : '',
    figure(entries),
    `${estimated && bytes > 0n ? '~' : ''}${bytesShown(Number(bytes))}`,
    count(Number(hits)),
    count(Number(misses)),
    hits + misses === 0n ? '-' : percentShown(hitRate),
    count(Number(evictions)),
    ...ages.map((bucket) => figure(bucket.entries)),
  ];
}

async function invalidate(model: string, flags: InvalidateFlags): Promise<void> {
  const request: InvalidateScoresRequest = {
    model,
    target: targetOf(flags),
    at: flags.at === undefined ? undefined : toDuration(timeOf(flags.at, '--at')),
    refresh: flags.refresh ?? false,
  };
  const deadlineMs = deadlineOf(flags);
  await calling(flags, async (calls) => {
    const response = await calls.unary(ScoreStoreServiceService.invalidateScores, request, deadlineMs);
    if (flags.json) console.log(JSON.stringify(InvalidateScoresResponse.toJSON(response), null, 2));
    else process.stdout.write(invalidatedText(response, request));
    if (response.errors.length > 0) process.exitCode = 1;
  });
}

function targetOf({ entity, all, olderThan, refresh }: InvalidateFlags): InvalidateScoresRequest['target'] {
  const given = [entity, all, olderThan].filter((one) => one !== undefined).length;
  if (given !== 1) {
    throw new SetupError(`expected one of --entity, --all and --older-than, found ${given === 0 ? 'none' : given}`);
  }
  if (refresh && entity === undefined) throw new SetupError('--refresh: needs --entity beside it');
  if (entity !== undefined) return { $case: 'entities', value: { entityIds: entity } };
  if (olderThan !== undefined) {
    return { $case: 'olderThan', value: toDuration(ageOf(olderThan, '--older-than')) };
  }
  return { $case: 'all', value: true };
}

function invalidatedText(
  { invalidated, refreshed, errors }: InvalidateScoresResponse,
  { model, target, refresh }: InvalidateScoresRequest,
): string {
  const lines = [
    invalidated === undefined
      ? `${model}: invalidated; the store doesn't tell how many scores went`
      : `${model}: ${count(Number(invalidated))} ${invalidated === 1n ? 'score' : 'scores'} invalidated`,
  ];
  if (refresh && target?.$case === 'entities') {
    lines.push(`${count(Number(refreshed))} of ${count(target.value.entityIds.length)} computed anew`);
  }
  for (const { entityId, reason, message } of errors) lines.push(`  ${entityId}: ${reason}: ${message}`);
  return `${lines.join('\n')}\n`;
}
