// The generator: runs a plan and reports. Meant for a process of its own (generator-process.ts), because its clock, its
// garbage and its CPU time must be nobody else's.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Arrivals, drawArrivals } from './arrivals.ts';
import { nowUs } from './clock.ts';
import { ClosedLoop } from './closed-loop.ts';
import { Flow } from './flow.ts';
import { OpenLoop } from './open-loop.ts';
import { checkPlan, type LoadPlan } from './plan.ts';
import { type CpuSnapshot, cpuBetween, readMachineCpuUs, readProcessCpu } from './process-cpu.ts';
import { Recorder } from './recorder.ts';
import type { LoadReport, ServerCpuReport } from './report.ts';
import { NO_ANSWER } from './status.ts';

/** An open loop whose sends are later than this at p99 measures the generator. */
const MAX_LATENESS_P99_US = 1_000;
/** A closed loop that uses more of its core than this is the limit itself. */
const MAX_CPU_SHARE = 0.9;
/** Between the last preparation and the first call. */
const LEAD_US = 20_000;

/** Runs the plan from connecting to the last answer. */
export async function generateLoad(plan: LoadPlan): Promise<LoadReport> {
  checkPlan(plan);
  const runSeconds = plan.warmUpSeconds + plan.seconds;
  const flows = plan.flows.map((flowPlan) => new Flow(flowPlan, plan.host, plan.port));
  const arrivals = flows.map(({ plan: { shape }, callsAtOnce }) =>
    shape.kind === 'open' ? drawArrivals(together(shape.arrivals, callsAtOnce), runSeconds) : undefined,
  );
  await Promise.all(flows.map((flow) => flow.connect()));

  const startUs = nowUs() + LEAD_US;
  const measureUs = startUs + plan.warmUpSeconds * 1e6;
  const endUs = measureUs + plan.seconds * 1e6;
  const recorders: Recorder[] = [];
  const closedLoops: ClosedLoop[] = [];
  const openLoops: OpenLoop[] = [];
  flows.forEach((flow, index) => {
    const recorder = new Recorder(flow.plan, measureUs, endUs);
    recorders.push(recorder);
    flow.recorder = recorder;
    const { shape } = flow.plan;
    if (shape.kind === 'closed') closedLoops.push(new ClosedLoop(flow, shape.inFlight));
    else openLoops.push(new OpenLoop(flow, recorder, arrivals[index] as Float64Array, startUs, shape.maxInFlight));
  });

  const spins = openLoops.length > 0;
  const waitUntil = spins ? (untilUs: number) => spinUntil(untilUs, openLoops) : sleepUntil;
  await waitUntil(startUs);
  for (const loop of closedLoops) loop.start();
  await waitUntil(measureUs);
  const before = meter(plan.serverPids);
  await waitUntil(endUs);
  const after = meter(plan.serverPids);

  for (const loop of closedLoops) loop.stop();
  await drain(flows, openLoops, endUs + plan.drainSeconds * 1e6);
  flows.forEach((flow, index) => {
    openLoops
      .find((loop) => loop.flow === flow)
      ?.abandon((intendedUs) => {
        recorders[index]?.finished(intendedUs, nowUs(), NO_ANSWER, '');
      });
    flow.stop();
  });
  return summarize(plan, recorders, spins, before, after);
}

/** Arrivals of messages, of calls that start together. */
function together(arrivals: Arrivals, calls: number): Arrivals {
  return { ...arrivals, ratePerSecond: arrivals.ratePerSecond / calls };
}

interface Meter {
  atUs: number;
  clientCpuUs: number;
  machineCpuUs: number | undefined;
  server: CpuSnapshot | undefined;
}

function meter(serverPids: readonly number[]): Meter {
  const { user, system } = process.cpuUsage();
  return {
    atUs: nowUs(),
    clientCpuUs: user + system,
    machineCpuUs: readMachineCpuUs(),
    server: readProcessCpu(serverPids),
  };
}

/** Polls the open loops on every turn of the event loop: timers are too coarse, and this process has a core of its own. */
function spinUntil(untilUs: number, loops: readonly OpenLoop[]): Promise<void> {
  return new Promise((resolve) => {
    const turn = (): void => {
      for (const loop of loops) loop.poll();
      if (nowUs() >= untilUs) resolve();
      else setImmediate(turn);
    };
    turn();
  });
}

async function sleepUntil(untilUs: number): Promise<void> {
  await sleep(Math.max(0, (untilUs - nowUs()) / 1000));
}

async function drain(flows: readonly Flow[], loops: readonly OpenLoop[], untilUs: number): Promise<void> {
  const idle = (): boolean => flows.every((flow) => flow.inFlight === 0) && loops.every((loop) => loop.done);
  while (!idle() && nowUs() < untilUs) {
    for (const loop of loops) loop.poll();
    await sleep(1);
  }
}

function summarize(
  plan: LoadPlan,
  recorders: readonly Recorder[],
  spins: boolean,
  before: Meter,
  after: Meter,
): LoadReport {
  const wallUs = after.atUs - before.atUs;
  const ended = recorders.reduce((sum, recorder) => sum + recorder.ended, 0);
  const clientCpuUs = after.clientCpuUs - before.clientCpuUs;
  const cpuShare = clientCpuUs / wallUs;
  const reasons: string[] = [];
  recorders.forEach((recorder, index) => {
    const p99Us = recorder.latenessP99Us;
    if (p99Us > MAX_LATENESS_P99_US) {
      reasons.push(`${plan.flows[index]?.name}: sent ${(p99Us / 1000).toFixed(1)} ms late at p99`);
    }
  });
  if (!spins && cpuShare > MAX_CPU_SHARE) reasons.push(`used ${(100 * cpuShare).toFixed(0)} % of a core`);
  const server = serverCpu(before, after, wallUs, ended);
  return {
    flows: recorders.map((recorder) => recorder.report()),
    seconds: wallUs / 1e6,
    client: {
      pid: process.pid,
      cpuShare,
      cpuUsPerCall: ended === 0 ? 0 : clientCpuUs / ended,
      spins,
      limited: reasons.length > 0,
      reasons,
    },
    server,
    othersCpuShare: othersCpuShare(before, after, clientCpuUs + 1e6 * (server?.cpuSeconds ?? 0)),
  };
}

/** What the machine did beside client and server; undefined where the server's part isn't known. */
function othersCpuShare(before: Meter, after: Meter, oursUs: number): number | undefined {
  if (before.machineCpuUs === undefined || after.machineCpuUs === undefined || after.server === undefined)
    return undefined;
  return Math.max(0, after.machineCpuUs - before.machineCpuUs - oursUs) / (after.atUs - before.atUs);
}

function serverCpu(before: Meter, after: Meter, wallUs: number, calls: number): ServerCpuReport | undefined {
  if (before.server === undefined || after.server === undefined) return undefined;
  const byThread = cpuBetween(before.server, after.server);
  const cpuUs = [...byThread.values()].reduce((sum, us) => sum + us, 0);
  const perCall = (us: number): number => (calls === 0 ? 0 : us / calls);
  return {
    cpuSeconds: cpuUs / 1e6,
    cpuShare: cpuUs / wallUs,
    cpuUsPerCall: perCall(cpuUs),
    cpuUsPerCallByThread: Object.fromEntries([...byThread].map(([thread, us]) => [thread, perCall(us)])),
  };
}
