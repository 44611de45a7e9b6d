// What a setting's value may be: a zod type, and the same said for people, for the message of a wrong value.

import { z } from 'zod';

export type Kind<T> = {
  readonly type: z.ZodType<T>;
  /** Ends the sentence "allowed is ...". */
  readonly allowed: string;
};

export function wholeNumber(min: number, max: number): Kind<number> {
  return { type: z.int().min(min).max(max), allowed: `a whole number from ${min} to ${max}` };
}

/** A number that need not be whole, between `min` and `max`, both allowed. */
export function decimal(min: number, max: number): Kind<number> {
  return { type: z.number().min(min).max(max), allowed: `a number from ${min} to ${max}` };
}

export function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  return { type: z.enum(words), allowed: words.join(', ') };
}

/** A word beside another kind, such as `auto` beside a number. */
export function wordOr<const W extends string, T>(word: W, kind: Kind<T>): Kind<W | T> {
  return { type: z.union([z.literal(word), kind.type]), allowed: `${word} or ${kind.allowed}` };
}

export function path(): Kind<string> {
  return { type: z.string().regex(/\S/), allowed: 'a path' };
}

export function host(): Kind<string> {
  return { type: z.string().regex(/^[^\s/@]+$/), allowed: 'a host name or an IP address' };
}

export function httpUrl(): Kind<string> {
  return { type: z.url({ protocol: /^https?$/ }), allowed: 'a URL that starts with http:// or https://' };
}

export function redisUrl(): Kind<string> {
  return { type: z.url({ protocol: /^rediss?$/ }), allowed: 'a URL that starts with redis:// or rediss://' };
}

export function oneWord(): Kind<string> {
  return { type: z.string().regex(/^[\w.-]+$/), allowed: 'letters, digits, . _ and -' };
}

/** Names with commas between them, or a word that stands for some. */
export function words(): Kind<string> {
  return { type: z.string().regex(/^\s*[\w.-]+(\s*,\s*[\w.-]+)*\s*$/), allowed: 'words with commas between them' };
}
