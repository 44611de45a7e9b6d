// Whether the server has the call that a benchmark is about, asked before the long work: a load of calls that nobody answers
// looks like a slow server.

import { type Client, credentials, Metadata, status as Status, type StatusObject } from '@grpc/grpc-js';
import { ScoreBatchRequest, ScoreRequest, ScoringServiceClient } from '../gen/scorewire/v1/scoring.ts';
import { BenchError } from './bench-error.ts';
import { methodOf, type Rpc } from './rpc.ts';

const LIMIT_MS = 10_000;

/** Makes one call of many rows. Any other outcome than UNIMPLEMENTED is left for the run to show. @throws BenchError */
export async function checkImplemented(address: string, rpc: Rpc | undefined, request: Uint8Array): Promise<void> {
  if (rpc === undefined || rpc.kind === 'unary') return;
  const client = new ScoringServiceClient(address, credentials.createInsecure());
  const { code, details } = await outcomeOf(client, rpc.kind, request).finally(() => client.close());
  if (code !== Status.UNIMPLEMENTED) return;
  throw new BenchError(
    `--rpc ${rpc.kind}: ${address} has no scorewire.v1.ScoringService/${methodOf(rpc)}: UNIMPLEMENTED: ${details}`,
  );
}

function outcomeOf(
  client: InstanceType<typeof ScoringServiceClient> & Client,
  kind: 'stream' | 'bulk',
  request: Uint8Array,
): Promise<StatusObject> {
  const options = { deadline: Date.now() + LIMIT_MS };
  return new Promise((resolve) => {
    if (kind === 'bulk') {
      const call = client.scoreBatch(ScoreBatchRequest.decode(request), new Metadata(), options);
      call
        .on('status', resolve)
        .on('error', () => {})
        .resume();
      return;
    }
    const call = client.scoreStream(new Metadata(), options);
    call
      .on('status', resolve)
      .on('error', () => {})
      .resume();
    call.end({ items: [{ id: 1n, request: ScoreRequest.decode(request) }] });
  });
}
