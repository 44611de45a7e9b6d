// Records that can't be read: counted each time somebody asks for one, logged once a minute.
import type { Logger } from '../telemetry/log.ts';

const LOG_EVERY_MS = 60_000;

export class BadRecordLog {
  readonly #store: string;
  readonly #log: Logger | undefined;
  readonly #nowMs: () => number;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  /** @param nowMs monotonic milliseconds */
  constructor(store: string, log: Logger | undefined, nowMs: () => number = () => performance.now()) {
    this.#store = store;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Somebody asked for a record that can't be read. */
  met(entity: string, problem: string): void {
    this.#unlogged++;
    const now = this.#nowMs();
    if (now - this.#loggedMs < LOG_EVERY_MS) return;
    this.#log?.warn(
      { store: this.#store, records: this.#unlogged, entity, problem },
      'records of a feature store can not be read, and count as absent',
    );
    this.#loggedMs = now;
    this.#unlogged = 0;
  }
}
