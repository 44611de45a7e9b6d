// The feature stores that models take features from: a YAML file of NAME: {files, ...} or NAME: {redis, ...}.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { SetupError } from '../errors.ts';
import { show } from './sources.ts';

/** Features in files that the server reads into its memory. Paths count from the directory that the process was started in. */
export type FileStoreDefinition = {
  kind: 'files';
  /** Paths and globs. */
  files: readonly string[];
  /** The column that says whom a row is about; absent: entity_id, id, or the only one that ends in _id. */
  entity: string | undefined;
  /** The column that says since when a row's values hold; absent: since the file was changed. */
  asOf: string | undefined;
  /** Columns by the names of the features that they have, where these differ. */
  columns: ReadonlyMap<string, string>;
};

/** Features in hashes of Redis, one an entity. */
export type RedisStoreDefinition = {
  kind: 'redis';
  /** A hash's key; `{entity}` in it stands for the entity. */
  key: string;
  /** The field that says since when a hash's values hold; absent: since they were read. */
  asOf: string | undefined;
  /** Fields by the names of the features that they have, where these differ. */
  fields: ReadonlyMap<string, string>;
};

export type FeatureStoreDefinition = FileStoreDefinition | RedisStoreDefinition;

export const ENTITY_IN_KEY = '{entity}';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

function text(what: string) {
  return z.string({ error: what }).regex(/\S/, { error: what });
}

const path = text('a path');
const paths = { error: 'a path, a glob, or a list of these' };
const keyAllowed = { error: `text with ${ENTITY_IN_KEY} in it, such as customer:${ENTITY_IN_KEY}` };

function renames(what: string) {
  return z.record(z.string(), text(`the name of a ${what}`), { error: `a map of ${what}s by features` }).optional();
}

const fileStore = z.strictObject({
  files: z.union([path, z.array(path, paths).min(1, paths)], paths),
  entity: text('the name of a column').optional(),
  as_of: text('the name of a column').optional(),
  columns: renames('column'),
});

const redisStore = z.strictObject({
  redis: z.strictObject(
    {
      key: z.string(keyAllowed).includes(ENTITY_IN_KEY, keyAllowed),
      as_of: text('the name of a field').optional(),
    },
    { error: 'a map with key and as_of' },
  ),
  fields: renames('field'),
});

/**
 * Feature stores by name.
 * @throws SetupError with every mistake in the file, one a line
 */
export function readFeatureStores(file: string): ReadonlyMap<string, FeatureStoreDefinition> {
  const problems: string[] = [];
  const stores = new Map<string, FeatureStoreDefinition>();
  for (const [name, value] of Object.entries(parsed(file))) {
    if (!NAME.test(name)) problems.push(`${file}: ${show(name)}: allowed in a name are letters, digits, . _ and -`);
    const mistake = (key: string, found: unknown, allowed: string): void => {
      problems.push(`${file}: ${key === '' ? name : `${name}.${key}`}: found ${show(found)}; allowed is ${allowed}`);
    };
    const store = definition(value, mistake);
    if (store !== undefined) stores.set(name, store);
  }
  if (problems.length > 0) throw new SetupError(problems.join('\n'));
  return stores;
}

type Mistake = (key: string, found: unknown, allowed: string) => void;

function definition(value: unknown, mistake: Mistake): FeatureStoreDefinition | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    mistake('', value, 'a map with files, or one with redis');
    return undefined;
  }
  if ('files' in value === 'redis' in value) {
    mistake('', value, 'either files or redis');
    return undefined;
  }
  if ('files' in value) {
    const { data, error } = fileStore.safeParse(value);
    if (error !== undefined) tell(error, value, fileStore, mistake);
    return (
      data && {
        kind: 'files',
        files: [data.files].flat(),
        entity: data.entity,
        asOf: data.as_of,
        columns: new Map(Object.entries(data.columns ?? {})),
      }
    );
  }
  const { data, error } = redisStore.safeParse(value);
  if (error !== undefined) tell(error, value, redisStore, mistake);
  return (
    data && {
      kind: 'redis',
      key: data.redis.key,
      asOf: data.redis.as_of,
      fields: new Map(Object.entries(data.fields ?? {})),
    }
  );
}

function tell(error: z.ZodError, value: unknown, schema: z.ZodObject, mistake: Mistake): void {
  for (const issue of error.issues) {
    const key = issue.path.join('.');
    if (issue.code !== 'unrecognized_keys') {
      mistake(key, valueAt(value, issue.path), issue.message);
      continue;
    }
    const at = issue.path.length === 0 ? schema : (schema.shape[String(issue.path[0])] as z.ZodObject);
    const allowed = `one of ${Object.keys(at.shape).join(', ')}`;
    for (const unknown of issue.keys) {
      mistake([...issue.path, unknown].join('.'), valueAt(value, [...issue.path, unknown]), allowed);
    }
  }
}

function parsed(file: string): Record<string, unknown> {
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'), { logLevel: 'error' }) ?? {};
  } catch (error) {
    throw new SetupError(`features.file: ${file} can't be read: ${(error as Error).message.split('\n')[0]}`, error);
  }
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new SetupError(`${file}: found ${show(content)}; allowed is a map of feature stores by name`);
  }
  return content as Record<string, unknown>;
}

function valueAt(value: unknown, keys: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of keys) at = (at as Record<PropertyKey, unknown> | undefined)?.[key];
  return at;
}
