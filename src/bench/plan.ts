// What a run of the load generator is asked to do. Plain data: it crosses into the generator's own process.

import type { Arrivals } from './arrivals.ts';
import { callsAtOnce, type Rpc } from './rpc.ts';

/** A fixed number of calls is always in flight: each answer starts the next call. */
export interface ClosedShape {
  kind: 'closed';
  inFlight: number;
}

/** Calls start at times drawn in advance, whatever the server does; latency counts from those times. */
export interface OpenShape {
  kind: 'open';
  arrivals: Arrivals;
  /** Beyond it calls wait in the generator; their latency goes on. Bounds memory when a server hangs. */
  maxInFlight: number;
}

export type LoadShape = ClosedShape | OpenShape;

/** `grpc`: unary calls over HTTP/2. `http1`: POSTs of JSON over HTTP/1.1, one at a time on each connection. */
export type Protocol = 'grpc' | 'http1';

/** One kind of call, with its own connections, shape and figures. */
export interface FlowPlan {
  name: string;
  /** Default: grpc. */
  protocol?: Protocol;
  /** Such as /scorewire.v1.ScoringService/Score. */
  path: string;
  /** What kind of call that is; absent: unary. */
  rpc?: Rpc;
  /** Further request headers, names in lower case. */
  metadata?: readonly (readonly [string, string])[];
  /** Encoded requests, without gRPC's prefix, or bodies of JSON; the calls take them in turn. Of a stream: each item's ScoreRequest. */
  messages: readonly Uint8Array[];
  connections: number;
  shape: LoadShape;
  /** Keep the answer of every n-th call for `LoadReport.flows[].samples`; 0: of none. Of batches none is kept. */
  sampleEvery: number;
}

export interface LoadPlan {
  host: string;
  port: number;
  /** Load before the measured time, not measured. */
  warmUpSeconds: number;
  /** The measured time. */
  seconds: number;
  /** How long calls that are in flight at the end may take to be answered. */
  drainSeconds: number;
  flows: readonly FlowPlan[];
  /** The server's processes, whose CPU time is reported; may be empty. */
  serverPids: readonly number[];
}

export const MAX_IN_FLIGHT = 20_000;
const MAX_SECONDS = 3_600;

/** Throws a RangeError that says which part of the plan can't be. */
export function checkPlan(plan: LoadPlan): void {
  const { warmUpSeconds, seconds, drainSeconds, flows } = plan;
  if (!(seconds > 0) || seconds > MAX_SECONDS)
    throw new RangeError(`seconds must be in (0, ${MAX_SECONDS}], found ${seconds}`);
  if (!(warmUpSeconds >= 0) || warmUpSeconds > MAX_SECONDS) {
    throw new RangeError(`warmUpSeconds must be in [0, ${MAX_SECONDS}], found ${warmUpSeconds}`);
  }
  if (!(drainSeconds >= 0) || drainSeconds > 600)
    throw new RangeError(`drainSeconds must be in [0, 600], found ${drainSeconds}`);
  if (flows.length === 0) throw new RangeError('a plan needs at least one flow');
  for (const { name, connections, shape, messages, rpc } of flows) {
    const inFlight = shape.kind === 'closed' ? shape.inFlight : shape.maxInFlight;
    if (!Number.isInteger(connections) || connections < 1 || connections > 1_000) {
      throw new RangeError(`flow ${name}: connections must be in [1, 1000], found ${connections}`);
    }
    if (!Number.isInteger(inFlight) || inFlight < 1 || inFlight > MAX_IN_FLIGHT) {
      throw new RangeError(`flow ${name}: calls in flight must be in [1, ${MAX_IN_FLIGHT}], found ${inFlight}`);
    }
    if (inFlight < callsAtOnce(rpc)) {
      throw new RangeError(`flow ${name}: ${callsAtOnce(rpc)} items a message can't start with ${inFlight} in flight`);
    }
    if (messages.length === 0) throw new RangeError(`flow ${name}: needs at least one message`);
  }
}
