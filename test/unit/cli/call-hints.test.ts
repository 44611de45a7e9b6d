// The lines that the server's log offers: they must work when pasted.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callHints } from '../../../src/cli/call-hints.ts';
import { addScore } from '../../../src/cli/score.ts';
import { ScoreRequest } from '../../../src/gen/scorewire/v1/scoring.ts';
import type { ServedModel } from '../../../src/scoring/served-model.ts';
import { folderOf } from '../../support/model-folder.ts';
import { identityText, linear } from '../../support/onnx-builder.ts';
import { promised } from '../../support/test-client.ts';
import { TestServer } from '../../support/test-server.ts';
import { runInProcess } from './run-command.ts';

const NO_TLS = { cert: undefined, key: undefined, clientCa: undefined };
const GOLDEN = 'golden: { file: golden.jsonl }';

let server: TestServer;

beforeAll(async () => {
  const folder = await folderOf({
    'dense/1/model.onnx': linear([1, -1], 0),
    'dense/model.yaml': GOLDEN,
    'dense/golden.jsonl': '{"row": [1, 2], "score": 0.2689414}',
    'named/1/model.onnx': linear([1, -1, 1], 0),
    'named/model.yaml': `features: [{ name: age }, { name: "it's odd" }, { name: c, allow_nan: true }]\n${GOLDEN}`,
    'named/golden.jsonl': '{"row": {"age": 1, "it\'s odd": 1, "c": 0}, "score": 0.5}',
    'text/1/model.onnx': identityText(),
    'text/model.yaml': GOLDEN,
    'text/golden.jsonl': '{"row": {"text": "it\'s"}, "score": 0}',
    'silent/1/model.onnx': linear([1], 0),
  });
  server = await TestServer.start(folder);
});

afterAll(() => server.stop());

const models = (...names: string[]): ServedModel[] => names.map((name) => server.running.engine.models.get(name));

/** Words of a line as a shell takes them: quotes, and quotes in quotes. */
function shellWords(line: string): string[] {
  const words: string[] = [];
  for (const [piece] of line.matchAll(/(?:'[^']*'|\\.|[^\s'\\])+/g)) {
    words.push(piece.replace(/'([^']*)'|\\(.)/g, (_, quoted, escaped) => quoted ?? escaped));
  }
  return words;
}

describe.each(['dense', 'named', 'text'])('%s', (name) => {
  test('our own line scores', async () => {
    const [own = ''] = await callHints(models(name), server.address, NO_TLS);
    expect(own).toMatch(/^try: npx scorewire score /);
    const { stdout } = await runInProcess(addScore, shellWords(own).slice(3));
    expect(JSON.parse(stdout)).toMatchObject({ model: name });
  });

  test("grpcurl's line has a message that scores", async () => {
    const [, grpcurl = ''] = await callHints(models(name), server.address, NO_TLS);
    const words = shellWords(grpcurl);
    expect(words.slice(0, 4)).toEqual(['try:', 'grpcurl', '-plaintext', '-d']);
    expect(words.slice(5)).toEqual([server.address, 'scorewire.v1.ScoringService/Score']);
    const request = ScoreRequest.fromJSON(JSON.parse(words[4] as string));
    const answer = await promised<{ model: string }>((done) => server.client.scoring.score(request, done));
    expect(answer.model).toBe(name);
  });
});

test('the model whose row tells most is taken', async () => {
  const [own] = await callHints(models('dense', 'named', 'text'), server.address, NO_TLS);
  expect(own).toContain(' named ');
});

test('none without golden rows', async () => {
  expect(await callHints(models('silent'), server.address, NO_TLS)).toEqual([]);
});

test('with TLS both trust the certificate', async () => {
  const tls = { ...NO_TLS, cert: "/a b/it's.pem", key: '/k' };
  const [own = '', grpcurl = ''] = await callHints(models('named'), server.address, tls);
  expect(shellWords(own)).toEqual(expect.arrayContaining(['--ca', "/a b/it's.pem"]));
  expect(shellWords(grpcurl)).toEqual(expect.arrayContaining(['-cacert', "/a b/it's.pem"]));
});
