// What the command line says when it can't do what it was asked: one clear line on standard error, exit 1, no stack.

import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCommand, serve } from '../support/command.ts';
import { EXAMPLES, folderOf, modelFolder, tempFolder } from '../support/model-folder.ts';
import { linear, onnxModel } from '../support/onnx-builder.ts';

const PORTS = ['--port', '0', '--http-port', '0'];

function unknownOperator(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    nodes: [{ op: 'Sigmoyd', inputs: ['x'], outputs: ['score'] }],
  });
}

/** Runs to the end, which must be exit 1 with one line on standard error; gives the line. */
async function complaint(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { code, stdout, stderr } = await runCommand(args, env);
  expect(stderr).toMatch(/^scorewire: [^\n]+\n$/);
  expect(stderr).not.toMatch(/node_modules|\.ts:\d|\n\s+at /);
  expect(stdout).not.toMatch(/SERVING/);
  expect(code).toBe(1);
  return stderr.slice('scorewire: '.length).trimEnd();
}

describe.concurrent('serve', () => {
  test('a folder that is not there', async () => {
    const absent = join(await tempFolder(), 'absent');
    expect(await complaint(['serve', '--models', absent, ...PORTS])).toContain(absent);
  });

  test('a mistake in a manifest: file, line, key, what was found, what is allowed', async () => {
    const models = await folderOf({
      'risk/1/model.onnx': linear([1], 0),
      'risk/model.yaml': 'task: binary\nlatency_budgt_ms: 5\n',
    });
    expect(await complaint(['serve', '--models', models, ...PORTS])).toMatch(
      /risk\/model\.yaml:2: latency_budgt_ms: no such key; did you mean latency_budget_ms\?/,
    );
  });

  test('a model that onnxruntime refuses', async () => {
    const models = await modelFolder({ bad: unknownOperator() });
    const said = await complaint(['serve', '--models', models, ...PORTS]);
    expect(said).toContain(join(models, 'bad', '1', 'model.onnx'));
    expect(said).toContain('Sigmoyd');
  });

  test('a port that is taken', async ({ onTestFinished }) => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
    });
    onTestFinished(() => void taken.close());
    const models = await modelFolder({ risk: linear([1], 0) });
    expect(await complaint(['serve', '--models', models, '--port', String(port), '--http-port', '0'])).toContain(
      `127.0.0.1:${port}: the port is taken`,
    );
  });

  test('a key in the file that there is not, with the nearest one', async () => {
    const file = join(await folderOf({ 'scorewire.yaml': 'server:\n  prot: 1\n' }), 'scorewire.yaml');
    expect(await complaint(['serve', '--config', file])).toBe(
      `file ${file}: there is no setting server.prot; did you mean server.port?`,
    );
  });

  test('a variable that there is not', async () => {
    expect(await complaint(['serve'], { SCOREWIRE_SERVER_PROT: '1' })).toBe(
      'environment: there is no setting SCOREWIRE_SERVER_PROT; did you mean SCOREWIRE_SERVER_PORT?',
    );
  });

  test('a flag that there is not', async () => {
    const { code, stderr } = await runCommand(['serve', '--prot', '1']);
    expect(code).toBe(1);
    expect(stderr).toContain("unknown option '--prot'");
    expect(stderr).toContain('--port');
  });

  test('--print-config: every setting with its value and where that came from', async () => {
    const file = join(await folderOf({ 'scorewire.yaml': 'workers: { count: 3 }\n' }), 'scorewire.yaml');
    const { code, stdout, stderr } = await runCommand(
      ['serve', '--print-config', '--port', '9001', '--config', file, '--set', 'log.level=debug'],
      { SCOREWIRE_SERVER_HTTP_PORT: 'off' },
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^server\.port +9001 +flag --port$/m);
    expect(stdout).toMatch(/^server\.http_port +off +environment SCOREWIRE_SERVER_HTTP_PORT$/m);
    expect(stdout).toMatch(new RegExp(`^workers\\.count +3 +file ${file}$`, 'm'));
    expect(stdout).toMatch(/^log\.level +debug +flag --set$/m);
    expect(stdout).toMatch(/^server\.host +127\.0\.0\.1 +default$/m);
  });
});

test('--version', async () => {
  const { code, stdout } = await runCommand(['--version']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('score and models against a server, and what they say when there is none', async () => {
  const { command, address } = await serve(EXAMPLES);
  const hint = await command.logged(/^try: npx scorewire score /);

  // The line from the log, as a shell takes it.
  const words = [...hint.msg.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
  const score = await runCommand(words.slice(words.indexOf('score')));
  expect([score.code, score.stderr]).toEqual([0, '']);
  expect(JSON.parse(score.stdout)).toMatchObject({ model: words[words.indexOf('score') + 1] });

  const models = await runCommand(['models', '--address', address]);
  expect([models.code, models.stderr]).toEqual([0, '']);
  expect(models.stdout).toMatch(/^churn +1 +yes +ready +binary/m);

  expect(await complaint(['score', 'chrn', '--address', address, '--row', '[1]'])).toBe(
    'NOT_FOUND: no model is called "chrn"; did you mean "churn"?',
  );

  command.signal('SIGTERM');
  expect(await command.ended).toEqual({ code: 0, signal: null });
  expect(await complaint(['models', '--address', address])).toMatch(/^UNAVAILABLE: /);
});
