import { expect, test } from 'vitest';
import { parseReading, readServerSplit, splitBetween } from '../../../src/bench/server-split.ts';

function metrics(count: number, sum: number, gc: number): string {
  return `# TYPE scorewire_batch_rows histogram
scorewire_batch_rows_bucket{model="churn",version="1",le="1"} ${count / 2}
scorewire_batch_rows_bucket{model="churn",version="1",le="2"} ${count}
scorewire_batch_rows_bucket{model="churn",version="1",le="+Inf"} ${count}
scorewire_batch_rows_sum{model="churn",version="1"} ${sum}
scorewire_batch_rows_count{model="churn",version="1"} ${count}
scorewire_batch_rows_bucket{model="wine",version="1",le="+Inf"} 77
scorewire_batch_rows_sum{model="wine",version="1"} 77
scorewire_batch_rows_count{model="wine",version="1"} 77
v8js_gc_duration_seconds_bucket{type="minor",le="+Inf"} ${gc}
v8js_gc_duration_seconds_sum{type="minor"} ${gc / 1000}
v8js_gc_duration_seconds_count{type="minor"} ${gc}
process_uptime_seconds 12
`;
}

test('what came between two readings, of the one model', () => {
  const [before, after] = [metrics(10, 15, 4), metrics(30, 45, 4)].map((text) => parseReading(text, 'churn'));
  const { parts } = splitBetween(before as never, after as never);
  // The collector was quiet: nothing to say of it.
  expect(parts).toEqual([
    {
      name: 'rows a batch',
      count: 20,
      mean: 1.5,
      buckets: [
        [1, 10],
        [2, 10],
        [null, 0],
      ],
    },
  ]);
});

test('no metrics of ours, no answer, no address: no split', async () => {
  expect(parseReading('process_uptime_seconds 12\n', 'churn')).toBeUndefined();
  expect(await readServerSplit(undefined, 'churn')).toBeUndefined();
  expect(await readServerSplit('http://127.0.0.1:1/metrics', 'churn')).toBeUndefined();
});
