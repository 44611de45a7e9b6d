import { RedisStore } from '../../src/scores/redis-store.ts';
import { connectedLink } from '../support/redis-link.ts';
import { describeWithRedis, RedisServer } from '../support/redis-server.ts';
import { scoreStoreContract } from './score-store.ts';

describeWithRedis('with a Redis', () => {
  scoreStoreContract(
    'the Redis store',
    async () => {
      const server = await RedisServer.start();
      const store = new RedisStore(await connectedLink(server.url), { statsForMs: 0 });
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
