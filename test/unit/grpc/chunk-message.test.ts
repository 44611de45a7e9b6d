import fc from 'fast-check';
import { expect, test } from 'vitest';
import { invalidField } from '../../../src/errors.ts';
import { type Origin, ScoreBatchResponse, type ScoreChunk } from '../../../src/gen/scorewire/v1/scoring.ts';
import { chunkMessage } from '../../../src/grpc/chunk-message.ts';
import { toRowError } from '../../../src/grpc/status.ts';
import { atOnce } from '../../support/at-once.ts';

const int32 = fc.oneof(fc.integer({ min: -1, max: 3 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
const uint32 = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const segment = fc.integer({ min: -1, max: 200 });

test('what a decoder finds in it is what was put in', () => {
  const origin = fc.integer({ min: 0, max: 4 });
  const row = fc.record({ row: uint32, score: fc.float(), label: int32, segment, origin });
  fc.assert(
    fc.property(
      uint32,
      fc.array(row, { maxLength: 60 }),
      fc.boolean(),
      fc.array(uint32, { maxLength: 40 }),
      (firstRow, list, all, wrong) => {
        const message = atOnce(
          chunkMessage(
            {
              firstRow,
              rows: Uint32Array.from(all ? [] : list.map((one) => one.row)),
              scores: Float32Array.from(list, ({ score }) => score),
              labels: Int32Array.from(list, ({ label }) => label),
              segments: Int32Array.from(list, (one) => one.segment),
              origins: Uint8Array.from(list, (one) => one.origin),
              errors: wrong.map((place) => ({ row: place, error: invalidField('x', `wrong ${place}`) })),
            },
            ({ row: place, error }) => toRowError(error, place, '', () => {}),
          ),
        );
        const { part } = ScoreBatchResponse.decode(message.subarray(5));
        expect(part?.$case).toBe('chunk');
        expect(part?.value).toEqual({
          firstRow: BigInt(firstRow),
          rows: all ? [] : list.map((one) => one.row),
          scores: list.map(({ score }) => score),
          labels: list.map(({ label }) => label),
          segments: list.map((one) => one.segment + 1),
          origins: list.map((one) => one.origin as Origin),
          errors: wrong.map((place) => ({
            row: BigInt(place),
            code: 3,
            reason: 'INVALID_FIELD',
            field: 'x',
            message: `x: wrong ${place}`,
          })),
        } satisfies ScoreChunk);
      },
    ),
  );
});
