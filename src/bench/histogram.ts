// Latencies as an HDR histogram: three significant digits from a nanosecond to two minutes, mergeable over processes.

import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';

const HIGHEST_NS = 120e9;
const HISTOGRAM_OPTIONS = {
  bitBucketSize: 32,
  lowestDiscernibleValue: 1,
  highestTrackableValue: HIGHEST_NS,
  numberOfSignificantValueDigits: 3,
  useWebAssembly: false,
} as const;

/** What a histogram holds, in numbers that a report shows. Of an empty one, all are 0. */
export interface LatencySummary {
  count: number;
  minUs: number;
  meanUs: number;
  p50Us: number;
  p90Us: number;
  p99Us: number;
  p999Us: number;
  maxUs: number;
}

/** Latencies, given and read in microseconds. */
export class LatencyHistogram {
  readonly #histogram: Histogram = build(HISTOGRAM_OPTIONS);

  /** The inverse of `encoded`. */
  static decode(text: string): LatencyHistogram {
    const histogram = new LatencyHistogram();
    histogram.#histogram.add(decodeFromCompressedBase64(text, 32, false));
    return histogram;
  }

  /** Counts one latency; below 0 counts as 0, above two minutes as two minutes. */
  record(latencyUs: number): void {
    const ns = Math.round(latencyUs * 1000);
    this.#histogram.recordValue(ns < 0 ? 0 : ns > HIGHEST_NS ? HIGHEST_NS : ns);
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  /** @param percent from 0 to 100 */
  percentileUs(percent: number): number {
    return this.count === 0 ? 0 : this.#histogram.getValueAtPercentile(percent) / 1000;
  }

  merge(other: LatencyHistogram): void {
    this.#histogram.add(other.#histogram);
  }

  summary(): LatencySummary {
    const empty = this.count === 0;
    return {
      count: this.count,
      minUs: this.percentileUs(0),
      meanUs: empty ? 0 : this.#histogram.mean / 1000,
      p50Us: this.percentileUs(50),
      p90Us: this.percentileUs(90),
      p99Us: this.percentileUs(99),
      p999Us: this.percentileUs(99.9),
      maxUs: empty ? 0 : this.#histogram.maxValue / 1000,
    };
  }

  /** The standard compressed form (HdrHistogram V2, base64), values in nanoseconds. */
  encoded(): string {
    return encodeIntoCompressedBase64(this.#histogram);
  }
}
