// Churn by customer: the example model with a feature view, and customers in a file.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXAMPLES, tempFolder } from './model-folder.ts';

export type Customers = {
  /** Settings that a server needs for them. */
  set: string[];
  models: string;
  /** customers.jsonl, with `customer_id` c0, c1 and so on, and the features of the golden rows. */
  file: string;
  rows: Readonly<Record<string, number | string | boolean | null>>[];
  /** What the model gives for each. */
  scores: number[];
};

/** @param manifest lines that model.yaml has on top */
export async function customers(manifest = ''): Promise<Customers> {
  const folder = await tempFolder();
  const models = join(folder, 'models');
  await cp(join(EXAMPLES, 'churn'), join(models, 'churn'), { recursive: true });
  const golden = (await readFile(join(EXAMPLES, 'churn', 'golden.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const yaml = join(models, 'churn', 'model.yaml');
  const patient = (await readFile(yaml, 'utf8'))
    .replace(/^latency_budget_ms: .*$/m, '')
    .replace(/^(feature_view|stored_scores): .*$/gm, '');
  await writeFile(yaml, `${patient}\nfeature_view: { store: customers }\n${manifest}`);
  const file = join(folder, 'customers.jsonl');
  const rows = golden.map(({ row }, index) => ({ customer_id: `c${index}`, ...row }));
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const stores = join(folder, 'features.yaml');
  await writeFile(stores, `customers: { files: ${JSON.stringify(file)}, entity: customer_id }\n`);
  return { set: [`features.file=${stores}`], models, file, rows, scores: golden.map(({ score }) => score) };
}
