// When calls are meant to start in an open loop: drawn before the run from a fixed seed, so that nothing that the server
// does can move them, and that two servers can be given the same.

/** How calls arrive in an open loop. Equal settings and seeds give equal times. */
export type Arrivals =
  | { process: 'poisson'; ratePerSecond: number; seed: number }
  /**
   * Phases with Poisson arrivals take turns with silent ones; both last exponentially distributed times.
   * `ratePerSecond` is the mean over both.
   */
  | { process: 'bursts'; ratePerSecond: number; onMs: number; offMs: number; seed: number }
  | { process: 'even'; ratePerSecond: number };

/** More would be a mistake in the settings rather than a plan. */
export const MAX_ARRIVALS = 50_000_000;

/** Intended start times in microseconds from the start of the run, ascending, all below `seconds`. */
export function drawArrivals(arrivals: Arrivals, seconds: number): Float64Array {
  const { ratePerSecond } = arrivals;
  if (!(ratePerSecond > 0)) throw new RangeError(`ratePerSecond must be above 0, found ${ratePerSecond}`);
  if (ratePerSecond * seconds > MAX_ARRIVALS) {
    throw new RangeError(`${ratePerSecond}/s for ${seconds} s are more than ${MAX_ARRIVALS} calls`);
  }
  switch (arrivals.process) {
    case 'poisson':
      return drawPoisson(ratePerSecond, seconds, randomFrom(arrivals.seed));
    case 'bursts':
      return drawBursts(arrivals, seconds);
    case 'even':
      return Float64Array.from(
        { length: Math.floor(ratePerSecond * seconds) },
        (_, index) => (index * 1e6) / ratePerSecond,
      );
  }
}

function drawPoisson(ratePerSecond: number, seconds: number, random: () => number): Float64Array {
  const times = new GrowingTimes(ratePerSecond * seconds);
  const endUs = seconds * 1e6;
  for (let at = exponential(random, 1e6 / ratePerSecond); at < endUs; at += exponential(random, 1e6 / ratePerSecond)) {
    times.push(at);
  }
  return times.taken();
}

function drawBursts(bursts: Extract<Arrivals, { process: 'bursts' }>, seconds: number): Float64Array {
  const { ratePerSecond, onMs, offMs } = bursts;
  if (!(onMs > 0) || !(offMs >= 0))
    throw new RangeError(`onMs must be above 0 and offMs at least 0, found ${onMs}, ${offMs}`);
  const random = randomFrom(bursts.seed);
  const gapUs = (1e6 / ratePerSecond) * (onMs / (onMs + offMs));
  const times = new GrowingTimes(ratePerSecond * seconds);
  const endUs = seconds * 1e6;
  let phaseStart = 0;
  while (phaseStart < endUs) {
    const phaseEnd = phaseStart + exponential(random, onMs * 1000);
    for (
      let at = phaseStart + exponential(random, gapUs);
      at < phaseEnd && at < endUs;
      at += exponential(random, gapUs)
    ) {
      times.push(at);
    }
    phaseStart = phaseEnd + exponential(random, offMs * 1000);
  }
  return times.taken();
}

function exponential(random: () => number, mean: number): number {
  return -mean * Math.log(1 - random());
}

/** A small generator of even numbers in [0, 1) (sfc32), because Math.random takes no seed. */
export function randomFrom(seed: number): () => number {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 16; round++) next();
  return next;
}

class GrowingTimes {
  #times: Float64Array;
  #count = 0;

  constructor(expected: number) {
    this.#times = new Float64Array(Math.ceil(1.1 * expected) + 64);
  }

  push(time: number): void {
    if (this.#count === this.#times.length) {
      const larger = new Float64Array(2 * this.#times.length);
      larger.set(this.#times);
      this.#times = larger;
    }
    this.#times[this.#count++] = time;
  }

  taken(): Float64Array {
    return this.#times.slice(0, this.#count);
  }
}
