// `scorewire promote`: which version of a model answers.
import type { Command } from 'commander';
import { ModelServiceService, PromoteModelResponse } from '../gen/scorewire/v1/model.ts';
import { type AdminFlags, addAdminOptions, calling } from './admin-calls.ts';
import { deadlineOf, versionOf } from './connection-options.ts';
import { count } from './job-summary.ts';
import { percentShown, shareOf } from './quantities.ts';

type PromoteFlags = AdminFlags & { modelVersion?: string; minCoverage: string; json?: boolean };

const HELP = `
A version that was promoted stays live, also after a restart, until another one is. To go from version 3 to 4 without
an hour of cold scores: promote 3, put 4 into the models folder and load it (scorewire models load, or start the server
again), run a job with version 4 while 3 answers, and promote 4 when it covers enough. Back is the same command with the
version before.

Examples:
  scorewire promote churn --model-version 4 --min-coverage 0.95
  scorewire promote churn --model-version 3
  scorewire promote churn                      the highest, and later ones when they come

Exit status: 0 done; 1 not done, such as where too few entities have scores of the version.`;

export function addPromote(program: Command): void {
  addAdminOptions(
    program.command('promote').description('make a version of a model the live one, at once: forward or back'),
  )
    .argument('<model>', "the model's name")
    .option('--model-version <number>', 'the version; without it the highest')
    .option(
      '--min-coverage <share>',
      'of the entities that the live version has stored scores of, so many must have one of this version too',
      '0',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (model: string, flags: PromoteFlags) => {
      const request = {
        model,
        version: versionOf(flags.modelVersion),
        minCoverage: shareOf(flags.minCoverage, '--min-coverage'),
      };
      const deadlineMs = deadlineOf(flags);
      await calling(flags, async (calls) => {
        const response = await calls.unary(ModelServiceService.promoteModel, request, deadlineMs);
        if (flags.json) console.log(JSON.stringify(PromoteModelResponse.toJSON(response), null, 2));
        else process.stdout.write(outcomeText(response));
      });
    });
}

function outcomeText({ model, previousVersion, entities, covered, kept }: PromoteModelResponse): string {
  const { name = '', version = 0n } = model ?? {};
  const lines =
    version === previousVersion
      ? [`${name}: version ${version} is live, as it was before`]
      : [`${name}: version ${version} is live; before it was ${previousVersion}`];
  lines.push(
    entities === 0n
      ? `coverage: version ${previousVersion} has no stored scores to compare with`
      : `coverage: ${count(Number(covered))} of ${count(Number(entities))} entities (${percentShown(Number(covered) / Number(entities))})`,
  );
  lines.push(
    kept
      ? "kept: a server that starts later finds the choice in the model's folder"
      : "not kept: the model's folder can't be written, and a server that starts later doesn't know of the choice",
  );
  return `${lines.join('\n')}\n`;
}
