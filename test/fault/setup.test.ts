// What keeps a server from starting: one SetupError that says what and where, and nothing is left behind.

import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SetupError } from '../../src/errors.ts';
import { startServer } from '../../src/server.ts';
import { accepts, freePort } from '../support/free-port.ts';
import { folderOf, modelFolder, tempFolder } from '../support/model-folder.ts';
import { linear, onnxModel } from '../support/onnx-builder.ts';
import { testLog, testSettings } from '../support/test-server.ts';

/** A graph that reads well and that onnxruntime refuses: it has no such operator. */
function unknownOperator(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    nodes: [{ op: 'Sigmoyd', inputs: ['x'], outputs: ['score'] }],
  });
}

/** The SetupError that the start fails with; on the way it is checked that nothing listens any more. */
async function startError(models: string, set: readonly string[] = []): Promise<Error> {
  const port = set.some((one) => one.startsWith('server.port=')) ? undefined : await freePort();
  const settings = testSettings(models, [...(port === undefined ? [] : [`server.port=${port}`]), ...set]);
  const error = await startServer(settings, testLog().log).then(
    async (running) => {
      await running.drain();
      throw new Error('it started');
    },
    (failed: Error) => failed,
  );
  expect(error, error.stack).toBeInstanceOf(SetupError);
  if (port !== undefined) expect(await accepts(port)).toBe(false);
  return error;
}

test('a model that onnxruntime refuses: the file, and its words', async () => {
  const models = await modelFolder({ bad: unknownOperator() });
  const { message } = await startError(models, ['workers.count=2']);
  expect(message).toContain(join(models, 'bad', '1', 'model.onnx'));
  expect(message).toContain("onnxruntime can't load it");
  expect(message).toContain('Sigmoyd');
  expect(message).not.toContain('\n');
});

test.each([
  ['an empty file', new Uint8Array()],
  ['a file of something else', Buffer.from('<html>404</html>')],
  ['half a file', linear([1, 2, 3], 0).subarray(0, 80)],
])('%s for a model', async (_, bytes) => {
  const models = await modelFolder({ bad: bytes });
  expect((await startError(models)).message).toContain(join(models, 'bad', '1', 'model.onnx'));
});

test('a folder that is not there, a file, an empty one', async () => {
  const folder = await tempFolder();
  expect((await startError(join(folder, 'absent'))).message).toContain(join(folder, 'absent'));
  expect((await startError(folder)).message).toContain('has no models');
  const file = join(await folderOf({ 'models.txt': 'a' }), 'models.txt');
  expect((await startError(file)).message).toContain('is a file');
});

test('golden rows that the features refuse: file and line', async () => {
  const models = await folderOf({
    'risk/1/model.onnx': linear([1, 1], 0),
    'risk/model.yaml': 'golden: { file: golden.jsonl }',
    'risk/golden.jsonl': '{"row": [1, 2], "score": 0.5}\n{"row": [1], "score": 0.5}\n',
  });
  const { message } = await startError(models);
  expect(message).toContain(`${join(models, 'risk', 'golden.jsonl')}:2: `);
  expect(message).toContain('expected 2 values, found 1');
});

test('a port that is taken: which setting', async () => {
  const taken = createServer();
  const port = await new Promise<number>((resolve) => {
    taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
  });
  onTestFinished(() => void taken.close());
  const models = await modelFolder({ risk: linear([1], 0) });
  const grpc = await startError(models, [`server.port=${port}`]);
  expect(grpc.message).toBe(
    `server.port: can't listen on 127.0.0.1:${port}: the port is taken; choose another one with --port`,
  );
  const http = await startError(models, [`server.http_port=${port}`]);
  expect(http.message).toContain(`127.0.0.1:${port}: the port is taken; set server.http_port`);
});

test('an address that this machine does not have', async () => {
  const models = await modelFolder({ risk: linear([1], 0) });
  const { message } = await startError(models, ['server.host=192.0.2.1']);
  expect(message).toContain('192.0.2.1');
  expect(message).toContain('this machine has no such address');
});

test('a host that there is not', async () => {
  const models = await modelFolder({ risk: linear([1], 0) });
  expect((await startError(models, ['server.host=no-such-host.invalid'])).message).toContain('no-such-host.invalid');
});
