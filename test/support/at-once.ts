// Sliced work, done without a break.
import type { Sliced } from '../../src/grpc/slices.ts';

export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
