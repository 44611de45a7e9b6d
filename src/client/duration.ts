// google.protobuf.Duration, in milliseconds.
import type { Duration } from '../gen/google/protobuf/duration.ts';

/** Of a Timestamp too, from 1970 on. */
export function toMs({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

export function toDuration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
