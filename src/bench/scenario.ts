// Runs a scenario: which load it is, by how many processes, how often, and what came of it.

import type { Api } from './calls.ts';
import { type FoundMax, findMax, type Trial } from './find-max.ts';
import { mergeReports } from './merge-reports.ts';
import { type LoadPlan, type LoadShape, MAX_IN_FLIGHT, type Protocol } from './plan.ts';
import type { Slo } from './quantity.ts';
import { errorShare, type FlowReport, flowOf, isHeldBack, type LoadReport } from './report.ts';
import { callsAtOnce, callsUnit, type Rpc } from './rpc.ts';
import { runLoad } from './run-load.ts';
import type { ScenarioName } from './scenario-names.ts';
import { readServerSplit, type ServerSplit, splitBetween } from './server-split.ts';
import { brokenBy } from './slo.ts';

/** What all loads of a run share. */
export interface RunSettings {
  address: string;
  api: Api;
  /** Absent: unary. */
  rpc?: Rpc;
  model: string;
  seconds: number;
  warmUpSeconds: number;
  repetitions: number;
  connections: number;
  /** Generator processes, each with its part of the load. */
  processes: number;
  /** Calls a second of `server`, and the first rate that find-max tries. */
  ratePerSecond: number;
  /** Of `closed`. */
  inFlight: number;
  /** Of `offline`. */
  offlineInFlight: number;
  /** What find-max holds the server to. */
  bound: Slo;
  ceilingPerSecond: number;
  precision: number;
  seed: number;
  /** Cores for the generator's processes, in turn; empty: any. */
  cores: readonly number[];
  serverPids: readonly number[];
  /** Where the server's own metrics are; undefined: its split isn't shown. */
  metricsUrl: string | undefined;
}

export interface ScenarioResult {
  name: ScenarioName;
  /** One a repetition, without samples; of find-max one at the rate that was found. */
  reports: LoadReport[];
  found: FoundMax | undefined;
  /** What the server's metrics say of the same time; undefined where it has none. */
  split: ServerSplit | undefined;
}

/** Told what is going on; `seconds`: how long it will take. */
export type Progress = (text: string, seconds: number) => void;

/** What a scenario sends. */
export interface Load {
  protocol: Protocol;
  path: string;
  messages: readonly Uint8Array[];
}

/** Runs one scenario, `repetitions` times. */
export async function runScenario(
  name: ScenarioName,
  load: Load,
  settings: RunSettings,
  progress: Progress,
): Promise<ScenarioResult> {
  let found: FoundMax | undefined;
  let rate = settings.ratePerSecond;
  if (name === 'find-max') {
    let seed = settings.seed;
    found = await findMax(
      async (ratePerSecond) => {
        const report = await runOnce(load, openShape(ratePerSecond, seed++), settings, name, progress);
        return trialOf(ratePerSecond, report, settings.bound);
      },
      {
        startPerSecond: settings.ratePerSecond,
        ceilingPerSecond: settings.ceilingPerSecond,
        repetitions: settings.repetitions,
        precision: settings.precision,
      },
    );
    rate = found.ratePerSecond;
  }
  const before = await readServerSplit(settings.metricsUrl, settings.model);
  const reports: LoadReport[] = [];
  const repetitions = name === 'find-max' ? (rate > 0 ? 1 : 0) : settings.repetitions;
  for (let repetition = 0; repetition < repetitions; repetition++) {
    // Each repetition has arrivals of its own, the same in every run of the command.
    const shape = shapeOf(name, settings, rate, settings.seed + 1000 * repetition);
    reports.push(await runOnce(load, shape, settings, name, progress));
  }
  const after = await readServerSplit(settings.metricsUrl, settings.model);
  return { name, reports, found, split: before && after && splitBetween(before, after) };
}

function shapeOf(name: ScenarioName, settings: RunSettings, rate: number, seed: number): LoadShape {
  switch (name) {
    case 'single-stream':
      return { kind: 'closed', inFlight: callsAtOnce(settings.rpc) };
    case 'closed':
      return { kind: 'closed', inFlight: settings.inFlight };
    case 'offline':
      return { kind: 'closed', inFlight: settings.offlineInFlight };
    case 'server':
    case 'find-max':
      return openShape(rate, seed);
  }
}

function openShape(ratePerSecond: number, seed: number): LoadShape {
  return { kind: 'open', arrivals: { process: 'poisson', ratePerSecond, seed }, maxInFlight: MAX_IN_FLIGHT };
}

