import { Metadata, status as Status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { ScoreError } from '../../../src/client/score-error.ts';
import { BadRequest, ErrorInfo, RetryInfo } from '../../../src/gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../../../src/gen/google/rpc/status.ts';

function metadata(details: [name: string, value: Uint8Array][], pushBack?: string): Metadata {
  const found = new Metadata();
  const packed = details.map(([name, value]) => ({ typeUrl: `type.googleapis.com/google.rpc.${name}`, value }));
  const bytes = RpcStatus.encode({ code: 3, message: 'm', details: packed }).finish();
  found.set('grpc-status-details-bin', Buffer.from(bytes));
  if (pushBack !== undefined) found.set('grpc-retry-pushback-ms', pushBack);
  return found;
}

const failed = (code: number, found: Metadata) =>
  ScoreError.ofStatus({ code, details: 'what is wrong', metadata: found });

test('reason and fields come from the details', () => {
  const violations = [
    { field: 'row', description: 'none', reason: '' },
    { field: 'model', description: 'empty', reason: '' },
  ];
  const error = failed(
    Status.INVALID_ARGUMENT,
    metadata([
      ['ErrorInfo', ErrorInfo.encode({ reason: 'INVALID_ROW', domain: 'scorewire', metadata: new Map() }).finish()],
      ['BadRequest', BadRequest.encode({ fieldViolations: violations }).finish()],
    ]),
  );
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'ScoreError',
    message: 'what is wrong',
    code: 'INVALID_ARGUMENT',
    reason: 'INVALID_ROW',
    violations: [
      { field: 'row', description: 'none' },
      { field: 'model', description: 'empty' },
    ],
    retryAfterMs: undefined,
  });
});

const retryInfo = (seconds: bigint, nanos: number): [string, Uint8Array] => [
  'RetryInfo',
  RetryInfo.encode({ retryDelay: { seconds, nanos } }).finish(),
];

test.each<[string, [string, Uint8Array][], string | undefined, number | undefined]>([
  ['in the details', [retryInfo(2n, 5_000_000)], undefined, 2005],
  ['in the trailer', [], '70', 70],
  ['in both, of which the trailer is what gRPC itself obeys', [retryInfo(0n, 69_000_000)], '70', 70],
  ['nowhere', [], undefined, undefined],
  ['as never', [], '-1', Number.POSITIVE_INFINITY],
  ['as nothing that can be read, which is never', [], 'soon', Number.POSITIVE_INFINITY],
])('when to come back is said %s', (_, details, pushBack, retryAfterMs) => {
  expect(failed(Status.RESOURCE_EXHAUSTED, metadata(details, pushBack)).retryAfterMs).toBe(retryAfterMs);
});

test('details that are broken leave the status', () => {
  const broken = new Metadata();
  broken.set('grpc-status-details-bin', Buffer.of(0x1a, 0xff));
  expect(failed(Status.NOT_FOUND, broken)).toMatchObject({ code: 'NOT_FOUND', reason: '', violations: [] });
  const wrong = metadata([['BadRequest', Buffer.of(0x0a, 0xff)]]);
  expect(failed(Status.NOT_FOUND, wrong)).toMatchObject({ code: 'NOT_FOUND', violations: [] });
});

test('a code that gRPC does not know', () => {
  expect(failed(99, new Metadata()).code).toBe('UNKNOWN');
});

test('an item names its field', () => {
  const item = { row: 0n, code: 3, reason: 'INVALID_ROW', field: 'row.dense', message: 'row.dense: expected 3 values' };
  expect(ScoreError.ofItem(item)).toMatchObject({
    code: 'INVALID_ARGUMENT',
    reason: 'INVALID_ROW',
    message: 'row.dense: expected 3 values',
    violations: [{ field: 'row.dense', description: 'expected 3 values' }],
  });
  expect(ScoreError.ofItem({ ...item, field: '', message: 'no' })).toMatchObject({ message: 'no', violations: [] });
});

test('an item says when to come back', () => {
  const item = { row: 0n, code: Status.RESOURCE_EXHAUSTED, reason: 'QUEUE_FULL', field: '', message: 'full' };
  const retryDelay = { seconds: 1n, nanos: 20_000_000 };
  expect(ScoreError.ofItem({ ...item, retryDelay })).toMatchObject({ code: 'RESOURCE_EXHAUSTED', retryAfterMs: 1020 });
  expect(ScoreError.ofItem(item).retryAfterMs).toBeUndefined();
});
