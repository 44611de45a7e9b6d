// Numbers as flags have them.

import { BenchError } from '../bench/bench-error.ts';
import { parseDuration } from '../bench/quantity.ts';

export function positive(text: string, flag: string): number {
  const value = /^\d+(\.\d+)?(us|ms|s)$/.test(text) ? parseDuration(text, flag) / 1e6 : Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new BenchError(`${flag}: expected a number above 0, found "${text}"`);
}

export function whole(text: string, flag: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text.trim()) && value >= least && Number.isSafeInteger(value)) return value;
  throw new BenchError(`${flag}: expected a whole number from ${least}, found "${text}"`);
}
