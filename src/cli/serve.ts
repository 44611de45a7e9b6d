// `scorewire serve`: settings, start, signals.
import type { Command } from 'commander';
import { loadSettings } from '../config/load.ts';
import { flagHelp, printConfig } from '../config/print.ts';
import type { Settings } from '../config/settings.ts';
import { type RunningServer, startServer } from '../server.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { callHints } from './call-hints.ts';

/** Adds the short flags of the settings, `--set` and `--config` to a command. */
export function addSettingOptions(command: Command): Command {
  for (const { flag, doc } of flagHelp()) command.option(`${flag} <value>`, doc);
  return command
    .option('--set <key=value>', 'set any setting; may be repeated', (value: string, all: string[] = []) => [
      ...all,
      value,
    ])
    .option('--config <file>', 'YAML file with settings; also SCOREWIRE_CONFIG');
}

export function addServe(program: Command): void {
  addSettingOptions(program.command('serve').description('serve the models of a folder over gRPC'))
    .option('--print-config', 'show every setting, its value and where that came from, and exit')
    .action(async (options: { config?: string; printConfig?: boolean }) => {
      const loaded = loadSettings({ file: options.config, env: process.env, flags: options });
      if (options.printConfig) {
        process.stdout.write(printConfig(loaded));
        return;
      }
      await serve(loaded.settings);
    });
}

/** Signals closer together than this are one. */
const SAME_SIGNAL_MS = 100;

/** Milliseconds that runs under way get to end, after their callers were told that they get no answer. */
const LAST_RUN_MS = 5_000;

async function serve(settings: Settings): Promise<void> {
  // Whoever read the log may go away; that is no reason to stop serving.
  process.stdout.on('error', () => {});
  const log = createLogger(settings.log);
  const startMs = performance.now();
  const server = await startServer(settings, log);
  // Before anything else: who sees SERVING may send a signal.
  drainOnSignals(server, settings, log);
  await announce(server, settings, log, startMs);
}

function drainOnSignals(server: RunningServer, { drain }: Settings, log: Logger): void {
  let stoppingSinceMs: number | undefined;
  const stop = async (signal: NodeJS.Signals) => {
    if (stoppingSinceMs !== undefined) {
      // A terminal signals the whole group, and npm in it passes the signal on: that is one signal, come twice.
      if (performance.now() - stoppingSinceMs < SAME_SIGNAL_MS) return;
      log.warn({ signal }, 'a second signal: ending at once');
      // Not process.exit: with a run under way in a worker that would abort, and dump core.
      process.kill(process.pid, 'SIGKILL');
    }
    stoppingSinceMs = performance.now();
    log.info({ signal, timeoutMs: drain.timeoutMs }, 'draining: answering what is under way');
    // A run that outlasts even this can't be ended but with the process.
    setTimeout(
      () => {
        log.fatal('a model is still running: ending the process with it');
        process.kill(process.pid, 'SIGKILL');
      },
      drain.delayMs + drain.timeoutMs + LAST_RUN_MS,
    ).unref();
    const answered = await server.drain();
    if (answered) log.info('drained: every call was answered');
    else log.warn('the drain took too long: calls that were left got UNAVAILABLE');
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

async function announce(server: RunningServer, settings: Settings, log: Logger, startMs: number): Promise<void> {
  const { engine, address } = server;
  for (const model of engine.models.all()) {
    const { name, version, task } = model.spec;
    log.info(
      {
        version,
        live: engine.models.isLive(model),
        task,
        batchRows: model.batchingProblem === '' ? Math.min(model.cost.kneeRows, model.maxRows) : 1,
        budgetMs: model.latencyBudgetMs,
      },
      `model ${name}`,
    );
    if (model.spec.scoreProblem !== '') log.warn(model.spec.scoreProblem);
  }
  log.info(
    {
      grpc: address,
      http: server.httpAddress ?? 'off',
      tls: settings.tls.cert !== undefined,
      workers: engine.readyWorkers(),
      loadMs: Math.round(engine.loadMs),
      warmUpMs: Math.round(engine.warmUpMs),
      startMs: Math.round(performance.now() - startMs),
    },
    'SERVING',
  );
  for (const hint of await callHints(engine.models.all(), address, settings.tls)) log.info(hint);
}
