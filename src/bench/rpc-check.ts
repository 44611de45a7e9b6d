// Whether the server has the call that a benchmark is about, asked before the long work: a load of calls that nobody answers
// looks like a slow server.

import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  status as Status,
  type StatusObject,
} from '@grpc/grpc-js';
import { ScoreRequest, ScoreStreamRequest, ScoringServiceService } from '../gen/scorewire/v1/scoring.ts';
import { BenchError } from './bench-error.ts';
import { methodOf, type Rpc } from './rpc.ts';

const LIMIT_MS = 10_000;

/** Makes one call of many rows. Any other outcome than UNIMPLEMENTED is left for the run to show. @throws BenchError */
export async function checkImplemented(address: string, rpc: Rpc | undefined, request: Uint8Array): Promise<void> {
  if (rpc === undefined || rpc.kind === 'unary') return;
  const client = new Client(address, credentials.createInsecure());
  const { code, details } = await outcomeOf(client, rpc.kind, request).finally(() => client.close());
  if (code !== Status.UNIMPLEMENTED) return;
  throw new BenchError(
    `--rpc ${rpc.kind}: ${address} has no scorewire.v1.ScoringService/${methodOf(rpc)}: UNIMPLEMENTED: ${details}`,
  );
}

function outcomeOf(client: Client, kind: 'stream' | 'bulk', request: Uint8Array): Promise<StatusObject> {
  const options = { deadline: Date.now() + LIMIT_MS };
  const { scoreBatch, scoreStream } = ScoringServiceService;
  // Bytes in, bytes out: a batch may be large.
  const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const settled = (call: ClientReadableStream<Buffer>): Promise<StatusObject> =>
    new Promise((resolve) => {
      call.on('status', resolve);
      call.on('error', () => {});
      call.resume();
    });
  if (kind === 'bulk') {
    return settled(client.makeServerStreamRequest(scoreBatch.path, asIs, asIs, request, new Metadata(), options));
  }
  const call = client.makeBidiStreamRequest(scoreStream.path, asIs, asIs, new Metadata(), options);
  call.end(
    ScoreStreamRequest.encode({ items: [{ id: 1n, request: ScoreRequest.decode(request) }], inOrder: false }).finish(),
  );
  return settled(call);
}
