// A model config in Triton's words, from protobuf's text format or from JSON, held against the table of its fields.

import { closest } from 'fastest-levenshtein';
import { SetupError } from '../errors.ts';
import { parseTextFormat, TextFormatError, type TextMessage, type TextValue } from './text-format.ts';
import { type Field, type Fields, type FieldType, TRITON_FIELDS, type TritonContent } from './triton-fields.ts';
import { foundAndAllowed, keyPath } from './wording.ts';

type Path = readonly (string | number)[];

export type TritonDocument = {
  /** For messages. */
  file: string;
  content: TritonContent;
  /** What of it is ignored, one line each. */
  warnings: readonly string[];
  /** File and line of a field, or of the nearest one around it. */
  place: (path: Path) => string;
  /** An error in one line: file and line, field, what was found there (the value, unless given) and what is allowed. */
  mistake: (path: Path, allowed: string, found?: string) => SetupError;
};

/**
 * Reads config.pbtxt. Throws SetupError with a line for each mistake in it.
 * @param first looks at what could be read before mistakes are told, and may throw what comes before them
 */
export function tritonFromText(text: string, file: string, first: (document: TritonDocument) => void): TritonDocument {
  let root: TextMessage;
  try {
    root = parseTextFormat(text);
  } catch (error) {
    if (!(error instanceof TextFormatError)) throw error;
    throw new SetupError(`${file}:${error.line}:${error.column}: not protobuf text format: ${error.message}`, error);
  }
  return new Reading(file, false).document(root, first);
}

/** As `tritonFromText`, of proto3 JSON. */
export function tritonFromJson(text: string, file: string, first: (document: TritonDocument) => void): TritonDocument {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new SetupError(`${file}: not JSON: ${(error as Error).message}`, error);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new SetupError(`${file}: found ${JSON.stringify(content).slice(0, 40)}; allowed is an object`);
  }
  return new Reading(file, true).document(messageOf(content), first);
}

/** JSON in the form of the text format; its places are all 0. */
function messageOf(content: object, depth = 0): TextMessage {
  const fields = new Map<string, TextValue[]>();
  // No config is as deep; what is only has to be refused.
  for (const [name, value] of depth > MOST_DEPTH ? [] : Object.entries(content)) {
    const values = (Array.isArray(value) ? value : [value]).filter((one) => one !== null);
    fields.set(
      name,
      values.map((one) => valueFrom(one, depth)),
    );
  }
  return { kind: 'message', line: 0, column: 0, fields };
}

function valueFrom(value: unknown, depth: number): TextValue {
  const place = { line: 0, column: 0 };
  if (typeof value === 'string') return { ...place, kind: 'text', value };
  if (typeof value === 'boolean') return { ...place, kind: 'word', value: String(value) };
  if (typeof value === 'number') {
    return Number.isSafeInteger(value)
      ? { ...place, kind: 'integer', value: BigInt(value) }
      : { ...place, kind: 'float', value };
  }
  return messageOf(value as object, depth + 1);
}

/** Objects inside each other that are looked at. */
const MOST_DEPTH = 20;

const RANGES: Readonly<Record<'int32' | 'int64' | 'uint32' | 'uint64', readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint32: [0, 2 ** 32 - 1],
  uint64: [0, Number.MAX_SAFE_INTEGER],
};

class Reading {
  readonly #file: string;
  readonly #json: boolean;
  readonly #lines = new Map<string, number>();
  readonly #mistakes: { line: number; message: string }[] = [];
  readonly #warnings: string[] = [];

  constructor(file: string, json: boolean) {
    this.#file = file;
    this.#json = json;
  }

