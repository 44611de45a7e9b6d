// What a job is, as a file of jobs and the command line say it.
import { z } from 'zod';

const FILE_FORMATS = ['parquet', 'csv', 'jsonl'] as const;

export type FileFormat = (typeof FILE_FORMATS)[number];

function text(what: string) {
  return z.string({ error: what }).regex(/\S/, { error: what });
}

const path = text('a path');
const paths = { error: 'a path, a glob, or a list of these' };
const format = z.enum(FILE_FORMATS, { error: FILE_FORMATS.join(', ') });
const share = { error: 'a share from 0 to 1' };
const PERIOD = { error: 'a time such as 15m, 1h or 1d' };
const period = z.string(PERIOD).regex(/^[1-9]\d{0,5}[smhd]$/, PERIOD);
const version = { error: 'a whole number from 1 on' };

export const jobSchema = z
  .strictObject(
    {
      model: text("a model's name"),
      version: z.int(version).min(1, version).optional(),
      input: z.union([path, z.array(path, paths).min(1, paths)], paths).optional(),
      input_format: format.optional(),
      query: text('a SELECT').optional(),
      directories: z.array(path, { error: 'a list of paths' }).optional(),
      output: path,
      output_format: format.optional(),
      rejects: path.optional(),
      entity: text('the name of a column').optional(),
      store: z.boolean({ error: 'true or false' }).optional(),
      every: period.optional(),
      late_after: period.optional(),
      max_rejected: z.number(share).min(0, share).max(1, share).optional(),
    },
    { error: 'a map of keys' },
  )
  .superRefine(({ input, query }, context) => {
    if ((input === undefined) !== (query === undefined)) return;
    context.addIssue({ code: 'custom', path: ['input'], message: 'either this or a query' });
  });

/** The share of rows that may be rejected before a job that finished counts as failed. */
const DEFAULT_MAX_REJECTED = 0.1;

/** A job, checked. Paths count from the directory that the process was started in. */
export type JobDefinition = {
  model: string;
  /** Absent: the live one. */
  version: number | undefined;
  /** Paths and globs; or `query`, a SELECT over any files. */
  input: readonly string[] | undefined;
  query: string | undefined;
  /** Absent: by the endings of the paths. */
  inputFormat: FileFormat | undefined;
  outputFormat: FileFormat | undefined;
  /** Directories that a query reads in, beside that of the output. */
  directories: readonly string[];
  output: string;
  /** Where rows without a score go, as JSON lines. */
  rejects: string;
  /** The column that says whom a row is about; absent: see `entityColumn`. */
  entity: string | undefined;
  /** From 0 to 1. */
  maxRejected: number;
  /** Whether its scores are answers of the server: they go into the score store as well. */
  store: boolean;
  /** A server runs it by itself so often, seconds; absent: when it is told to. */
  everySeconds: number | undefined;
  /** Without a success for so long, seconds, it is late; absent: twice `everySeconds`, or never. */
  lateAfterSeconds: number | undefined;
};

export function jobDefinition(given: z.infer<typeof jobSchema>): JobDefinition {
  const everySeconds = secondsOf(given.every);
  return {
    model: given.model,
    version: given.version,
    input: given.input === undefined ? undefined : [given.input].flat(),
    query: given.query,
    inputFormat: given.input_format,
    outputFormat: given.output_format,
    directories: given.directories ?? [],
    output: given.output,
    rejects: given.rejects ?? `${given.output}.rejects.jsonl`,
    entity: given.entity,
    maxRejected: given.max_rejected ?? DEFAULT_MAX_REJECTED,
    store: given.store ?? false,
    everySeconds,
    lateAfterSeconds: secondsOf(given.late_after) ?? (everySeconds === undefined ? undefined : 2 * everySeconds),
  };
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return Number(text.slice(0, -1)) * UNIT_SECONDS[text.slice(-1) as keyof typeof UNIT_SECONDS];
}

/** The mistakes in what was parsed as a job, each with the key and what is allowed. */
export function jobMistakes(error: z.ZodError): { key: string; allowed: string }[] {
  return error.issues.flatMap((issue) => {
    const key = issue.path.join('.');
    if (issue.code !== 'unrecognized_keys') return [{ key, allowed: issue.message }];
    return issue.keys.map((name) => ({ key: name, allowed: `one of ${Object.keys(jobSchema.shape).join(', ')}` }));
  });
}
