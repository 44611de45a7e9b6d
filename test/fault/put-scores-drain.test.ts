// A server that shuts down while scores are put into it: what was sent whole is put and counted, and whoever is in the midst of
// it is told.
import { ChannelCredentials } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import {
  type PutScoresRequest,
  type PutScoresResponse,
  ScoreStoreServiceClient,
} from '../../src/gen/scorewire/v1/score_store.ts';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

/** So many take longer to be put than an idle connection is left open by a server that drains. */
const MANY = 150_000;

function messageOf(entries: number, prefix: string): PutScoresRequest {
  return {
    model: 'fast',
    digest: '',
    job: 'test',
    entries: Array.from({ length: entries }, (_, index) => ({
      entity: { $case: 'entityId' as const, value: `${prefix}${index}` },
      score: 0.5,
      outputs: new Map(),
    })),
  };
}

test('a put that is under way is answered, and one that waits for its caller is told to go', async () => {
  const server = await TestServer.start(await modelFolder({ fast: linear([1], 0) }));
  const store = new ScoreStoreServiceClient(server.address, ChannelCredentials.createInsecure());
  const entries = async () => {
    const { models } = await promised<{ models: { entries: bigint }[] }>((done) =>
      store.getScoreStoreStats({ model: 'fast' }, done),
    );
    return Number(models[0]?.entries);
  };
  const put = (message: PutScoresRequest, end: boolean) =>
    new Promise<PutScoresResponse>((resolve, reject) => {
      const call = store.putScores((error, response) => (error === null ? resolve(response) : reject(error)));
      call.on('error', () => {});
      call.write(message);
      if (end) call.end();
    });
  try {
    const open = failureOf(put(messageOf(1, 'open'), false));
    await eventually(async () => (await entries()) === 1);
    const whole = put(messageOf(MANY, 'whole'), true);
    await eventually(async () => (await entries()) > 1);
    const drained = server.running.drain();
    expect(await open).toMatchObject({ code: 'UNAVAILABLE', reason: 'DRAINING' });
    expect(await whole).toMatchObject({ received: BigInt(MANY), stored: BigInt(MANY) });
    store.close();
    expect(await drained).toBe(true);
  } finally {
    store.close();
    await server.stop();
  }
});
