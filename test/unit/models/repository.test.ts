import { createHash } from 'node:crypto';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SetupError } from '../../../src/errors.ts';
import { insist, readRepository } from '../../../src/models/repository.ts';
import { classifier, gatherRow, linear, onnxModel } from '../../support/onnx-builder.ts';
import { floats, runModel } from './run-model.ts';
import { tempRepository } from './temp-repository.ts';

const small = linear([1, 2], 0);

/** y = x + w, with w in another file. */
const external = (location: string): Uint8Array =>
  onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 2] }],
    outputs: [{ name: 'y', type: 'float32', dims: ['N', 2] }],
    initializers: [{ name: 'w', type: 'float32', dims: [2], external: { location, offset: 0, length: 8 } }],
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
  });

const sha256 = (...parts: Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

async function refused(files: Record<string, string | Uint8Array>): Promise<string> {
  const directory = await tempRepository(files);
  const repository = await readRepository(directory);
  expect(() => insist(repository, directory)).toThrow(SetupError);
  return repository.failures.map(({ reason }) => reason.replaceAll(directory, 'models')).join('; ');
}

describe('a repository', () => {
  test('gives every version of every model, by name, then by number', async () => {
    const directory = await tempRepository({
      'wine/10/model.onnx': small,
      'wine/9/model.onnx': small,
      'Age_v2.0-b/1/model.onnx': gatherRow(),
    });
    const { specs, warnings } = await readRepository(directory);
    expect(specs.map(({ name, version }) => `${name} ${version}`)).toEqual(['Age_v2.0-b 1', 'wine 9', 'wine 10']);
    expect(warnings).toEqual([]);
    expect(specs[1]).toMatchObject({
      directory: join(directory, 'wine', '9'),
      file: join(directory, 'wine', '9', 'model.onnx'),
      digest: sha256(small),
      bytes: small.length,
      description: '',
      producer: 'scorewire-test 1',
      opset: { '': 17 },
      task: 'binary',
      source: { kind: 'bytes', externalDataDir: join(directory, 'wine', '9') },
    });
    expect(specs[1]).toMatchObject({ maxBatchRows: undefined, latencyBudgetMs: undefined, golden: undefined });
  });

  test('says which version somebody chose to be live', async () => {
    const directory = await tempRepository({
      'wine/1/model.onnx': small,
      'wine/2/model.onnx': small,
      'wine/live': '1\n',
      'age/1/model.onnx': small,
    });
    const { live, warnings } = await readRepository(directory);
    expect([...live]).toEqual([['wine', 1]]);
    expect(warnings).toEqual([]);
    expect(await refused({ 'wine/1/model.onnx': small, 'wine/live': '2' })).toBe(
      'models/wine/live: expected the number of the live version (1), found "2"; without the file the highest is live',
    );
  });

  test('applies one manifest to all versions', async () => {
    const directory = await tempRepository({
      'wine/1/model.onnx': small,
      'wine/2/model.onnx': small,
      'wine/model.yaml':
        'description: Wine\nlatency_budget_ms: 5\nbatching: { max_rows: 16, max_delay_ms: 1 }\ngolden: { file: rows.jsonl }',
      'wine/rows.jsonl': '{}',
      'wine/2/rows.jsonl': '{}',
    });
    const { specs } = await readRepository(directory);
    for (const spec of specs) {
      expect(spec).toMatchObject({ description: 'Wine', latencyBudgetMs: 5, maxBatchRows: 16, maxDelayMs: 1 });
    }
    // A version's own golden rows come first.
    expect(specs.map(({ golden }) => golden)).toEqual([
      { file: join(directory, 'wine', 'rows.jsonl'), tolerance: 1e-5 },
      { file: join(directory, 'wine', '2', 'rows.jsonl'), tolerance: 1e-5 },
    ]);
  });

  test('gives edited bytes where ZipMap had to go, and the digest of the file all the same', async () => {
    const model = classifier(['a', 'b']);
    const { specs } = await readRepository(await tempRepository({ 'zip/1/model.onnx': model }));
    const [spec] = specs;
    expect(spec?.digest).toBe(sha256(model));
    expect(spec?.source).toMatchObject({ kind: 'bytes', externalDataDir: spec?.directory });
    const bytes = spec?.source.kind === 'bytes' ? spec.source.bytes : new Uint8Array();
    // Not a window on memory that is shared with others: it is handed to threads.
    expect(bytes.buffer.byteLength).toBe(bytes.byteLength);
    const results = await runModel(new Uint8Array(bytes), { X: floats([[1, 2, 3]]) });
    expect(results.output_probability?.dims).toEqual([1, 2]);
  });

  test('counts data files into digest and size', async () => {
    const weights = new Uint8Array(Float32Array.of(0.5, -1).buffer);
    const model = external('model.onnx.data');
    const files = { 'e/1/model.onnx': model, 'e/1/model.onnx.data': weights };
    const { specs } = await readRepository(await tempRepository(files));
    expect(specs[0]).toMatchObject({
      digest: sha256(model, weights),
      bytes: model.length + weights.length,
      source: { kind: 'file' },
    });
    const other = await readRepository(
      await tempRepository({ ...files, 'e/1/model.onnx.data': weights.map((b) => b + 1) }),
    );
    expect(other.specs[0]?.digest).not.toBe(specs[0]?.digest);
  });

  test('follows links and leaves hidden files alone', async () => {
    const directory = await tempRepository({
      'store/v1/model.onnx': small,
      'models/.git/config': 'x',
      'models/a/.cache/x': 'x',
    });
    await symlink(join(directory, 'store', 'v1'), join(directory, 'models', 'a', '1'));
    const { specs, warnings } = await readRepository(join(directory, 'models'));
    expect(specs.map(({ name, version }) => `${name} ${version}`)).toEqual(['a 1']);
    expect(warnings).toEqual([]);
  });

  test('warns of what lies in it and is not served', async () => {
    const directory = await tempRepository({
      'README.md': 'models',
      'lost.onnx': small,
      'a/1/model.onnx': small,
      'a/1/notes.txt': 'x',
      'a/2.onnx': small,
      'a/v2/model.onnx': small,
      'a/0/model.onnx': small,
      'a/01/model.onnx': small,
      'a/model.yml': 'task: regression',
    });
    const { specs, warnings } = await readRepository(directory);
    expect(specs).toHaveLength(1);
    expect(warnings.map((warning) => warning.replaceAll(directory, 'models'))).toEqual([
      'models/lost.onnx is not served: a model lies at models/lost/1/model.onnx',
      'models/a/0 is not served: a version is a whole number from 1 on',
      'models/a/01 is not served: a version is a whole number from 1 on',
      'models/a/v2 is not served: a version is a whole number from 1 on',
      'models/a/2.onnx is not served: it belongs into a version, such as models/a/1/model.onnx',
      'models/a/model.yml is not read: a manifest is called model.yaml',
    ]);
  });
});

describe('one clear line for', () => {
  test('a directory that is not there, is a file, or is empty', async () => {
    const directory = await tempRepository({ file: 'x' });
    await mkdir(join(directory, 'empty'));
    await expect(readRepository(join(directory, 'none'))).rejects.toThrow(
      `${join(directory, 'none')} isn't there; expected is a models directory`,
    );
    await expect(readRepository(join(directory, 'file'))).rejects.toThrow(
      `${join(directory, 'file')} is a file; expected is a models directory`,
    );
    const empty = join(directory, 'empty');
    const nothing = await readRepository(empty);
    expect(() => insist(nothing, empty)).toThrow(
      `${empty} has no models; a model lies at ${join(empty, 'NAME', '1', 'model.onnx')}`,
    );
  });

  test.each([
    [
      'a name that no call could carry',
      { 'my model/1/model.onnx': small },
      'models/my model: a model can\'t be called "my model"; allowed are letters, digits, "-", "_" and "."',
    ],
    ['a model without versions', { 'a/model.yaml': '' }, 'models/a has no version; expected is models/a/1/model.onnx'],
    ['a version without its file', { 'a/1/notes.txt': '' }, 'models/a/1 has no model.onnx'],
    [
      'a file by another name',
      { 'a/1/churn.onnx': small },
      'models/a/1 has no model.onnx; found churn.onnx, which must be called model.onnx',
    ],
    [
      'a file that is no model',
      { 'a/1/model.onnx': '' },
      'models/a/1/model.onnx is not an ONNX model: the file is empty',
    ],
    [
      'weights that are not there',
      { 'a/1/model.onnx': external('model.onnx.data') },
      "models/a/1/model.onnx.data isn't there; models/a/1/model.onnx keeps its weights in it",
    ],
    [
      'weights from elsewhere',
      { 'a/1/model.onnx': external('../../secret') },
      'models/a/1/model.onnx: its data file "../../secret" must lie beside it, in models/a/1',
    ],
    [
      'a manifest with a mistake',
      { 'a/1/model.onnx': small, 'a/model.yaml': 'task: binry' },
      'models/a/model.yaml:1: task: found "binry"; allowed is binary, multiclass or regression',
    ],
    [
      'a manifest that does not fit the graph',
      { 'a/1/model.onnx': small, 'a/model.yaml': 'score: { output: y }' },
      'models/a/model.yaml:1: score.output: found "y"; allowed is a float output: score',
    ],
    [
      'golden rows that are not there',
      { 'a/1/model.onnx': small, 'a/model.yaml': 'golden: { file: rows.jsonl }' },
      'models/a/model.yaml:1: golden.file: found "rows.jsonl"; allowed is a file in models/a or in models/a/1',
    ],
  ])('%s', async (_, files, message) => {
    expect(await refused(files)).toBe(message);
  });
});
