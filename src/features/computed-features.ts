// Features that follow from the time of a request.
import type { ComputedFeature, Feature } from '../models/model.ts';
import type { RowValue } from './row.ts';

/** No zone's clock has been set forward or back within such a span since 1972. */
const SPAN_MS = 900_000;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1 January 1970, where Monday is 0. */
const FIRST_DAY = 3;
const SATURDAY = 5;

/** Hours and days in a time zone. */
export class ZoneTime {
  readonly #format: Intl.DateTimeFormat;
  #span = Number.NaN;
  #offsetMs = 0;

  /** @param zone an IANA name */
  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  value(feature: Feature, nowMs: number): RowValue {
    const localMs = nowMs + this.#offset(nowMs);
    const hour = Math.floor(mod(localMs, DAY_MS) / HOUR_MS);
    const day = mod(Math.floor(localMs / DAY_MS) + FIRST_DAY, 7);
    switch (feature.name as ComputedFeature) {
      case 'hour_of_day':
        return hour;
      case 'day_of_week':
        return day;
      case 'is_weekend':
        if (feature.type === 'flag') return day >= SATURDAY;
        return day >= SATURDAY ? 1 : 0;
    }
  }

  /** Milliseconds that the zone's clock is ahead of UTC. To ask `Intl` takes microseconds, so the answer is kept. */
  #offset(nowMs: number): number {
    const span = Math.floor(nowMs / SPAN_MS);
    if (span === this.#span) return this.#offsetMs;
    const atMs = span * SPAN_MS;
    const parts: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(atMs)) parts[type] = Number(value);
    const { year, month, day, hour, minute, second } = parts as Record<'year' | 'month' | 'day' | 'hour', number> &
      Record<'minute' | 'second', number>;
    this.#offsetMs = Date.UTC(year, month - 1, day, hour, minute, second) - atMs;
    this.#span = span;
    return this.#offsetMs;
  }
}

function mod(number: number, by: number): number {
  return ((number % by) + by) % by;
}
