// The same rows by Score and by ModelInfer, from callers who wait for their answers: what the foreign protocol costs beside our own.

import type { FlowPlan } from '../../src/bench/plan.ts';
import type { LoadReport } from '../../src/bench/report.ts';
import { inferCalls, MODEL_INFER_PATH, wrongInfers } from '../harness/infer-requests.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startScorewire } from '../harness/servers.ts';
import { errorShare, inTurns, onlyFlow, PEAK_IN_FLIGHT, ratios, type Scenario, type Suite } from '../harness/suite.ts';

const MAX_CPU_RATIO = 1.1;
const FIRST_WARM_UP_FACTOR = 3;

export const infer: Scenario = {
  name: 'infer',
  title: 'boosted-trees, one row a call, 64 in flight: ModelInfer beside Score',
  async run(suite: Suite) {
    const server = await startScorewire();
    try {
      const warmUpSeconds = FIRST_WARM_UP_FACTOR * suite.settings.warmUpSeconds;
      const native = suite.flow('boosted-trees', { kind: 'closed', inFlight: PEAK_IN_FLIGHT });
      const foreign: FlowPlan = { ...native, name: 'ModelInfer', path: MODEL_INFER_PATH, messages: inferCalls('raw') };
      const typed: FlowPlan = { ...foreign, name: 'ModelInfer, typed', messages: inferCalls('typed') };
      // Each way is compiled before any is measured.
      for (const flow of [native, foreign, typed])
        await suite.load(server, [flow], { warmUpSeconds: 0, seconds: warmUpSeconds });
      const [scores = [], raws = [], typeds = []] = await inTurns(
        suite.settings.repetitions,
        [native, foreign, typed].map((flow) => () => measure(suite, server, flow)),
      );
      suite.figure('Score, server CPU a call', 'us', scores.map(cpuOf));
      figures(suite, 'ModelInfer, raw', raws, scores);
      figures(suite, 'ModelInfer, typed', typeds, scores);
    } finally {
      await server.stop();
    }
  },
};

async function measure(suite: Suite, server: ServerProcess, flow: FlowPlan): Promise<LoadReport> {
  const report = await suite.load(server, [flow]);
  if (flow.path === MODEL_INFER_PATH) {
    const { samples } = onlyFlow(report.flows);
    const wrong = wrongInfers(samples);
    if (wrong > 0) throw new Error(`${flow.name}: ${wrong} of ${samples.length} sampled answers were wrong`);
  }
  return report;
}

function figures(suite: Suite, name: string, reports: readonly LoadReport[], scores: readonly LoadReport[]): void {
  const limit = { relation: 'at most', value: MAX_CPU_RATIO } as const;
  suite.figure(`${name}, server CPU a call`, 'us', reports.map(cpuOf));
  suite.figure(`${name} / Score, server CPU a call`, 'ratio', ratios(reports.map(cpuOf), scores.map(cpuOf)), limit);
  suite.figure(
    `${name}, throughput`,
    'calls/s',
    reports.map(({ flows }) => onlyFlow(flows).answeredPerSecond),
  );
  const errors = reports.map(({ flows }) => errorShare(onlyFlow(flows)));
  suite.figure(`${name}, errors`, 'share', errors, { relation: 'at most', value: 0 });
}

function cpuOf({ server }: LoadReport): number {
  return server?.cpuUsPerCall ?? Number.NaN;
}
