/** Microseconds on the process's monotonic clock; the fraction counts. */
export function nowUs(): number {
  return performance.now() * 1000;
}
