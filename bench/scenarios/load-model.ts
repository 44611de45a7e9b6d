// A large model that is loaded and unloaded again and again, and what callers of another one feel of it.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { findMax } from '../../src/bench/find-max.ts';
import type { FlowReport } from '../../src/bench/report.ts';
import { ModelServiceClient } from '../../src/gen/scorewire/v1/model.ts';
import { writeLargeModel } from '../harness/large-model.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startScorewire } from '../harness/servers.ts';
import { BENCH_MODELS, HOST } from '../harness/settings.ts';
import {
  errorShare,
  inTurns,
  onlyFlow,
  PEAK_IN_FLIGHT,
  poisson,
  ratios,
  type Scenario,
  type Suite,
} from '../harness/suite.ts';

const SERVED = 'boosted-trees';
const LARGE = 'large';
const SHARE_OF_MAX = 0.5;
const BOUND_US = 10_000;
const MAX_RATIO = 1.5;
/** A load takes seconds where it shares a core with calls. */
const SECONDS_FACTOR = 3;

export const loadModel: Scenario = {
  name: 'load-model',
  title: `${SERVED} at half of find-max, alone and while a model of 34 MB is loaded and unloaded in a loop`,
  async run(suite: Suite) {
    const models = mkdtempSync(join(tmpdir(), 'scorewire-bench-'));
    cpSync(join(BENCH_MODELS, SERVED), join(models, SERVED), { recursive: true });
    writeLargeModel(join(models, LARGE, '1', 'model.onnx'));
    const server = await startScorewire({
      models,
      set: ['models.control=explicit', `models.load_at_start=${SERVED}`],
    });
    try {
      const ratePerSecond = SHARE_OF_MAX * (await maxRate(suite, server));
      const loadMs: number[] = [];
      const seconds = SECONDS_FACTOR * suite.settings.seconds;
      const measure = async (repetition: number) =>
        onlyFlow(
          (await suite.load(server, [suite.flow(SERVED, poisson(ratePerSecond, repetition + 1))], { seconds })).flows,
        );
      const [alone = [], beside = []] = await inTurns(suite.settings.repetitions, [
        measure,
        async (repetition) => {
          const loads = new Loads(server);
          const flow = await measure(repetition);
          loadMs.push(...(await loads.stop()));
          return flow;
        },
      ]);
      const p99 = (flows: readonly FlowReport[]): number[] => flows.map(({ answers }) => answers.p99Us / 1000);
      suite.figure('offered', 'calls/s', [ratePerSecond]);
      suite.figure('alone, p99', 'ms', p99(alone));
      suite.figure('beside loads, p99', 'ms', p99(beside));
      suite.figure('beside loads / alone, p99', 'ratio', ratios(p99(beside), p99(alone)), {
        relation: 'at most',
        value: MAX_RATIO,
      });
      suite.figure(
        'beside loads, longest',
        'ms',
        beside.map(({ answers }) => answers.maxUs / 1000),
      );
      suite.figure('beside loads, errors', 'share', beside.map(errorShare), { relation: 'at most', value: 0 });
      if (loadMs.length > 0) suite.figure('one load', 'ms', loadMs);
    } finally {
      await server.stop();
      rmSync(models, { recursive: true, force: true });
    }
  },
};

/** The highest rate with p99 <= 10 ms, calls a second. */
async function maxRate(suite: Suite, server: ServerProcess): Promise<number> {
  const { flows } = await suite.load(server, [suite.flow(SERVED, { kind: 'closed', inFlight: PEAK_IN_FLIGHT })]);
  const peak = onlyFlow(flows).answeredPerSecond;
  let seed = 100;
  const { ratePerSecond } = await findMax(
    async (rate) => {
      const report = await suite.load(server, [suite.flow(SERVED, poisson(rate, seed++))]);
      const flow = onlyFlow(report.flows);
      const { p99Us } = flow.answers;
      return {
        ratePerSecond: rate,
        kept: p99Us <= BOUND_US && errorShare(flow) === 0,
        p99Us,
        errorShare: errorShare(flow),
        limited: report.client.limited,
      };
    },
    { startPerSecond: peak / 2, ceilingPerSecond: 2 * peak, repetitions: 1, precision: 0.1 },
  );
  return ratePerSecond > 0 ? ratePerSecond : peak / 2;
}

/** Loads and unloads, one after the other, until told to stop. */
class Loads {
  readonly #client: ModelServiceClient;
  readonly #ended: Promise<number[]>;
  #stopped = false;

  constructor({ port }: ServerProcess) {
    this.#client = new ModelServiceClient(`${HOST}:${port}`, credentials.createInsecure());
    this.#ended = this.#run();
  }

  /** How long each load took, milliseconds. */
  async stop(): Promise<number[]> {
    this.#stopped = true;
    try {
      return await this.#ended;
    } finally {
      this.#client.close();
    }
  }

  async #run(): Promise<number[]> {
    const loadMs: number[] = [];
    while (!this.#stopped) {
      const startMs = performance.now();
      await this.#call('loadModel');
      loadMs.push(performance.now() - startMs);
      await this.#call('unloadModel');
    }
    return loadMs;
  }

  #call(method: 'loadModel' | 'unloadModel'): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client[method]({ model: LARGE }, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}