  document(root: TextMessage, first: (document: TritonDocument) => void): TritonDocument {
    const content = this.#message(root, TRITON_FIELDS, [], true) as TritonContent;
    const place = (path: Path) => this.#place(path);
    const document: TritonDocument = {
      file: this.#file,
      content,
      warnings: this.#warnings,
      place,
      mistake: (path, allowed, found) =>
        new SetupError(`${place(path)}: ${foundAndAllowed(content, path, allowed, found)}`),
    };
    first(document);
    if (this.#mistakes.length === 0) return document;
    const lines = this.#mistakes.sort((a, b) => a.line - b.line).map(({ message }) => message);
    throw new SetupError(lines.join('\n'));
  }

  /** @param judged whether fields in it have fates of their own */
  #message(message: TextMessage, fields: Fields, path: Path, judged: boolean): Record<string, unknown> {
    const content: Record<string, unknown> = {};
    for (const [name, values] of this.#named(message, fields, path)) {
      const field = fields[name] as Field;
      const at = [...path, name];
      const [first] = values;
      if (first === undefined) continue;
      this.#lines.set(keyPath(at), first.line);
      const value = this.#field(field, values, at, judged);
      if (value === undefined) continue;
      if (field.type !== 'anything') content[name] = value;
      if (judged) this.#judge(field, value, at);
    }
    return content;
  }

  /** Values by the field's own name: JSON may write it in camel case. */
  #named(message: TextMessage, fields: Fields, path: Path): Map<string, TextValue[]> {
    const known = Object.keys(fields);
    const found = new Map<string, TextValue[]>();
    for (const [written, values] of message.fields) {
      const name = known.find((one) => one === written || (this.#json && camelCase(one) === written));
      if (name !== undefined) {
        found.set(name, [...(found.get(name) ?? []), ...values]);
        continue;
      }
      const nearest = known.length === 0 ? '' : `; did you mean ${closest(written.slice(0, 100), known)}?`;
      const at = [...path, written.slice(0, 100)];
      this.#mistake(values[0]?.line ?? message.line, at, `no such field${nearest}`);
    }
    return found;
  }

  #field(field: Field, values: readonly TextValue[], path: Path, judged: boolean): unknown {
    const inside = judged && (field.fate === 'honoured' || field.fate === undefined);
    if (field.many === 'list') {
      return values.map((value, index) => {
        this.#lines.set(keyPath([...path, index]), value.line);
        return this.#value(field.type, value, [...path, index], inside);
      });
    }
    if (field.many === 'map') return this.#map(field, values, path, inside);
    if (values.length === 1) return this.#value(field.type, values[0] as TextValue, path, inside);
    this.#mistake((values[1] as TextValue).line, path, `found ${values.length} values; allowed is one`);
    return undefined;
  }

  /** Entries have a key and a value each; in JSON they are the fields of an object. */
  #map(field: Field, values: readonly TextValue[], path: Path, judged: boolean): Record<string, unknown> | undefined {
    const map: [string, unknown][] = [];
    for (const entry of values) {
      if (entry.kind !== 'message') {
        this.#refuse(entry, path, this.#json ? 'an object' : '{ key: ... value: ... }');
        return undefined;
      }
      if (this.#json) {
        for (const [key, [value]] of entry.fields) {
          if (value !== undefined) map.push([key, this.#value(field.type, value, [...path, key], judged)]);
        }
        continue;
      }
      const parts = this.#named(entry, ENTRY, path);
      const [[key], [value]] = [parts.get('key') ?? [], parts.get('value') ?? []];
      if (key === undefined || key.kind === 'message' || value === undefined) {
        this.#refuse(entry, path, '{ key: ... value: ... }');
        return undefined;
      }
      const at = [...path, String(key.value)];
      this.#lines.set(keyPath(at), entry.line);
      map.push([String(key.value), this.#value(field.type, value, at, judged)]);
    }
    return Object.fromEntries(map);
  }

  #value(type: FieldType, value: TextValue, path: Path, judged: boolean): unknown {
    if (type === 'anything') return value;
    if (typeof type === 'object' && 'fields' in type) {
      if (value.kind === 'message') return this.#message(value, type.fields, path, judged);
      return this.#refuse(
        value,
        path,
        `${this.#json ? 'an object' : '{ ... }'} with ${Object.keys(type.fields).join(', ')}`,
      );
    }
    if (typeof type === 'object') return this.#enum(type.names, value, path);
    switch (type) {
      case 'text':
        return value.kind === 'text' ? value.value : this.#refuse(value, path, 'text in quotes');
      case 'truth':
        return this.#truth(value) ?? this.#refuse(value, path, 'true or false');
      case 'float':
        return this.#float(value) ?? this.#refuse(value, path, 'a number');
      default: {
        const whole = this.#whole(value);
        const [least, most] = RANGES[type];
        if (whole !== undefined && whole >= least && whole <= most) return Number(whole);
        return this.#refuse(value, path, `a whole number from ${least} to ${most}`);
      }
    }
  }

  #enum(names: readonly string[], value: TextValue, path: Path): string | undefined {
    const name = value.kind === 'integer' ? names[Number(value.value)] : this.#isWord(value) ? value.value : '';
    if (name !== undefined && names.includes(name)) return name;
    return this.#refuse(value, path, `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`);
  }

