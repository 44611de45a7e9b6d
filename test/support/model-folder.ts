// Model repositories for tests: folders of their own that go when the file's tests are over.

import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

export const EXAMPLES = fileURLToPath(new URL('../../examples/models', import.meta.url));
export const FOREIGN = fileURLToPath(new URL('../fixtures/foreign', import.meta.url));

const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** An empty folder. */
export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'scorewire-test-'));
  folders.push(folder);
  return folder;
}

/** A folder with these files, by path. */
export async function folderOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await tempFolder();
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return folder;
}

/** The models in `models`, each as version 1; a pair of bytes and text has a model.yaml. */
export async function modelFolder(
  models: Readonly<Record<string, Uint8Array | readonly [Uint8Array, string]>>,
): Promise<string> {
  const files: Record<string, string | Uint8Array> = {};
  for (const [name, model] of Object.entries(models)) {
    const [bytes, manifest] = model instanceof Uint8Array ? [model, undefined] : model;
    files[`${name}/1/model.onnx`] = bytes;
    if (manifest !== undefined) files[`${name}/model.yaml`] = manifest;
  }
  return folderOf(files);
}

/** The example models, without budgets of their own. */
export async function patientExamples(): Promise<string> {
  const folder = await tempFolder();
  await cp(EXAMPLES, folder, { recursive: true });
  const manifest = join(folder, 'churn', 'model.yaml');
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace(/^latency_budget_ms: .*$/m, ''));
  return folder;
}
