// `scorewire score`: one call, from the command line.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { SetupError } from '../errors.ts';
import {
  type Row,
  type ScoreRequest,
  ScoreResponse,
  ScoringServiceService,
  type Value,
} from '../gen/scorewire/v1/scoring.ts';
import { addConnectionOptions, type ConnectionFlags, connectTo, deadlineOf, versionOf } from './connection-options.ts';

type ScoreFlags = ConnectionFlags & {
  row?: string;
  feature?: string[];
  modelVersion?: string;
  entity?: string;
  outputs?: string;
};

export function addScore(program: Command): void {
  addConnectionOptions(program.command('score').description('score one row and print the answer as JSON'))
    .argument('<model>', "the model's name")
    .option('--row <json>', 'the row: an object by feature name, or an array in order; - reads it from standard input')
    .option(
      '--feature <name=value>',
      'one feature; may be repeated, and wins over --row',
      (value: string, all: string[] = []) => [...all, value],
    )
    .option('--model-version <number>', 'a version other than the live one')
    .option('--entity <id>', 'whom the row is about; comes back in the answer')
    .option('--outputs <names>', 'tensors wanted beside the score, separated by commas')
    .addHelpText(
      'after',
      `\nExamples:\n  scorewire score diabetes --feature age=0.03 --feature bmi=0.06 ...\n  scorewire score digits --row '[0, 0, 5, ...]'\n  scorewire score churn --row - < row.json`,
    )
    .action(async (model: string, flags: ScoreFlags) => {
      const request: ScoreRequest = {
        model,
        version: versionOf(flags.modelVersion),
        entity: flags.entity === undefined ? undefined : { $case: 'entityId', value: flags.entity },
        row: rowOf(flags),
        policy: 0,
        outputNames: flags.outputs?.split(',') ?? [],
      };
      const deadlineMs = deadlineOf(flags);
      const calls = connectTo(flags);
      try {
        const response = await calls.unary(ScoringServiceService.score, request, deadlineMs);
        console.log(JSON.stringify(ScoreResponse.toJSON(response), null, 2));
      } finally {
        calls.close();
      }
    });
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
