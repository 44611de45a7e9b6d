// Quantities as people type them: 10ms, 0.1%, p99=10ms.

import { BenchError } from './bench-error.ts';

const UNIT_US: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6 };

/** `10ms`, `500us`, `1.5s` in microseconds. @throws BenchError that names `flag` */
export function parseDuration(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(us|ms|s)$/.exec(text.trim());
  if (match === null) throw new BenchError(`${flag}: expected a time such as 10ms, 500us or 1.5s, found "${text}"`);
  return Number(match[1]) * (UNIT_US[match[2] as string] as number);
}

/** `0.1%` or `0.001` as a share. @throws BenchError that names `flag` */
export function parseShare(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim());
  if (match === null) throw new BenchError(`${flag}: expected a share such as 10% or 0.1, found "${text}"`);
  return Number(match[1]) / (match[2] === '%' ? 100 : 1);
}

/** What a run must keep to: percentiles of the answers' latency, and the share of calls not answered OK. */
export interface Slo {
  /** Microseconds by percentile. */
  latencyUs: { percentile: number; limitUs: number }[];
  errorShare: number | undefined;
}

/** `p99=10ms,p99.9=50ms,errors=0.1%`. @throws BenchError that names `flag` */
export function parseSlo(text: string, flag: string): Slo {
  const slo: Slo = { latencyUs: [], errorShare: undefined };
  for (const part of text.split(',')) {
    const [key = '', value = ''] = part.split('=').map((side) => side.trim());
    const percentile = /^p(\d{1,2}(?:\.\d+)?|100)$/.exec(key)?.[1];
    if (key === 'errors') slo.errorShare = parseShare(value, `${flag}, errors`);
    else if (percentile !== undefined) {
      slo.latencyUs.push({ percentile: Number(percentile), limitUs: parseDuration(value, `${flag}, ${key}`) });
    } else {
      throw new BenchError(`${flag}: expected p99=10ms or errors=0.1%, separated by commas, found "${part}"`);
    }
  }
  return slo;
}

/** Microseconds for people: three digits and a unit. */
export function formatUs(us: number): string {
  const [value, unit] = us >= 1e6 ? [us / 1e6, 's'] : us >= 1e3 ? [us / 1e3, 'ms'] : [us, 'us'];
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
}

export function formatShare(share: number): string {
  const percent = 100 * share;
  return `${percent === 0 ? 0 : percent < 0.1 ? percent.toPrecision(1) : percent.toFixed(1)} %`;
}