  #isWord(value: TextValue): value is Extract<TextValue, { kind: 'word' | 'text' }> {
    return value.kind === (this.#json ? 'text' : 'word');
  }

  #truth(value: TextValue): boolean | undefined {
    if (value.kind === 'word') {
      if (['true', 't', 'True'].includes(value.value)) return true;
      if (['false', 'f', 'False'].includes(value.value)) return false;
    }
    if (value.kind === 'integer' && !this.#json && (value.value === 0n || value.value === 1n))
      return value.value === 1n;
    return undefined;
  }

  #whole(value: TextValue): bigint | undefined {
    if (value.kind === 'integer') return value.value;
    if (this.#json && value.kind === 'text' && /^-?\d{1,20}$/.test(value.value)) return BigInt(value.value);
    return undefined;
  }

  #float(value: TextValue): number | undefined {
    if (value.kind === 'integer' || value.kind === 'float') return Number(value.value);
    if (!this.#isWord(value)) return undefined;
    const [, sign, size] = /^(-?)(inf|infinity|nan)$/i.exec(value.value) ?? [];
    if (size !== undefined) return size.toLowerCase() === 'nan' ? Number.NaN : Number(`${sign}Infinity`);
    return this.#json && value.value.trim() !== '' && !Number.isNaN(Number(value.value))
      ? Number(value.value)
      : undefined;
  }

  /** Says so where the field asks for what isn't done here. */
  #judge({ type, fate, note, quiet = [] }: Field, value: unknown, path: Path): void {
    if (fate !== 'refused' && fate !== 'ignored') return;
    if (type !== 'anything' && (asksNothing(type, value) || quiet.includes(value))) return;
    const line = this.#lines.get(keyPath(path)) ?? 0;
    if (fate === 'refused') this.#mistake(line, path, note ?? '');
    else this.#warnings.push(`${this.#place(path)}: ${keyPath(path)} is ignored: ${note}`);
  }

  #refuse(value: TextValue, path: Path, allowed: string): undefined {
    const found =
      value.kind === 'message' ? 'a message' : value.kind === 'text' ? JSON.stringify(value.value) : value.value;
    this.#mistake(value.line, path, `found ${String(found).slice(0, 80)}; allowed is ${allowed}`);
  }

  #mistake(line: number, path: Path, problem: string): void {
    const place = line > 0 ? `${this.#file}:${line}` : this.#file;
    this.#mistakes.push({ line, message: `${place}: ${keyPath(path)}: ${problem}` });
  }

  #place(path: Path): string {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(keyPath(path.slice(0, length)));
      if (line !== undefined) return line > 0 ? `${this.#file}:${line}` : this.#file;
    }
    return this.#file;
  }
}

const ENTRY: Fields = { key: { type: 'anything' }, value: { type: 'anything' } };

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether a value is what its field has by itself, where nobody sets it. */
function asksNothing(type: FieldType, value: unknown): boolean {
  if (Array.isArray(value))
    return value.every((one) => asksNothing(type, one)) && (typeof type === 'object' || value.length === 0);
  if (typeof type === 'object' && 'names' in type) return value === type.names[0];
  if (typeof value === 'object' && value !== null) {
    const fields: Fields = typeof type === 'object' && 'fields' in type ? type.fields : {};
    return Object.entries(value).every(([name, one]) => {
      const field = fields[name];
      return field !== undefined && asksNothing(field.type, one);
    });
  }
  return value === 0 || value === '' || value === false;
}
