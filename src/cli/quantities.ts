// Times, ages and shares as people type and read them.
import { SetupError } from '../errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `12h`, `90s`, `0.5d` in milliseconds. @throws SetupError that names `flag` */
export function ageOf(text: string, flag: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)$/.exec(text.trim()) ?? [];
  if (unit !== undefined) return Number(number) * (UNIT_MS[unit] as number);
  throw new SetupError(`${flag}: expected an age such as 90s, 15min, 12h or 2d, found "${text}"`);
}

/** `0.95` or `95%`. @throws SetupError that names `flag` */
export function shareOf(text: string, flag: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text.trim()) ?? [];
  const share = Number(number) / (percent === '%' ? 100 : 1);
  if (share >= 0 && share <= 1) return share;
  throw new SetupError(`${flag}: expected a share from 0 to 1, such as 0.95 or 95%, found "${text}"`);
}

/** An ISO 8601 time with its zone, or seconds since 1970, in milliseconds. @throws SetupError that names `flag` */
export function timeOf(text: string, flag: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1000);
  // Without a zone a time would mean another one on each machine.
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(trimmed)
    ? Date.parse(trimmed)
    : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new SetupError(`${flag}: expected a time such as 2026-03-01T06:00:00Z, or seconds since 1970, found "${text}"`);
}

/** `950 B`, `1.5 MiB`: two digits at least, three at most. */
export function bytesShown(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power - 1]}`;
}

/** `60` as `1m`, `21600` as `6h`: the largest unit that it is a whole number of. */
export function secondsShown(seconds: number): string {
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
  ] as const) {
    if (seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

/** Rounded down, so that less than all never reads as all. */
export function percentShown(share: number): string {
  const tenths = Math.floor(share * 1000 + 1e-9) / 10;
  return `${tenths.toFixed(1)} %`;
}
