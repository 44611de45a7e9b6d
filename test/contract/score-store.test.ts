import { MemoryStore } from '../../src/scores/memory-store.ts';
import { scoreStoreContract } from './score-store.ts';

scoreStoreContract('the memory store', async () => {
  let nowMs = 1_800_000_000_000;
  const store = new MemoryStore({ maxEntries: 100_000, maxBytes: 100 * 1024 * 1024, now: () => nowMs });
  return {
    store,
    now: () => nowMs,
    pass: async (ms) => {
      nowMs += ms;
    },
    close: () => store.close(),
  };
});
