// The store that the settings ask for.
import type { Settings } from '../config/settings.ts';
import { MemoryStore } from './memory-store.ts';
import type { ScoreStore } from './score-store.ts';

/** Undefined: scores are not kept. */
export function openScoreStore({ store }: Settings): ScoreStore | undefined {
  const { kind, maxEntries, maxBytes } = store;
  if (kind === 'off') return undefined;
  return new MemoryStore({ maxEntries, maxBytes });
}
