// Looks at the folders of models now and then, and tells which changed. A change counts once two looks in turn see the same, so that
// what is still being written is left alone.
import type { Logger } from '../telemetry/log.ts';

export type WatchClock = {
  /** Calls back after so many milliseconds; returns what calls it off. */
  after(ms: number, callback: () => void): () => void;
};

export type WatchParts = {
  directory: string;
  /** Between two looks, milliseconds. */
  everyMs: number;
  /** The folders by name, each as a text that differs where the folder does. */
  look: (directory: string) => Promise<ReadonlyMap<string, string>>;
  log: Logger;
  clock?: WatchClock;
};

export type WatchEvents = {
  /** All folders that there are, at each look. */
  listed(names: readonly string[]): void;
  /** A folder is new, or another one than before. */
  changed(name: string): void;
  gone(name: string): void;
};

/** The second look at a change comes sooner, milliseconds. */
const SETTLE_MS = 1000;

const timers: WatchClock = {
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** `told` is the state that the events spoke of last, `seen` that of the last look; '' is none. */
type Folder = { told: string; seen: string };

export class RepositoryWatch {
  readonly #parts: WatchParts;
  readonly #clock: WatchClock;
  readonly #folders = new Map<string, Folder>();
  #events: WatchEvents | undefined;
  #problem: string | undefined;
  #callOff: () => void = () => {};
  #ended = false;

  /** What there is now needs no telling. @throws Error where the directory can't be read */
  static async of(parts: WatchParts): Promise<RepositoryWatch> {
    const watch = new RepositoryWatch(parts);
    for (const [name, state] of await parts.look(parts.directory))
      watch.#folders.set(name, { told: state, seen: state });
    return watch;
  }

  private constructor(parts: WatchParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? timers;
  }

  /** Tells of changes from now on, those since the first look among them. */
  start(events: WatchEvents): void {
    this.#events = events;
    this.#lookIn(this.#parts.everyMs);
  }

  end(): void {
    this.#ended = true;
    this.#callOff();
  }

  /** Why nothing is seen; undefined where all is well. */
  problem(): string | undefined {
    return this.#problem;
  }

  #lookIn(ms: number): void {
    if (this.#ended) return;
    this.#callOff = this.#clock.after(ms, () => {
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    const { directory, everyMs, look } = this.#parts;
    let settled = true;
    try {
      const states = await look(directory);
      if (this.#ended) return;
      if (states.size === 0 && this.#folders.size > 0) {
        this.#fail(`${directory} has no models any more; what is loaded is served on`);
      } else {
        this.#problem = undefined;
        settled = this.#compare(states);
      }
    } catch (error) {
      this.#fail(`${directory} can't be read: ${(error as Error).message}; what is loaded is served on`);
    }
    this.#lookIn(settled ? everyMs : Math.min(everyMs, SETTLE_MS));
  }

  /** Whether no folder has to be looked at once more. */
  #compare(states: ReadonlyMap<string, string>): boolean {
    this.#events?.listed([...states.keys()]);
    let settled = true;
    for (const name of new Set([...this.#folders.keys(), ...states.keys()])) {
      const state = states.get(name) ?? '';
      const folder = this.#folders.get(name) ?? { told: '', seen: '' };
      this.#folders.set(name, folder);
      const isSettled = state === folder.seen;
      folder.seen = state;
      if (state === folder.told) {
        if (state === '') this.#folders.delete(name);
      } else if (isSettled) {
        folder.told = state;
        if (state !== '') this.#events?.changed(name);
        else this.#tellGone(name);
      } else {
        settled = false;
      }
    }
    return settled;
  }

  #tellGone(name: string): void {
    this.#folders.delete(name);
    this.#events?.gone(name);
  }

  #fail(problem: string): void {
    if (problem !== this.#problem) this.#parts.log.error(problem);
    this.#problem = problem;
  }
}
