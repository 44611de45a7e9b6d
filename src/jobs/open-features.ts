// The feature stores of the server, read anew by a job: a refresh takes features as they are now.
import { FeatureStores } from '../features/feature-stores.ts';
import type { JobTask } from './messages.ts';

/** A job reads features once. */
const NEVER_MS = 2 ** 31 - 1;
const CONNECT_MS = 5000;

/** @throws SetupError */
export async function openFeatures({ features, model }: JobTask): Promise<FeatureStores> {
  const spec = { name: model.name, rows: model.rows, featureView: model.view };
  const stores = await FeatureStores.open({ ...features, specs: [spec], needed: false, reloadMs: NEVER_MS });
  await stores.whenConnected(CONNECT_MS);
  return stores;
}
