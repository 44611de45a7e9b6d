// The highest rate that keeps a bound: by doubling until it breaks, then by bisection.

/** What one measurement at a rate says. */
export interface Trial {
  ratePerSecond: number;
  kept: boolean;
  p99Us: number;
  errorShare: number;
  /** The generator was the limit: the trial says nothing about the server. */
  limited: boolean;
}

export interface FindMaxOptions {
  /** The first rate that is tried, calls a second. */
  startPerSecond: number;
  /** No rate above it is tried. */
  ceilingPerSecond: number;
  /** A rate holds if most of so many trials keep the bound; odd. */
  repetitions: number;
  /** The search ends when the lowest rate that broke is so little above the highest that held: 0.03 is 3 %. */
  precision: number;
}

export interface FoundMax {
  /** The highest rate that held; 0 where even the first did not, down to a hundredth of it. */
  ratePerSecond: number;
  /** The lowest that broke; undefined where the ceiling held. */
  brokenPerSecond: number | undefined;
  /** Why the figure is a lower bound only; undefined where it is not. */
  stoppedBy: 'ceiling' | 'client' | undefined;
  /** All of them, in their order. */
  trials: Trial[];
}

const GROWTH = 2;
const GIVE_UP_BELOW = 0.01;

/**
 * Bisects on the logarithm of the rate. `measure` runs one trial; it is called again for the same rate until most of
 * `repetitions` agree. Trials in which the generator was the limit end the search upwards.
 */
export async function findMax(
  measure: (ratePerSecond: number) => Promise<Trial>,
  options: FindMaxOptions,
): Promise<FoundMax> {
  const { startPerSecond, ceilingPerSecond, repetitions, precision } = options;
  const trials: Trial[] = [];
  let stoppedBy: FoundMax['stoppedBy'];

  const holds = async (rate: number): Promise<boolean> => {
    const needed = Math.floor(repetitions / 2) + 1;
    let kept = 0;
    let broken = 0;
    while (kept < needed && broken < needed) {
      const trial = await measure(rate);
      trials.push(trial);
      if (trial.limited && !trial.kept) stoppedBy = 'client';
      if (trial.kept) kept++;
      else broken++;
    }
    return kept >= needed;
  };

  let low = 0;
  let high: number | undefined;
  let rate = Math.min(startPerSecond, ceilingPerSecond);
  while (high === undefined || low === 0) {
    if (await holds(rate)) {
      low = rate;
      if (high !== undefined) break;
      if (rate >= ceilingPerSecond) {
        return { ratePerSecond: low, brokenPerSecond: undefined, stoppedBy: 'ceiling', trials };
      }
      rate = Math.min(rate * GROWTH, ceilingPerSecond);
    } else {
      high = rate;
      if (low > 0) break;
      rate /= GROWTH;
      if (rate < startPerSecond * GIVE_UP_BELOW) return { ratePerSecond: 0, brokenPerSecond: high, stoppedBy, trials };
    }
  }
  while (high / low - 1 > precision) {
    const middle = Math.sqrt(low * high);
    if (middle <= low || middle >= high) break;
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return { ratePerSecond: low, brokenPerSecond: high, stoppedBy, trials };
}
