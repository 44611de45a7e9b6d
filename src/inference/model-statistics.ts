// ModelStatistics: what became of requests, a version at a time.
import type { ModelStatistics as Message, StatisticDuration } from '../gen/inference/inference.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { CountedTime } from '../telemetry/model-statistics.ts';

/** @param workers that have the model, each with its own copy */
export function toStatistics({ spec, statistics }: ServedModel, workers: number): Message {
  const { success, fail, queue, computeInput, computeInfer, computeOutput } = statistics;
  return {
    name: spec.name,
    version: String(spec.version),
    lastInference: BigInt(statistics.lastInferenceMs),
    inferenceCount: BigInt(statistics.inferenceCount),
    executionCount: BigInt(statistics.executionCount),
    inferenceStats: {
      success: duration(success),
      fail: duration(fail),
      queue: duration(queue),
      computeInput: duration(computeInput),
      computeInfer: duration(computeInfer),
      computeOutput: duration(computeOutput),
      // There is no cache of responses.
      cacheHit: NEVER,
      cacheMiss: NEVER,
    },
    batchStats: [...statistics.runs]
      .sort(([a], [b]) => a - b)
      .map(([rows, time]) => ({
        batchSize: BigInt(rows),
        computeInput: { count: BigInt(time.count), ns: 0n },
        computeInfer: duration(time),
        computeOutput: { count: BigInt(time.count), ns: 0n },
      })),
    memoryUsage: [{ type: 'CPU', id: 0n, byteSize: BigInt(spec.bytes * workers) }],
    responseStats: new Map(),
  };
}

const NEVER: StatisticDuration = { count: 0n, ns: 0n };

function duration({ count, ns }: CountedTime): StatisticDuration {
  return { count: BigInt(count), ns: BigInt(Math.round(ns)) };
}
