// google.protobuf.Duration, in milliseconds.
import type { Duration } from '../gen/google/protobuf/duration.ts';

/** Ten thousand years: what a Duration may have, either way. */
const MAX_SECONDS = 315_576_000_000n;
const MAX_NANOS = 999_999_999;

/** NaN for what is none: out of its range, or with signs that differ. */
export function durationMs({ seconds, nanos }: Duration): number {
  if (seconds > MAX_SECONDS || seconds < -MAX_SECONDS || Math.abs(nanos) > MAX_NANOS) return Number.NaN;
  if ((seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0)) return Number.NaN;
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** Of whole milliseconds from 0 on; what is less is left out. */
export function toDuration(ms: number): Duration {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.floor(ms % 1000) * 1e6 };
}
