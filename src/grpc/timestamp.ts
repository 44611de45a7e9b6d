/** A google.protobuf.Timestamp of milliseconds since 1970, which need not be whole: callers may say it to the nanosecond. */
export function toTimestamp(ms: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.floor((ms - seconds * 1000) * 1e6) };
}

/** Milliseconds since 1970; NaN for what is no Timestamp. */
export function timestampMs({ seconds, nanos }: { seconds: bigint; nanos: number }): number {
  if (nanos < 0 || nanos > 999_999_999) return Number.NaN;
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** Milliseconds by which a clock elsewhere may be ahead of ours. */
export const MAX_AHEAD_MS = 60_000;
