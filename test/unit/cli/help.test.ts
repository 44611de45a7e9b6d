// What each command says of itself.

import { Command, CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { addCheck } from '../../../src/cli/check.ts';
import { addModels } from '../../../src/cli/models.ts';
import { addPromote } from '../../../src/cli/promote.ts';
import { addScore } from '../../../src/cli/score.ts';
import { addServe } from '../../../src/cli/serve.ts';
import { addStore } from '../../../src/cli/store.ts';
import { flagHelp } from '../../../src/config/print.ts';

const ADD = {
  serve: addServe,
  score: addScore,
  models: addModels,
  check: addCheck,
  promote: addPromote,
  'store stats': addStore,
  'store invalidate': addStore,
};

/** What `scorewire NAME --help` prints. */
async function helpOf(name: keyof typeof ADD): Promise<string> {
  let printed = '';
  const output = {
    writeOut: (text: string) => {
      printed += text;
    },
  };
  const program = new Command('scorewire').exitOverride().configureOutput(output);
  ADD[name](program);
  const ended = await program.parseAsync([...name.split(' '), '--help'], { from: 'user' }).catch((error) => error);
  expect(ended).toBeInstanceOf(CommanderError);
  expect(ended.exitCode).toBe(0);
  return printed;
}

test.each(['serve', 'check'] as const)('%s: every flag with what it means', async (name) => {
  const help = await helpOf(name);
  expect(help).toContain(`Usage: scorewire ${name}`);
  for (const { flag } of flagHelp()) expect(help).toContain(`${flag} <value>`);
  for (const flag of ['--set <key=value>', '--config <file>']) expect(help).toContain(flag);
});

test.each(['score', 'models', 'promote', 'store stats', 'store invalidate'] as const)(
  '%s: where the server is',
  async (name) => {
    const help = await helpOf(name);
    expect(help).toContain(`Usage: scorewire ${name}`);
    for (const flag of ['--address <host:port>', '--deadline <ms>', '--tls', '--ca <file>'])
      expect(help).toContain(flag);
  },
);

test.each(['score', 'promote', 'store invalidate'] as const)('%s: examples', async (name) => {
  expect(await helpOf(name)).toContain('Examples:');
});

test.each(['promote', 'store invalidate'] as const)('%s: how to show a token', async (name) => {
  expect(await helpOf(name)).toContain('--token-file <file>');
});
