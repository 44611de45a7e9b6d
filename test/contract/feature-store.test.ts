import { Redis } from 'ioredis';
import { EmbeddedStore } from '../../src/features/embedded-store.ts';
import { RedisFeatureStore } from '../../src/features/redis-feature-store.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { describeWithRedis, RedisServer } from '../support/redis-server.ts';
import { writeRows } from '../support/write-table.ts';
import { featureStoreContract, type OpenStore } from './feature-store.ts';

function inFiles(name: string): OpenStore {
  return async ({ records, wanted, asOf, observer }) => {
    // All columns are in each row, so that any format has them.
    const columns = new Set(Object.values(records).flatMap((record) => Object.keys(record)));
    const rows = Object.entries(records).map(([entity, record]) => ({
      entity_id: entity,
      ...Object.fromEntries([...columns].map((column) => [column, record[column] ?? null])),
    }));
    const file = await writeRows(rows, name);
    return EmbeddedStore.open({
      name: 'customers',
      definition: { kind: 'files', files: [file], entity: undefined, asOf, columns: new Map() },
      wanted,
      reloadMs: 1000,
      observer,
    });
  };
}

featureStoreContract('features in a CSV file', inFiles('records.csv'));
featureStoreContract('features in a file of JSON lines', inFiles('records.jsonl'));

describeWithRedis('Redis', () => {
  let server: Promise<RedisServer> | undefined;
  let stores = 0;
  featureStoreContract('features in Redis', async ({ records, wanted, asOf, observer }) => {
    server ??= RedisServer.start();
    const { url } = await server;
    const prefix = `store${stores++}:`;
    const client = new Redis(url);
    const pipeline = client.pipeline();
    for (const [entity, record] of Object.entries(records)) pipeline.hset(`${prefix}${entity}:features`, record);
    await pipeline.exec();
    client.disconnect();
    const link = new RedisLink({ url, prefix: '', reason: 'FEATURES_UNAVAILABLE' });
    await link.whenConnected(5000);
    const store = new RedisFeatureStore({
      name: 'customers',
      definition: { kind: 'redis', key: `${prefix}{entity}:features`, asOf, fields: new Map() },
      wanted,
      link,
      observer,
    });
    const close = store.close.bind(store);
    store.close = async () => {
      link.close();
      await close();
    };
    return store;
  });
});
