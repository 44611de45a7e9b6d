// What models want of a feature store: it holds each feature once, in a way that suits them all.
import { SetupError } from '../errors.ts';
import type { Feature, FeatureType, ModelSpec } from '../models/model.ts';
import { BadValue, encodeValue } from './encode-value.ts';
import type { RowValue } from './row.ts';

export type WantedFeature = {
  name: string;
  /** How it is held: numbers where models want it as different kinds of these. */
  type: FeatureType;
  /** As models take it, each way once. */
  taken: readonly Feature[];
  /** A model that can't do without; undefined where all have a default. */
  neededBy: string | undefined;
};

/** @throws SetupError where models want a feature as a text and as something else */
export function wantedFeatures(
  store: string,
  specs: readonly Pick<ModelSpec, 'name' | 'rows' | 'featureView'>[],
): WantedFeature[] {
  const wanted = new Map<string, { model: string; feature: Feature }[]>();
  for (const { name: model, rows, featureView } of specs) {
    if (featureView.store !== store || rows.kind !== 'features') continue;
    for (const feature of rows.features) {
      if (feature.source !== 'store') continue;
      const takers = wanted.get(feature.name);
      if (takers === undefined) wanted.set(feature.name, [{ model, feature }]);
      else takers.push({ model, feature });
    }
  }
  return [...wanted].map(([name, takers]) => {
    const type = heldType(takers.map(({ feature }) => feature.type));
    if (type === undefined) {
      const text = takers.find(({ feature }) => feature.type === 'text');
      const other = takers.find(({ feature }) => feature.type !== 'text');
      throw new SetupError(
        `feature store ${store}: ${name} is text for model ${text?.model}, and ${other?.feature.type} for model ${other?.model}`,
      );
    }
    return {
      name,
      type,
      taken: distinct(takers.map(({ feature }) => feature)),
      // Where NaN is a value, null is NaN.
      neededBy: takers.find(({ feature }) => feature.default === undefined && !feature.allowNan)?.model,
    };
  });
}

function heldType(types: readonly FeatureType[]): FeatureType | undefined {
  const kinds = new Set(types);
  const [only] = kinds;
  if (kinds.size === 1) return only;
  return kinds.has('text') ? undefined : 'number';
}

/** How a model takes a feature; those that are equal take the same. */
export function formOf({ type, dataType, allowNan }: Feature): string {
  return `${type} ${dataType} ${allowNan}`;
}

function distinct(features: readonly Feature[]): Feature[] {
  const seen = new Set<string>();
  return features.filter((feature) => {
    const key = formOf(feature);
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

/** What is wrong with a value that a store has, as `expected ..., found ...`; undefined where every model can take it. */
export function whyUnfit({ taken }: WantedFeature, value: RowValue): string | undefined {
  for (const feature of taken) {
    try {
      encodeValue(feature, value);
    } catch (error) {
      if (error instanceof BadValue) return error.message;
      throw error;
    }
  }
  return undefined;
}

/** Whether numbers can be held in 32 bits, since models take them so. */
export function isFloat32({ type, taken }: WantedFeature): boolean {
  return type === 'number' && taken.every((feature) => feature.type === 'number' && feature.dataType === 'float32');
}
