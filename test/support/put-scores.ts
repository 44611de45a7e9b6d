// Scores put into a server by its own service, as a job elsewhere would.
import { ChannelCredentials, type ServiceError } from '@grpc/grpc-js';
import { type PutScoresResponse, ScoreStoreServiceClient } from '../../src/gen/scorewire/v1/score_store.ts';
import { toTimestamp } from '../../src/grpc/timestamp.ts';

/**
 * @param scores by entity
 * @param scoredAtMs milliseconds since 1970; absent: now
 */
export async function putScores(
  address: string,
  model: string,
  version: number,
  scores: Readonly<Record<string, number>>,
  scoredAtMs?: number,
): Promise<PutScoresResponse> {
  const client = new ScoreStoreServiceClient(address, ChannelCredentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      const stream = client.putScores((error: ServiceError | null, response: PutScoresResponse) =>
        error === null ? resolve(response) : reject(error),
      );
      const entries = Object.entries(scores).map(([entity, score]) => ({
        entity: { $case: 'entityId' as const, value: entity },
        score,
        outputs: new Map(),
        scoredAt: scoredAtMs === undefined ? undefined : toTimestamp(scoredAtMs),
      }));
      stream.write({ model, version: BigInt(version), digest: '', job: 'test', entries });
      stream.end();
    });
  } finally {
    client.close();
  }
}
