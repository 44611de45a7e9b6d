import { accessSync, constants } from 'node:fs';
import type { Command } from 'commander';
import { Calls } from '../client/calls.ts';
import { SetupError } from '../errors.ts';

export type ConnectionFlags = {
  address: string;
  deadline: string;
  tls?: boolean;
  ca?: string;
  cert?: string;
  key?: string;
};

/** Where the server is and how long to wait for it, for commands that call one. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--address <host:port>', 'where the server listens', '127.0.0.1:8001')
    .option('--deadline <ms>', 'give up after so many milliseconds', '5000')
    .option('--tls', "use TLS with the system's authorities")
    .option('--ca <file>', 'use TLS and trust this PEM file')
    .option('--cert <file>', 'show this client certificate (PEM)')
    .option('--key <file>', 'private key of the client certificate (PEM)');
}

/** For calls that are made once, whatever comes of them. @throws SetupError for a file that can't be used. */
export function connectTo(flags: ConnectionFlags, headers: Readonly<Record<string, string>> = {}): Calls {
  if (flags.cert !== undefined && flags.key === undefined) throw new SetupError('--cert: needs --key beside it');
  if (flags.key !== undefined && flags.cert === undefined) throw new SetupError('--key: needs --cert beside it');
  for (const flag of ['ca', 'cert', 'key'] as const) {
    const path = flags[flag];
    if (path !== undefined) requireFile(`--${flag}`, path);
  }
  // grpc-js sets the server's name from the address, and Node warns where that is a number: nothing a caller can change.
  process.noDeprecation = true;
  try {
    return new Calls(flags.address, { ...flags, headers });
  } catch (error) {
    throw new SetupError(`--ca, --cert, --key: can't be used: ${(error as Error).message}`, error);
  }
}

/** Milliseconds. @throws SetupError */
export function deadlineOf({ deadline }: ConnectionFlags): number {
  const ms = Number(deadline);
  if (ms > 0) return ms;
  throw new SetupError(`--deadline: expected milliseconds above 0, found "${deadline}"`);
}

/** Of `--model-version`; undefined where it is not given. @throws SetupError */
export function versionOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new SetupError(`--model-version: expected a whole number, found "${text}"`);
}

function requireFile(flag: string, path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw new SetupError(`${flag}: can't read ${path}: ${(error as Error).message}`, error);
  }
}
