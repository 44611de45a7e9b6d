// The jobs that a server runs by name: a YAML file of NAME: {model, input, output, ...}.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { SetupError } from '../errors.ts';
import { type JobDefinition, jobDefinition, jobMistakes, jobSchema } from './job-definition.ts';
import { show } from './sources.ts';
import { truePath } from './true-path.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * Jobs by name.
 * @throws SetupError with every mistake in the file, one a line
 */
export function readJobs(path: string): ReadonlyMap<string, JobDefinition> {
  const content = parsed(path);
  const problems: string[] = [];
  const jobs = new Map<string, JobDefinition>();
  const targets = new Map<string, string>();
  for (const [name, value] of Object.entries(content)) {
    if (!NAME.test(name)) problems.push(`${path}: ${show(name)}: allowed in a name are letters, digits, . _ and -`);
    const result = jobSchema.safeParse(value);
    if (!result.success) {
      for (const { key, allowed } of jobMistakes(result.error)) {
        const at = key === '' ? name : `${name}.${key}`;
        problems.push(`${path}: ${at}: found ${show(valueAt(value, key))}; allowed is ${allowed}`);
      }
      continue;
    }
    const job = jobDefinition(result.data);
    for (const key of ['output', 'rejects'] as const) {
      const target = truePath(job[key]);
      const other = targets.get(target);
      if (other !== undefined) problems.push(`${path}: ${name}.${key}: ${other} writes ${target} already`);
      targets.set(target, `${name}.${key}`);
    }
    jobs.set(name, job);
  }
  if (problems.length > 0) throw new SetupError(problems.join('\n'));
  return jobs;
}

function parsed(path: string): Record<string, unknown> {
  let content: unknown;
  try {
    content = parse(readFileSync(path, 'utf8'), { logLevel: 'error' }) ?? {};
  } catch (error) {
    throw new SetupError(`jobs.file: ${path} can't be read: ${(error as Error).message.split('\n')[0]}`, error);
  }
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new SetupError(`${path}: found ${show(content)}; allowed is a map of jobs by name`);
  }
  return content as Record<string, unknown>;
}

function valueAt(value: unknown, key: string): unknown {
  if (key === '') return value;
  let at = value;
  for (const part of key.split('.')) at = (at as Record<string, unknown> | undefined)?.[part];
  return at;
}
