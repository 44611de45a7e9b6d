import { MemoryStore } from '../../src/scores/memory-store.ts';
import { RedisStore } from '../../src/scores/redis-store.ts';
import { TieredStore } from '../../src/scores/tiered-store.ts';
import { connectedLink } from '../support/redis-link.ts';
import { describeWithRedis, RedisServer } from '../support/redis-server.ts';
import { scoreStoreContract } from './score-store.ts';

describeWithRedis('with a Redis', () => {
  scoreStoreContract(
    'the tiered store',
    async () => {
      const server = await RedisServer.start();
      const link = await connectedLink(server.url);
      const memory = new MemoryStore({ maxEntries: 100_000, maxBytes: 100 * 1024 * 1024, trustForMs: 10_000 });
      const store = new TieredStore({ memory, redis: new RedisStore(link, { statsForMs: 0 }), link });
      return {
        store,
        now: Date.now,
        pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 5)),
        close: async () => {
          await store.close();
          await server.stop();
        },
      };
    },
    { histories: 50 },
  );
});
