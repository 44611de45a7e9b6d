// Values that are texts where they are kept, as Redis keeps all of them.
import type { FeatureType } from '../models/model.ts';
import type { RowValue } from './row.ts';

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const INTEGER = /^[+-]?\d+(\.0*)?$/;

const WORDS: Readonly<Record<string, number>> = { nan: Number.NaN, inf: Infinity, infinity: Infinity };
const FLAGS: Readonly<Record<string, boolean>> = {
  true: true,
  t: true,
  yes: true,
  y: true,
  '1': true,
  false: false,
  f: false,
  no: false,
  n: false,
  '0': false,
};

/** Seconds since 1970 are smaller than this, milliseconds larger. */
const LEAST_MS = 1e11;

/** Undefined where the text is no value of the type. */
export function readText(type: FeatureType, text: string): RowValue | undefined {
  const bare = text.trim();
  switch (type) {
    case 'text':
      return text;
    case 'number':
      return readNumber(bare);
    case 'integer': {
      if (INTEGER.test(bare)) return BigInt(bare.replace(/^\+|\..*$/g, ''));
      const number = readNumber(bare);
      return number !== undefined && Number.isInteger(number) ? BigInt(number) : undefined;
    }
    case 'flag':
      return FLAGS[bare.toLowerCase()];
  }
}

function readNumber(text: string): number | undefined {
  if (NUMBER.test(text)) return Number(text);
  const [, sign, word = ''] = /^([+-]?)(\w+)$/.exec(text) ?? [];
  const value = WORDS[word.toLowerCase()];
  return value === undefined ? undefined : sign === '-' ? -value : value;
}

/** Milliseconds since 1970 of an ISO 8601 time (in UTC where it names no zone), or of seconds or milliseconds since then. */
export function readTime(text: string): number | undefined {
  const bare = text.trim();
  if (NUMBER.test(bare)) {
    const number = Number(bare);
    return Math.abs(number) < LEAST_MS ? number * 1000 : number;
  }
  if (!/^\d{4}-\d\d-\d\d/.test(bare)) return undefined;
  const iso = bare.replace(' ', 'T').replace(/(T.*[+-]\d\d)$/, '$1:00');
  const ms = Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/i.test(iso) || !iso.includes('T') ? iso : `${iso}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
