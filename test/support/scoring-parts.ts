// What a scorer is made of, around any scheduler and store.
import type { Scheduler } from '../../src/batching/scheduler.ts';
import type { ScoreStore } from '../../src/scores/score-store.ts';
import type { EntityCallParts } from '../../src/scoring/entity-call.ts';
import { RealTime } from '../../src/scoring/real-time.ts';
import { SharedScores } from '../../src/scoring/shared-scores.ts';
import { StoredScores } from '../../src/scoring/stored-scores.ts';
import { CounterCell } from '../../src/telemetry/instruments.ts';
import type { LookUpCells } from '../../src/telemetry/metrics.ts';

/** @param store absent: scores are not kept */
export function scoringParts(scheduler: Scheduler, store?: ScoreStore): EntityCallParts & { cells: LookUpCells } {
  const cells = { hit: new CounterCell({}), miss: new CounterCell({}), unavailable: new CounterCell({}) };
  const stored = new StoredScores(store, 1000, { cells: () => cells, writeBackFailed: () => {} });
  const realTime = new RealTime(scheduler, 1000);
  const shared = new SharedScores(realTime, (answer) => stored.writeBack(answer.model, [answer]));
  return { stored, realTime, shared, cells };
}
