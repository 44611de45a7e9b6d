// `scorewire score`: one call, from the command line.
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { toDuration, toMs } from '../client/duration.ts';
import { SetupError } from '../errors.ts';
import {
  type Row,
  ScorePolicy,
  type ScoreRequest,
  ScoreResponse,
  ScoringServiceService,
  type Value,
} from '../gen/scorewire/v1/scoring.ts';
import { addConnectionOptions, type ConnectionFlags, connectTo, deadlineOf, versionOf } from './connection-options.ts';
import { ageOf } from './quantities.ts';

type ScoreFlags = ConnectionFlags & {
  row?: string;
  feature?: string[];
  modelVersion?: string;
  entity?: string;
  outputs?: string;
  policy?: string;
  maxStaleness?: string;
  allowStale?: boolean;
};

const POLICIES: Readonly<Record<string, ScorePolicy>> = {
  'precomputed-first': ScorePolicy.SCORE_POLICY_PRECOMPUTED_FIRST,
  'real-time-only': ScorePolicy.SCORE_POLICY_REAL_TIME_ONLY,
  'precomputed-only': ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY,
};

const HELP = `
With a row the model scores it. With an entity alone its stored score is the answer where that is fresh, and else the model
scores it by its stored features. The answer says which it was (origin), when the score was computed (scoredAt) and how long
ago that was (age).

Examples:
  scorewire score diabetes --feature age=0.03 --feature bmi=0.06 ...
  scorewire score digits --row '[0, 0, 5, ...]'
  scorewire score churn --row - < row.json
  scorewire score churn --entity c17
  scorewire score churn --entity c17 --max-staleness 12h --allow-stale
  scorewire score churn --entity c17 --policy precomputed-only`;

export function addScore(program: Command): void {
  addConnectionOptions(
    program.command('score').description('score one row, or an entity, and print the answer as JSON'),
  )
    .argument('<model>', "the model's name")
    .option('--row <json>', 'the row: an object by feature name, or an array in order; - reads it from standard input')
    .option(
      '--feature <name=value>',
      'one feature; may be repeated, and wins over --row',
      (value: string, all: string[] = []) => [...all, value],
    )
    .option('--model-version <number>', 'a version other than the live one')
    .option(
      '--entity <id>',
      'whom the row is about; without a row: whose score, from the store or by its stored features',
    )
    .addOption(new Option('--policy <policy>', 'where the score may come from').choices(Object.keys(POLICIES)))
    .option(
      '--max-staleness <age>',
      "age up to which a stored score is an answer, such as 12h (default: the model's own)",
    )
    .option('--allow-stale', 'take an older stored score where the model can not answer in time')
    .option('--outputs <names>', 'tensors wanted beside the score, separated by commas')
    .addHelpText('after', HELP)
    .action(async (model: string, flags: ScoreFlags) => {
      const request: ScoreRequest = {
        model,
        version: versionOf(flags.modelVersion),
        entity: flags.entity === undefined ? undefined : { $case: 'entityId', value: flags.entity },
        row: rowOf(flags),
        policy: POLICIES[flags.policy ?? ''] ?? ScorePolicy.SCORE_POLICY_UNSPECIFIED,
        maxStaleness:
          flags.maxStaleness === undefined ? undefined : toDuration(ageOf(flags.maxStaleness, '--max-staleness')),
        allowStale: flags.allowStale,
        outputNames: flags.outputs?.split(',') ?? [],
      };
      const deadlineMs = deadlineOf(flags);
      const calls = connectTo(flags);
      try {
        const response = await calls.unary(ScoringServiceService.score, request, deadlineMs);
        console.log(JSON.stringify(answerOf(response), null, 2));
      } finally {
        calls.close();
      }
    });
}

/** As protobuf's JSON: the age, which ts-proto writes in two parts, is a text such as 2.5s there. */
function answerOf(response: ScoreResponse): unknown {
  const { age, ...shown } = ScoreResponse.toJSON(response) as Record<string, unknown>;
  return response.age === undefined ? shown : { ...shown, age: `${toMs(response.age) / 1000}s` };
}

function rowOf(flags: ScoreFlags): Row | undefined {
  const { feature: features = [] } = flags;
  const given = flags.row === undefined ? undefined : parseRow(flags.row === '-' ? readFileSync(0, 'utf8') : flags.row);
  if (Array.isArray(given) && features.length === 0) {
    return { form: { $case: 'dense', value: { values: given.map(denseNumber) } } };
  }
  if (Array.isArray(given)) throw new SetupError('--feature: names go with --row as an object, not as an array');
  if (given === undefined && features.length === 0) return undefined;
  const values = new Map<string, Value>();
  for (const [name, value] of Object.entries(given ?? {})) values.set(name, toValue(name, value));
  for (const feature of features) {
    const at = feature.indexOf('=');
    if (at < 1) throw new SetupError(`--feature: expected name=value, found ${feature}`);
    const name = feature.slice(0, at);
    values.set(name, toValue(name, literal(feature.slice(at + 1))));
  }
  return { form: { $case: 'named', value: { values } } };
}

function parseRow(text: string): Record<string, unknown> | unknown[] {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    throw new SetupError(`--row: not JSON: ${(error as Error).message}`);
  }
  if (typeof row !== 'object' || row === null) throw new SetupError('--row: expected a JSON object or array');
  return row as Record<string, unknown> | unknown[];
}

/** null stands for NaN, which JSON can't write. */
function denseNumber(value: unknown, index: number): number {
  if (value === null) return Number.NaN;
  if (typeof value === 'number') return value;
  throw new SetupError(`--row: element ${index}: expected a number, found ${JSON.stringify(value)}`);
}

function toValue(name: string, value: unknown): Value {
  switch (typeof value) {
    case 'string':
      return { kind: { $case: 'text', value } };
    case 'boolean':
      return { kind: { $case: 'flag', value } };
    case 'number':
      return { kind: { $case: 'number', value } };
    default:
      if (value === null) return { kind: { $case: 'number', value: Number.NaN } };
      throw new SetupError(`--row: ${name}: expected a number, text or flag, found ${JSON.stringify(value)}`);
  }
}

/** true, false and numbers are what they look like; all else is text. */
function literal(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return text.trim() !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
}
