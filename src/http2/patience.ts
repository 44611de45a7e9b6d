// What a connection may do that costs the server work and brings nobody anything: settings, pings, resets, empty frames. Each
// takes one from a budget that useful requests and time fill up again, so that a flood of them ends the connection
// (CVE-2019-9512 and its kin, CVE-2023-44487).
import { ConnectionError, ErrorCode } from './error-codes.ts';

/** What a connection may do at once. */
const MOST = 10_000;
const PER_SECOND = 1_000;
/** What a request that was answered makes good. */
const PER_ANSWER = 10;

export class Patience {
  readonly #nowMs: () => number;
  #left = MOST;
  #countedMs: number;

  constructor(nowMs = (): number => performance.now()) {
    this.#nowMs = nowMs;
    this.#countedMs = nowMs();
  }

  /** Takes one. @throws ConnectionError when there is none left */
  take(): void {
    if (--this.#left >= 0) return;
    const now = this.#nowMs();
    this.#left = Math.min(MOST, Math.floor(((now - this.#countedMs) * PER_SECOND) / 1000)) - 1;
    this.#countedMs = now;
    if (this.#left < 0) throw new ConnectionError(ErrorCode.enhanceYourCalm, 'too many frames that are of no use');
  }

  answered(): void {
    this.#left = Math.min(MOST, this.#left + PER_ANSWER);
  }
}
