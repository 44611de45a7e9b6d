import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { writeItem } from '../../../src/client/item-message.ts';
import { encodeRequest } from '../../../src/client/score-message.ts';
import { ScoreRequest, ScoreStreamRequest } from '../../../src/gen/scorewire/v1/scoring.ts';

const request = encodeRequest({ model: 'm', row: [1, 2, 3] });

/** As the server reads them. */
function written(...items: [id: number, request: Uint8Array, timeoutMs: number][]): ScoreStreamRequest['items'] {
  const writer = new BinaryWriter();
  for (const [id, bytes, timeoutMs] of items) writeItem(writer, id, bytes, timeoutMs);
  return ScoreStreamRequest.decode(writer.finish()).items;
}

test('items one after the other, whatever their size', () => {
  const large = encodeRequest({ model: 'm'.repeat(40_000), row: [4] });
  expect(written([1, request, 30], [300, large, 1e7], [2 ** 32 + 5, request, Number.POSITIVE_INFINITY])).toEqual([
    { id: 1n, request: ScoreRequest.decode(request), timeout: { seconds: 0n, nanos: 30_000_000 } },
    { id: 300n, request: ScoreRequest.decode(large), timeout: { seconds: 10_000n, nanos: 0 } },
    { id: 2n ** 32n + 5n, request: ScoreRequest.decode(request), timeout: undefined },
  ]);
});

const MAX_MS = 315_576_000_000_000;

test.each<[timeoutMs: number, expected: { seconds: bigint; nanos: number } | undefined]>([
  [0.001, { seconds: 0n, nanos: 1_000_000 }],
  [199.2, { seconds: 0n, nanos: 200_000_000 }],
  [999.9, { seconds: 1n, nanos: 0 }],
  [2005, { seconds: 2n, nanos: 5_000_000 }],
  [2 ** 45 + 1, { seconds: 35_184_372_088n, nanos: 833_000_000 }],
  [MAX_MS, { seconds: 315_576_000_000n, nanos: 0 }],
  [MAX_MS + 1, undefined],
  [Number.POSITIVE_INFINITY, undefined],
  [0, { seconds: 0n, nanos: 0 }],
  [-3, { seconds: 0n, nanos: 0 }],
])('%s ms to go', (timeoutMs, expected) => {
  expect(written([1, request, timeoutMs])).toMatchObject([{ timeout: expected }]);
});
