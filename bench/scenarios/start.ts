// From the start of the process to SERVING, with the example models.

import { startScorewire } from '../harness/servers.ts';
import { EXAMPLE_MODELS, SERVER_CORE } from '../harness/settings.ts';
import type { Scenario, Suite } from '../harness/suite.ts';

const MAX_START_S = 3;

export const start: Scenario = {
  name: 'start',
  title: 'start to SERVING with the example models',
  async run(suite: Suite) {
    const count = Math.max(3, suite.settings.repetitions);
    const as = async (core: number | undefined): Promise<number[]> => {
      const seconds: number[] = [];
      for (let repetition = 0; repetition < count; repetition++) {
        const server = await startScorewire({ models: EXAMPLE_MODELS, core, launcher: true });
        seconds.push(server.startedInMs / 1000);
        await server.stop();
      }
      return seconds;
    };
    suite.figure('all cores, default settings', 's', await as(undefined), { relation: 'at most', value: MAX_START_S });
    suite.figure('one core, one worker', 's', await as(SERVER_CORE));
  },
};
