// Which column of an input is which feature, and how SQL casts it to what the feature takes. Anything that a cast would
// change is left to the encoder to judge, as it judges what callers send.
import { distance } from 'fastest-levenshtein';
import { SetupError } from '../errors.ts';
import type { Feature, FeatureLayout, RowLayout } from '../models/model.ts';
import { sqlName } from './database.ts';

/** Whose features the columns are to be. */
export type InputModel = {
  name: string;
  layout: FeatureLayout;
  /** Whether a feature without a column is found elsewhere; undefined: none is. */
  elsewhere?: (feature: Feature) => boolean;
};

/** A column of the input, its type in DuckDB's words; `sql` gives its values where its name doesn't. */
export type InputColumn = { name: string; type: string; sql?: string };

/** A feature that has a column. */
export type PlannedFeature = {
  feature: Feature;
  sql: string;
  /** VARCHAR: what is there where `sql` is NULL because it can't be cast; undefined: everything can. */
  raw?: string;
};

/** What rows are read with: expressions over the input's columns. */
export type ColumnPlan = {
  /** VARCHAR: the entity in its canonical form; NULL where the row has none. */
  entity: string;
  /** In the model's order. */
  features: readonly PlannedFeature[];
  /** Whether there is a last column with what could not be cast; see `badValues`. */
  bad: boolean;
};

/** Expressions for entity_id, f0, f1 and so on, and bad. */
export function selectList({ entity, features, bad }: ColumnPlan): string {
  const list = [`${entity} AS entity_id`, ...features.map(({ sql }, index) => `${sql} AS f${index}`)];
  return [...list, ...(bad ? [`${badSql(features)} AS bad`] : [])].join(', ');
}

/** VARCHAR: `PLACE:LENGTH:TEXT` of every value that can't be cast, one after the other; NULL where all can. */
function badSql(features: readonly PlannedFeature[]): string {
  const parts = features.flatMap(({ sql, raw }, place) =>
    raw === undefined
      ? []
      : [
          `CASE WHEN (${sql}) IS NULL AND (${raw}) IS NOT NULL THEN '${place}:' || length(${raw}) || ':' || ${raw} ELSE '' END`,
        ],
  );
  return parts.length === 0 ? 'NULL::VARCHAR' : `NULLIF(concat(${parts.join(', ')}), '')`;
}

/** What `bad` says: texts by their features' places. */
export function badValues(bad: string): [place: number, text: string][] {
  const values: [number, string][] = [];
  // DuckDB counts code points.
  const characters = [...bad];
  for (let at = 0; at < characters.length; ) {
    const [head, place, length] = /^(\d+):(\d+):/.exec(characters.slice(at, at + 24).join('')) as unknown as string[];
    const start = at + (head as string).length;
    at = start + Number(length);
    values.push([Number(place), characters.slice(start, at).join('')]);
  }
  return values;
}

/** Columns that say whom a row is about, where nobody named one. */
const ENTITY_NAMES = ['entity_id', 'id'];

const SMALL_INTEGERS = ['TINYINT', 'SMALLINT', 'INTEGER', 'UTINYINT', 'USMALLINT', 'UINTEGER'];
const INTEGERS = [...SMALL_INTEGERS, 'BIGINT'];
const WIDE_INTEGERS = ['UBIGINT', 'HUGEINT', 'UHUGEINT'];
const TEXTS = ['VARCHAR', 'UUID'];

/** @throws SetupError for a model of which nobody can tell what its columns are */
export function featureLayout(model: string, layout: RowLayout): FeatureLayout {
  if (layout.kind === 'unknown') throw new SetupError(`${model}: ${layout.problem}`);
  if (layout.kind === 'open') throw new SetupError(`${model} takes rows of any length: a job can't tell its columns`);
  return layout;
}

/**
 * Plans the columns of an input for a model.
 * @param parse the input is text: its columns are VARCHAR, and their texts are read as what the features are
 * @param source what the columns are of, for messages
 * @throws SetupError with everything that is wrong with the columns, one a line
 */
export function planColumns(
  model: InputModel,
  columns: readonly InputColumn[],
  entityName: string | undefined,
  parse: boolean,
  source: string,
): ColumnPlan {
  const { layout } = model;
  const entity = entityColumn(columns, layout.features, entityName, source);
  const problems: string[] = [];
  const found = layout.named
    ? columnsByName(model, columns, problems)
    : columnsByPlace(model.name, layout.features, columns, entity, problems);
  const features: PlannedFeature[] = [];
  for (const [feature, column] of found) {
    const sql = parse ? parsed(feature, column) : cast(feature, column);
    if (sql === undefined) {
      const { name, type } = column;
      problems.push(`column ${name} is ${type}, and ${feature.name} is ${article(feature)}; a query can cast it`);
    } else {
      features.push(
        sql.includes('TRY_CAST') ? { feature, sql, raw: `${expressionOf(column)}::VARCHAR` } : { feature, sql },
      );
    }
  }
  if (problems.length > 0) throw new SetupError(problems.map((problem) => `${source}: ${problem}`).join('\n'));
  return { entity: canonical(entity, parse), features, bad: features.some(({ raw }) => raw !== undefined) };
}

function expressionOf({ name, sql }: InputColumn): string {
  return sql ?? sqlName(name);
}

