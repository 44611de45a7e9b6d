// Commands that change what a server does: callers on other machines show its token.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Calls } from '../client/calls.ts';
import { SetupError } from '../errors.ts';
import { addConnectionOptions, type ConnectionFlags, connectTo } from './connection-options.ts';

export type AdminFlags = ConnectionFlags & { tokenFile?: string };

export function addAdminOptions(command: Command): Command {
  return addConnectionOptions(command).option(
    '--token-file <file>',
    "file with the server's token, for servers on other machines",
  );
}

/** Calls made for one command. @throws SetupError for flags that can't be used, and what `action` throws */
export async function calling(flags: AdminFlags, action: (calls: Calls) => Promise<void>): Promise<void> {
  const calls = connectTo(flags, headersOf(flags));
  try {
    await action(calls);
  } finally {
    calls.close();
  }
}

function headersOf({ tokenFile }: AdminFlags): Record<string, string> {
  if (tokenFile === undefined) return {};
  try {
    return { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` };
  } catch (error) {
    throw new SetupError(`--token-file: can't read ${tokenFile}: ${(error as Error).message}`, error);
  }
}
