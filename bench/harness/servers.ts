// The servers that the suite starts.

import { fileURLToPath } from 'node:url';
import { freePort, ServerProcess } from './server-process.ts';
import { BENCH_MODELS, LAUNCHER, SERVER_CORE, SERVER_ENTRY, SERVER_FLAGS } from './settings.ts';

const ECHO_ENTRY = fileURLToPath(new URL('../servers/echo.ts', import.meta.url));

export interface ScorewireOptions {
  /** Directory of models; default: the suite's own. */
  models?: string;
  /** Settings beside the one worker, as key=value. */
  set?: readonly string[];
  /** Undefined here means any core, and the default count of workers. */
  core?: number | undefined;
  /** Start as users do, through the launcher. */
  launcher?: boolean;
  /** Further flags of Node. */
  nodeFlags?: readonly string[];
  /** Variables beside those that we have. */
  env?: Readonly<Record<string, string>>;
}

/** Our server on one core, with one worker unless `core` is given as undefined. */
export async function startScorewire(options: ScorewireOptions = {}): Promise<ServerProcess> {
  const core = 'core' in options ? options.core : SERVER_CORE;
  const port = await freePort();
  const httpPort = await freePort();
  const settings = [...(core === undefined ? [] : ['workers.count=1']), ...(options.set ?? [])];
  const command = [
    process.execPath,
    ...(options.launcher === true ? [LAUNCHER] : [...SERVER_FLAGS, ...(options.nodeFlags ?? []), SERVER_ENTRY]),
    'serve',
    ...['--models', options.models ?? BENCH_MODELS],
    ...['--port', String(port)],
    ...['--http-port', String(httpPort)],
    ...settings.flatMap((setting) => ['--set', setting]),
  ];
  return ServerProcess.start({ name: 'scorewire', port, httpPort, command, core, env: options.env ?? {} });
}

/** The grpc-js floor on one core. */
export async function startEcho(answer?: Uint8Array): Promise<ServerProcess> {
  const port = await freePort();
  const command = [process.execPath, ...SERVER_FLAGS, ECHO_ENTRY, String(port)];
  if (answer !== undefined) command.push(Buffer.from(answer).toString('base64'));
  return ServerProcess.start({ name: 'echo', port, command, core: SERVER_CORE });
}