/** @throws SetupError where no column is it */
export function entityColumn(
  columns: readonly InputColumn[],
  features: readonly Feature[],
  name: string | undefined,
  source: string,
): InputColumn {
  if (name !== undefined) {
    const column = columnOf(columns, name);
    if (column !== undefined) return column;
    throw new SetupError(`${source}: entity: there is no column ${name}; the columns are ${listOf(columns)}`);
  }
  for (const usual of ENTITY_NAMES) {
    const column = columnOf(columns, usual);
    if (column !== undefined) return column;
  }
  const others = columns.filter(
    (column) => column.name.toLowerCase().endsWith('_id') && !features.some((feature) => feature.name === column.name),
  );
  if (others.length === 1) return others[0] as InputColumn;
  const ending = others.length === 0 ? 'none' : 'not only one';
  throw new SetupError(
    `${source}: entity: say which column has the entity id: none is called ${ENTITY_NAMES.join(' or ')}, and ${ending} ends in _id; the columns are ${listOf(columns)}`,
  );
}

function columnsByName(
  { layout, elsewhere = () => false }: InputModel,
  columns: readonly InputColumn[],
  problems: string[],
): [Feature, InputColumn][] {
  return layout.features.flatMap((feature): [Feature, InputColumn][] => {
    const column = columnOf(columns, feature.name);
    if (column !== undefined) return [[feature, column]];
    if (feature.default === undefined && !elsewhere(feature)) {
      problems.push(`expected a column ${feature.name}, found none${nearest(feature.name, columns)}`);
    }
    return [];
  });
}

function columnsByPlace(
  model: string,
  features: readonly Feature[],
  columns: readonly InputColumn[],
  entity: InputColumn,
  problems: string[],
): [Feature, InputColumn][] {
  const others = columns.filter((column) => column !== entity);
  if (others.length !== features.length) {
    problems.push(
      `${model} has no feature names: expected ${features.length} columns beside ${entity.name}, in the model's order, found ${others.length}`,
    );
    return [];
  }
  return features.map((feature, index) => [feature, others[index] as InputColumn]);
}

/** By its very name, or else in any case, as SQL has it. */
function columnOf(columns: readonly InputColumn[], name: string): InputColumn | undefined {
  return (
    columns.find((column) => column.name === name) ??
    columns.find((column) => column.name.toLowerCase() === name.toLowerCase())
  );
}

/** A typed column as the feature takes it; undefined where no value of the one is a value of the other. */
function cast(feature: Feature, column: InputColumn): string | undefined {
  const value = expressionOf(column);
  const base = column.type.replace(/\(.*/, '');
  const whole = INTEGERS.includes(base);
  const real = base === 'FLOAT' || base === 'DOUBLE' ? value : base === 'DECIMAL' ? `${value}::DOUBLE` : undefined;
  switch (feature.type) {
    case 'number':
      return whole || WIDE_INTEGERS.includes(base) ? `${value}::DOUBLE` : real;
    case 'integer':
      if (WIDE_INTEGERS.includes(base)) return `TRY_CAST(${value} AS BIGINT)`;
      if (base === 'DECIMAL') return `CASE WHEN ${value} = floor(${value}) THEN TRY_CAST(${value} AS BIGINT) END`;
      return whole ? `${value}::BIGINT` : real;
    case 'text':
      return TEXTS.includes(base) || base === 'ENUM' ? `${value}::VARCHAR` : undefined;
    case 'flag':
      return base === 'BOOLEAN' ? value : whole ? `${value}::BIGINT` : real;
  }
}

/** A text as the feature takes it; NULL where it can't be read so. */
function parsed(feature: Feature, column: InputColumn): string {
  const value = expressionOf(column);
  switch (feature.type) {
    case 'number':
      return `TRY_CAST(${value} AS DOUBLE)`;
    case 'integer':
      // DuckDB rounds 5.5 to 6.
      return `CASE WHEN TRY_CAST(${value} AS DOUBLE) = TRY_CAST(${value} AS BIGINT) THEN TRY_CAST(${value} AS BIGINT) END`;
    case 'text':
      return value;
    case 'flag':
      return `TRY_CAST(${value} AS BOOLEAN)`;
  }
}

/** 42, 42.0 (as pandas writes integers that may be missing) and "42" are one entity. */
function canonical(column: InputColumn, parse: boolean): string {
  const value = expressionOf(column);
  if (parse) return `regexp_replace(${value}, '^(-?\\d+)\\.0+$', '\\1')`;
  if (!/^(FLOAT|DOUBLE|DECIMAL)/.test(column.type)) return `${value}::VARCHAR`;
  return `CASE WHEN ${value} = floor(${value}) AND abs(${value}) <= 9007199254740992 THEN ${value}::BIGINT::VARCHAR ELSE ${value}::VARCHAR END`;
}

function article({ type }: Feature): string {
  return type === 'integer' ? 'an integer' : type === 'text' ? 'text' : `a ${type}`;
}

function nearest(name: string, columns: readonly InputColumn[]): string {
  const [best] = columns.map((column) => column.name).sort((a, b) => distance(a, name) - distance(b, name));
  return best !== undefined && distance(best, name) <= name.length / 3 ? ` (there is ${best})` : '';
}

/** At most twenty names, for a message. */
function listOf(columns: readonly InputColumn[]): string {
  const names = columns.map(({ name }) => name);
  return names.length > 20 ? `${names.slice(0, 20).join(', ')}, ...` : names.join(', ');
}
