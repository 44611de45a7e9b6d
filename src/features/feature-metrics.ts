// What feature stores tell the metrics; cells are looked up once.
import type { CounterCell, HistogramCell } from '../telemetry/instruments.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { FeatureObserver, LookUp } from './feature-store.ts';

export function featureObserver(metrics: Metrics): FeatureObserver {
  const lookUps = new Map<string, CounterCell>();
  const ages = new Map<string, HistogramCell>();
  const lookUpCell = (store: string, result: LookUp): CounterCell => {
    const key = `${result} ${store}`;
    const cell = lookUps.get(key) ?? metrics.featureLookUps.cell({ store, result });
    lookUps.set(key, cell);
    return cell;
  };
  return {
    looked: (store, outcome, entities) => lookUpCell(store, outcome).add(entities),
    loaded: (store, isRead) => metrics.featureLoads.cell({ store, result: isRead ? 'read' : 'failed' }).add(),
    used: (model, ageSeconds) => {
      const cell = ages.get(model) ?? metrics.featureAge.cell({ model });
      ages.set(model, cell);
      cell.record(Math.max(0, ageSeconds));
    },
  };
}
