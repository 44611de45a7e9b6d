// The command line. Each command is a file in cli/.
import { Command } from 'commander';
import { addBench } from './cli/bench.ts';
import { addCheck } from './cli/check.ts';
import { addFeatures } from './cli/features.ts';
import { addJob } from './cli/job.ts';
import { addModels } from './cli/models.ts';
import { addPromote } from './cli/promote.ts';
import { addScore } from './cli/score.ts';
import { addServe } from './cli/serve.ts';
import { addStore } from './cli/store.ts';
import { ScoreError } from './client/score-error.ts';
import { SetupError } from './errors.ts';
import { VERSION } from './version.ts';

const program = new Command('scorewire')
  .description('Scores tabular ONNX models over gRPC in under 10 ms.')
  .version(VERSION)
  .showHelpAfterError('(add --help for what there is)')
  .configureHelp({ showGlobalOptions: true })
  // What follows a command's name is for that command, though the one above has an option of that name.
  .enablePositionalOptions()
  .hook('preAction', (_program, command) => {
    // `scorewire models | head`: whoever read has enough. A server goes on without readers of its log.
    if (command.name() === 'serve') return;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
    });
  });
addServe(program);
addScore(program);
addModels(program);
addCheck(program);
addFeatures(program);
addJob(program);
addPromote(program);
addStore(program);
addBench(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof SetupError) {
    console.error(`scorewire: ${error.message}`);
  } else if (error instanceof ScoreError) {
    console.error(`scorewire: ${error.code}: ${error.message}`);
    if (error.violations.length > 1) {
      for (const { field, description } of error.violations) console.error(`  ${field}: ${description}`);
    }
  } else {
    console.error(error);
  }
  process.exitCode = 1;
}
