// The answers themselves; how they travel is tested against a server.
import { status as Status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import type { ServerReflectionRequest } from '../../../src/gen/grpc/reflection/v1/reflection.ts';
import { protoFiles, readDescriptors } from '../../../src/grpc/descriptors.ts';
import { Reflection } from '../../../src/grpc/reflection.ts';

const reflection = new Reflection(protoFiles, ['b.Second', 'a.First', 'b.Second']);

type Question = NonNullable<ServerReflectionRequest['messageRequest']>;

/** Names of the files in an answer, or the code of its error. */
function filesOf(question: Question): string[] | number {
  const answer = reflection.answer(question);
  if (answer.$case === 'errorResponse') return answer.value.errorCode;
  if (answer.$case !== 'fileDescriptorResponse') throw new Error(answer.$case);
  return answer.value.fileDescriptorProto.map(
    (bytes) => readDescriptors(Buffer.concat([header(bytes.length), bytes]))[0]?.name ?? '',
  );
}

/** Makes a FileDescriptorSet of the file that follows. */
function header(length: number): Buffer {
  return Buffer.of(0x0a, (length & 0x7f) | 0x80, (length >> 7) | 0x80, length >> 14);
}

test('services are listed once each', () => {
  expect(reflection.answer({ $case: 'listServices', value: '' })).toEqual({
    $case: 'listServicesResponse',
    value: { service: [{ name: 'a.First' }, { name: 'b.Second' }] },
  });
});

const SCORING = [
  'scorewire/v1/scoring.proto',
  'google/protobuf/duration.proto',
  'google/protobuf/timestamp.proto',
  'scorewire/v1/tensor.proto',
];

describe('a file, then all that it imports', () => {
  test.each([
    'scorewire.v1.ScoringService',
    'scorewire.v1.ScoringService.Score',
    'scorewire.v1.ScoreRequest',
    'scorewire.v1.ScoreRequest.model',
    'scorewire.v1.ScoreRequest.entity',
    'scorewire.v1.NamedRow.ValuesEntry',
    'scorewire.v1.Origin',
    'scorewire.v1.ORIGIN_STALE',
  ])('of %s', (value) => {
    expect(filesOf({ $case: 'fileContainingSymbol', value })).toEqual(SCORING);
  });

  test.each([
    ['google.protobuf.Duration', 'google/protobuf/duration.proto'],
    ['google.rpc.BadRequest.FieldViolation', 'google/rpc/error_details.proto'],
    ['grpc.health.v1.HealthCheckResponse.ServingStatus', 'grpc/health/v1/health.proto'],
    ['grpc.health.v1.HealthCheckResponse.SERVING', 'grpc/health/v1/health.proto'],
    ['grpc.reflection.v1.ServerReflection', 'grpc/reflection/v1/reflection.proto'],
    ['grpc.reflection.v1alpha.ServerReflection', 'grpc/reflection/v1alpha/reflection.proto'],
  ])('of %s', (value, file) => {
    expect(filesOf({ $case: 'fileContainingSymbol', value })).toContain(file);
  });

  test('by name', () => {
    expect(filesOf({ $case: 'fileByFilename', value: 'scorewire/v1/scoring.proto' })).toEqual(SCORING);
  });
});

describe('what is not there', () => {
  test.each(['', 'scorewire.v1', 'scorewire.v1.Nothing', '.scorewire.v1.Row', 'constructor', '__proto__'])(
    '%j',
    (value) => {
      expect(filesOf({ $case: 'fileByFilename', value })).toBe(Status.NOT_FOUND);
      expect(filesOf({ $case: 'fileContainingSymbol', value })).toBe(Status.NOT_FOUND);
      expect(filesOf({ $case: 'allExtensionNumbersOfType', value })).toBe(Status.NOT_FOUND);
      const extension = { containingType: value, extensionNumber: 1 };
      expect(filesOf({ $case: 'fileContainingExtension', value: extension })).toBe(Status.NOT_FOUND);
    },
  );

  test('extensions of a message that is there', () => {
    expect(reflection.answer({ $case: 'allExtensionNumbersOfType', value: 'scorewire.v1.Row' })).toEqual({
      $case: 'allExtensionNumbersResponse',
      value: { baseTypeName: 'scorewire.v1.Row', extensionNumber: [] },
    });
  });

  test('a question', () => {
    expect(reflection.answer(undefined)).toMatchObject({ value: { errorCode: Status.INVALID_ARGUMENT } });
  });
});
