// Entry of the generator's own process: one plan in, one report out, over the channel to the parent.

import { generateLoad } from './generator.ts';
import type { LoadPlan } from './plan.ts';
import type { LoadReport } from './report.ts';

/** What the generator's process says to its parent. */
export type GeneratorMessage = { report: LoadReport } | { error: string };

// A parent that goes away takes its generator along.
process.on('disconnect', () => process.exit(1));

process.once('message', (plan: LoadPlan) => {
  generateLoad(plan).then(
    (report) => tell({ report }),
    (error: Error) => tell({ error: error.message }),
  );
});

function tell(message: GeneratorMessage): void {
  process.send?.(message, undefined, undefined, () => process.exit(0));
}