/**
 * The part of the load that process `index` of `count` has. Poisson streams add up to one; calls in flight are divided by
 * messages, where several go together.
 */
export function partOf(shape: LoadShape, index: number, count: number, together = 1): LoadShape {
  if (shape.kind === 'closed') {
    const messages = Math.floor(shape.inFlight / together);
    const share = Math.floor(messages / count) + (index < messages % count ? 1 : 0);
    return { ...shape, inFlight: share * together };
  }
  const { arrivals } = shape;
  const ratePerSecond = arrivals.ratePerSecond / count;
  if (arrivals.process === 'even') return { ...shape, arrivals: { ...arrivals, ratePerSecond } };
  return { ...shape, arrivals: { ...arrivals, ratePerSecond, seed: arrivals.seed + 100_003 * index } };
}

const DRAIN_SECONDS = 10;

async function runOnce(
  load: Load,
  shape: LoadShape,
  settings: RunSettings,
  name: ScenarioName,
  progress: Progress,
): Promise<LoadReport> {
  const { address, rpc, seconds, warmUpSeconds, cores, serverPids } = settings;
  const together = callsAtOnce(rpc);
  const at = address.lastIndexOf(':');
  const most = shape.kind === 'closed' ? Math.floor(shape.inFlight / together) : settings.processes;
  const wanted = Math.min(settings.processes, most);
  progress(describeLoad(name, shape, rpc), seconds + warmUpSeconds);
  const reports = await Promise.all(
    Array.from({ length: wanted }, (_, index) => {
      const part = partOf(shape, index, wanted, together);
      const plan: LoadPlan = {
        host: address.slice(0, at).replace(/^\[|\]$/g, ''),
        port: Number(address.slice(at + 1)),
        warmUpSeconds,
        seconds,
        drainSeconds: DRAIN_SECONDS,
        flows: [
          {
            name,
            protocol: load.protocol,
            path: load.path,
            rpc,
            messages: load.messages,
            connections: connectionsFor(part, settings, load.protocol),
            shape: part,
            sampleEvery: 0,
          },
        ],
        serverPids,
      };
      return runLoad(plan, cores.length === 0 ? undefined : cores[index % cores.length]);
    }),
  );
  return mergeReports(reports);
}

function connectionsFor(shape: LoadShape, { connections: asked, rpc }: RunSettings, protocol: Protocol): number {
  if (shape.kind === 'open') return asked;
  if (rpc?.kind === 'stream') return Math.min(Math.ceil(shape.inFlight / rpc.items), asked);
  return Math.min(shape.inFlight, Math.max(asked, Math.ceil(shape.inFlight / CALLS_PER_CONNECTION[protocol])));
}

/** At once. Servers allow about 100 streams on a connection: more in flight need more of them, but for items of streams. */
const CALLS_PER_CONNECTION: Readonly<Record<Protocol, number>> = { grpc: 100, http1: 1 };

/** Connections of a generator process unless more are asked for; of HTTP/1.1 as many as an open loop may need. */
export const DEFAULT_CONNECTIONS: Readonly<Record<Protocol, number>> = { grpc: 1, http1: 256 };

function describeLoad(name: ScenarioName, shape: LoadShape, rpc: Rpc | undefined): string {
  return shape.kind === 'closed'
    ? `${name}: ${shape.inFlight} in flight`
    : `${name}: ${Math.round(shape.arrivals.ratePerSecond)} ${callsUnit(rpc)}`;
}

/** What find-max makes of a load. */
export function trialOf(ratePerSecond: number, report: LoadReport, bound: Slo): Trial {
  const flow = flowOf(report);
  return {
    ratePerSecond,
    kept: brokenBy(flow, bound).length === 0,
    p99Us: flow.answers.p99Us,
    errorShare: errorShare(flow),
    limited: report.client.limited || (isHeldBack(flow) && !isTooSlow(flow, bound)),
  };
}

/**
 * Whether more connections would be of no use: with a call in each of them an answer takes longer than the bound allows, by
 * Little's law. Of HTTP/2 we don't know how many calls its connections took.
 */
function isTooSlow({ protocol, connections, answeredPerSecond }: FlowReport, { latencyUs }: Slo): boolean {
  return protocol === 'http1' && latencyUs.some(({ limitUs }) => (1e6 * connections) / answeredPerSecond > limitUs);
}
