// What a run of the load generator reports, plain data, JSON but for the samples; and what is read off it.

import type { LatencySummary } from './histogram.ts';
import type { LoadShape, Protocol } from './plan.ts';
import type { Rpc } from './rpc.ts';

/** Latencies of one kind of outcome. */
export interface OutcomeReport extends LatencySummary {
  /** HdrHistogram V2, compressed, base64, values in nanoseconds. */
  histogram: string;
}

/** What happened in one second of the measured time. */
export interface SecondReport {
  answered: number;
  failed: number;
  maxUs: number;
}

export interface FlowReport {
  name: string;
  /** Absent in results from before there was a choice: grpc. */
  protocol?: Protocol;
  path: string;
  /** Absent: unary. An item of a stream counts as a call, and so does a whole batch. */
  rpc?: Rpc;
  shape: LoadShape;
  connections: number;
  /** Calls that belong to the measured time: closed loop: ended in it; open loop: meant to start in it. */
  calls: number;
  /** Calls answered OK whose answer came in the measured time, a second of it. */
  answeredPerSecond: number;
  /** Calls meant to start in the measured time, a second of it; open loop only. */
  offeredPerSecond: number | undefined;
  /** Answered OK. */
  answers: OutcomeReport;
  /** Refused with RESOURCE_EXHAUSTED. */
  refusals: OutcomeReport;
  /** Any other status; of calls without an answer, the time until the run gave up. */
  failures: OutcomeReport;
  /** Calls by status, OK left out. */
  errors: Record<string, number>;
  /** One grpc-message by status. */
  errorDetails: Record<string, string>;
  /** Send time minus intended time; open loop only. */
  lateness: LatencySummary | undefined;
  /** Calls that the peer's limits, connections that were all busy, or maxInFlight held back: they count in latency, not in lateness. */
  heldBack: number;
  /** Connections that broke or that the server took leave of. */
  lostConnections: number;
  perSecond: SecondReport[];
  samples: AnswerSample[];
}

/** An answer kept for a check by the caller. */
export interface AnswerSample {
  /** Index into the flow's messages. */
  message: number;
  /** The answer's message, without gRPC's prefix. */
  answer: Uint8Array;
}

export interface LoadReport {
  flows: FlowReport[];
  /** The measured time as it came out. */
  seconds: number;
  client: {
    pid: number;
    /** CPU time of the generator over the measured time, as a share of one core. An open loop spins: about 1. */
    cpuShare: number;
    /** Per call that ended in the measured time. Meaningless where `spins`. */
    cpuUsPerCall: number;
    spins: boolean;
    /** True: the figures say more about the generator than about the server. */
    limited: boolean;
    /** Why `limited`. */
    reasons: string[];
  };
  /** Absent where no pid was given or the system has no /proc. */
  server: ServerCpuReport | undefined;
  /** CPU time of everything else on the machine, as a share of one core: a run beside others' work is noisy. */
  othersCpuShare: number | undefined;
}

export interface ServerCpuReport {
  cpuSeconds: number;
  /** As a share of one core. */
  cpuShare: number;
  /** Per call that ended in the measured time, whatever its status. */
  cpuUsPerCall: number;
  /** The same by the threads' names, threads of one name together. */
  cpuUsPerCallByThread: Record<string, number>;
}

/** The flow of a load that has only one. */
export function flowOf(report: LoadReport): FlowReport {
  return report.flows[0] as FlowReport;
}

/** Calls that were not answered OK, as a share; 1 where there were no calls. */
export function errorShare({ calls, answers }: FlowReport): number {
  return calls === 0 ? 1 : 1 - answers.count / calls;
}

/** Calls of an open loop that may be kept from starting in time before its latencies are the limit's on calls at once. */
const MAX_HELD_BACK = 0.01;

/** Whether an open loop has met the peer's stream limit, or had all of its connections busy. */
export function isHeldBack({ shape, calls, heldBack }: FlowReport): boolean {
  return shape.kind === 'open' && calls > 0 && heldBack / calls > MAX_HELD_BACK;
}
