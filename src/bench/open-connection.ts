// Which kind of connection a flow has.

import type { CallConnection } from './call-connection.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { Http1Connection, prepareRequests } from './http1-connection.ts';
import type { FlowPlan } from './plan.ts';
import { PreparedCalls } from './prepared-calls.ts';

/** Prepares the calls of the flow once; what it returns opens a connection that makes them. */
export function connectionOpener(
  plan: FlowPlan,
  host: string,
  port: number,
  owner: ConnectionOwner,
): () => Promise<CallConnection> {
  const { path, messages, metadata, sampleEvery } = plan;
  const authority = `${host}:${port}`;
  if (plan.protocol === 'http1') {
    const requests = prepareRequests(authority, path, messages, metadata);
    return () => Http1Connection.open({ host, port, requests, owner, sampleEvery });
  }
  const calls = new PreparedCalls(authority, path, messages, metadata);
  return () => Connection.open({ host, port, calls, owner, sampleEvery });
}
