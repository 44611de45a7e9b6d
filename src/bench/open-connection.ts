// Which kind of connection a flow has, by the calls that it makes.

import { BatchConnection } from './batch-connection.ts';
import { Connection } from './connection.ts';
import { framed } from './grpc-messages.ts';
import { Http1Connection, prepareRequests } from './http1-connection.ts';
import type { ConnectionOwner, LoadConnection } from './load-connection.ts';
import type { FlowPlan } from './plan.ts';
import { PreparedCalls } from './prepared-calls.ts';
import { PreparedItems } from './prepared-items.ts';
import { RequestHeaders } from './request-headers.ts';
import { StreamConnection } from './stream-connection.ts';

/** Prepares the flow's calls; what it returns opens one connection for them. */
export function connectionOpener(
  plan: FlowPlan,
  host: string,
  port: number,
  owner: ConnectionOwner,
): () => Promise<LoadConnection> {
  const { rpc, messages, sampleEvery } = plan;
  if (plan.protocol === 'http1') {
    const requests = prepareRequests(`${host}:${port}`, plan.path, messages, plan.metadata);
    return () => Http1Connection.open({ host, port, requests, owner, sampleEvery });
  }
  const headers = new RequestHeaders(`${host}:${port}`, plan.path, plan.metadata);
  switch (rpc?.kind) {
    case 'stream': {
      const items = new PreparedItems(messages);
      const { streams, items: itemsAtOnce } = rpc;
      return () => StreamConnection.open({ host, port, headers, items, owner, sampleEvery, streams, itemsAtOnce });
    }
    case 'bulk': {
      const requests = messages.map(framed);
      return () => BatchConnection.open({ host, port, headers, messages: requests, rows: rpc.rows, owner });
    }
    default: {
      const calls = new PreparedCalls(headers, messages);
      return () => Connection.open({ host, port, calls, owner, sampleEvery });
    }
  }
}
