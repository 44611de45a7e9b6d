import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DenseRow, NamedRow, Row, ScoreBatchRequest, ScoreRequest } from '../../../src/gen/scorewire/v1/scoring.ts';
import { Tensor } from '../../../src/gen/scorewire/v1/tensor.ts';
import { wellFormed, wellFormedMessage } from '../../../src/grpc/well-formed.ts';

const SCORE = '/scorewire.v1.ScoringService/Score';
const STREAM = '/scorewire.v1.ScoringService/ScoreStream';

/** Field numbers of ScoreRequest and of what is in it. */
const MODEL = 1;
const VERSION = 2;
const ENTITY_ID = 3;
const ROW = 5;
const OUTPUT_NAMES = 9;
const DENSE = 1;
const NAMED = 2;
const VALUES = 1;
const KEY = 1;
const VALUE = 2;
const TEXT = 3;
/** One that no message has. */
const UNKNOWN = 1000;

const good = ScoreRequest.encode({
  model: 'risk',
  version: 3n,
  entity: { $case: 'entityId', value: 'käse-🧀' },
  row: { form: { $case: 'dense', value: { values: [1, 2, 3] } } },
  policy: 0,
  maxStaleness: { seconds: 1n, nanos: 2 },
  outputNames: ['a', ''],
}).finish();

const WRONG: Record<string, Uint8Array> = {
  'tag 0': bytes(0),
  'tag 0, then more': bytes(0, good),
  'field 0 with a wire type': bytes(0x02, 1, 0x41),
  'field 0 in five bytes': bytes(0x82, 0x80, 0x80, 0x80, 0, 1, 0x41),
  'wire type 6': bytes(tag(UNKNOWN, 6)),
  'wire type 7': bytes(tag(UNKNOWN, 7), zeros(8)),
  'a tag cut off': bytes(0x80),
  'a tag of 33 bits': bytes(0x8a, 0x80, 0x80, 0x80, 0x10, 0),
  'a tag of six bytes': bytes(0x8a, 0x80, 0x80, 0x80, 0x80, 0, 0),
  'the end of a group that never began': bytes(tag(UNKNOWN, WireType.EndGroup)),
  'a group without an end': bytes(tag(UNKNOWN, WireType.StartGroup), field(1, good)),
  'a group that ends as another': bytes(tag(UNKNOWN, WireType.StartGroup), tag(UNKNOWN + 1, WireType.EndGroup)),
  'a group with a tag 0': bytes(tag(UNKNOWN, WireType.StartGroup), 0, tag(UNKNOWN, WireType.EndGroup)),
  'groups in groups, 101': groups(101),
  'groups in groups, 100,000': groups(100_000),
  'groups in groups without ends': new Uint8Array(100_000).fill(0x0b),
  'a varint cut off': bytes(tag(VERSION, 0), 0xff),
  'a varint of eleven bytes': bytes(tag(VERSION, 0), new Uint8Array(10).fill(0xff), 1),
  'a length cut off': bytes(tag(MODEL, 2), 0x80),
  'a length beyond the end': bytes(tag(MODEL, 2), 3, 0x41, 0x41),
  'a length of 4 GB': bytes(tag(MODEL, 2), 0xff, 0xff, 0xff, 0xff, 0x0f, 0x41),
  'a length that is right in 32 bits': bytes(tag(MODEL, 2), 0x81, 0x80, 0x80, 0x80, 0x10, 0x41),
  'a negative length': bytes(tag(UNKNOWN, 2), new Uint8Array(9).fill(0xff), 1),
  'half a fixed32': bytes(tag(UNKNOWN, WireType.Bit32), zeros(3)),
  'half a fixed64': bytes(tag(UNKNOWN, WireType.Bit64), zeros(7)),
  'a text that is not UTF-8': field(ENTITY_ID, bytes(0xff, 0xfe)),
  'a text with half a surrogate pair': field(ENTITY_ID, bytes(0xed, 0xa0, 0x80)),
  'a text with a letter in two bytes': field(ENTITY_ID, bytes(0xc1, 0x81)),
  'a text cut inside a letter': field(OUTPUT_NAMES, bytes(0x41, 0xc3)),
  'a long text that is not UTF-8 at its end': field(MODEL, bytes(new Uint8Array(200).fill(0x41), 0x80)),
};

describe('refused', () => {
  const check = wellFormed(SCORE);

  test.each(Object.entries(WRONG))('%s', (_, wrong) => {
    expect(() => check(wrong)).toThrow();
    expect(() => check(bytes(good, wrong))).toThrow();
  });

  // In unknown fields bytes are bytes; in these messages texts and numbers have other numbers.
  const structural = Object.entries(WRONG).filter(([name]) => !name.startsWith('a text') && !name.startsWith('a long'));

  test.each(structural)('%s, inside', (_, wrong) => {
    expect(() => check(field(ROW, wrong))).toThrow();
    expect(() => check(field(ROW, field(DENSE, wrong)))).toThrow();
    expect(() => check(field(ROW, field(NAMED, field(VALUES, wrong))))).toThrow();
    expect(() => check(field(ROW, field(NAMED, field(VALUES, field(VALUE, wrong)))))).toThrow();
    // The message goes on where the inner one ends too early.
    expect(() => check(bytes(field(ROW, wrong), good))).toThrow();
    expect(() => wellFormed(STREAM)(field(1, field(2, field(ROW, wrong))))).toThrow();
  });

  test.each<[string, Uint8Array]>([
    ['half a packed float', field(ROW, field(DENSE, field(VALUES, zeros(6))))],
    ['a name that is not UTF-8', field(ROW, field(NAMED, field(VALUES, field(KEY, bytes(0x80)))))],
    ['a value that is not UTF-8', field(ROW, field(NAMED, field(VALUES, field(VALUE, field(TEXT, bytes(0x80))))))],
    ['a map entry cut off', field(ROW, field(NAMED, field(VALUES, bytes(0x0a))))],
    ['a length beyond its own message', bytes(field(ROW, bytes(tag(UNKNOWN, 2), 4)), field(MODEL, zeros(8)))],
    ['a varint that ends after its message', bytes(field(ROW, bytes(tag(UNKNOWN, 0), 0x80)), 0)],
    ['a fixed32 that ends after its message', bytes(field(ROW, tag(UNKNOWN, WireType.Bit32)), good)],
    [
      'a group that ends after its message',
      bytes(field(ROW, tag(UNKNOWN, WireType.StartGroup)), tag(UNKNOWN, WireType.EndGroup)),
    ],
  ])('%s', (_, wrong) => {
    expect(() => check(wrong)).toThrow();
  });

  test.each<[string, string, Uint8Array]>([
    ['packed varints cut off', 'scorewire.v1.Tensor', field(5, bytes(0x01, 0x80))],
    ['packed varints too long', 'scorewire.v1.Tensor', field(5, new Uint8Array(11).fill(0x80))],
    ['half a packed double', 'scorewire.v1.Tensor', field(4, zeros(12))],
    ['packed enums cut off', 'scorewire.v1.ScoreChunk', field(6, bytes(0x80))],
    ['a key that is not UTF-8', 'google.rpc.ErrorInfo', field(3, field(1, bytes(0xff)))],
  ])('%s', (_, message, wrong) => {
    expect(() => wellFormedMessage(message)(wrong)).toThrow();
  });

  test('a message cut anywhere but between its fields', () => {
    const row = field(ROW, good);
    for (let length = 1; length < row.length; length++) {
      expect(() => wellFormedMessage('google.protobuf.Any')(row.subarray(0, length))).toThrow();
    }
  });

  test('what proto/ does not have', () => {
    expect(() => wellFormed('/scorewire.v1.ScoringService/Nothing')).toThrow('no method');
    expect(() => wellFormed('constructor')).toThrow('no method');
    expect(() => wellFormedMessage('__proto__')).toThrow('no message');
  });
});

describe('accepted', () => {
  test.each<[string, Uint8Array]>([
    ['nothing', bytes()],
    ['a request', good],
    ['a request in two parts', bytes(good, good)],
    ['floats one by one', field(ROW, field(DENSE, bytes(tag(VALUES, 5), zeros(4), tag(VALUES, 5), zeros(4))))],
    ['known fields with other wire types', bytes(tag(MODEL, 0), 7, tag(ROW, 5), zeros(4), field(VERSION, bytes(0xff)))],
    ['unknown fields', bytes(tag(UNKNOWN, 0), 1, field(UNKNOWN, bytes(0xff, 0)), tag(UNKNOWN, 1), zeros(8))],
    ['the largest field number', field(2 ** 29 - 1, bytes(0xff))],
    ['a varint of ten bytes', bytes(tag(VERSION, 0), new Uint8Array(9).fill(0xff), 1)],
    ['a tag and a length with idle zeros', bytes(0x8a, 0x80, 0x80, 0x80, 0, 0x81, 0x80, 0x80, 0x80, 0, 0x41)],
    ['groups in groups, 100', groups(100)],
    [
      'a group with all kinds of fields',
      bytes(
        ...[tag(UNKNOWN, WireType.StartGroup), tag(1, 0), 5, field(MODEL, bytes(0xff)), tag(3, 5), zeros(4)],
        ...[groups(2), tag(UNKNOWN, WireType.EndGroup), good],
      ),
    ],
    ['long texts', field(MODEL, Buffer.from(`${'a'.repeat(63)}é${'b'.repeat(200)}🧀`))],
    ['a text with a zero', field(MODEL, bytes(0x41, 0, 0x41))],
  ])('%s', (_, message) => {
    wellFormed(SCORE)(message);
    wellFormed(SCORE)(Buffer.concat([message]));
  });

  test('bytes that lie inside a larger buffer', () => {
    const larger = bytes(0, 0, good, 0);
    wellFormed(SCORE)(larger.subarray(2, 2 + good.length));
    expect(() => wellFormed(SCORE)(larger.subarray(2))).toThrow();
  });

  const text = fc.string({ unit: 'binary' });
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const value = fc.option(
    fc.oneof(
      fc.record({ $case: fc.constant('number' as const), value: fc.double() }),
      fc.record({ $case: fc.constant('integer' as const), value: int64 }),
      fc.record({ $case: fc.constant('text' as const), value: text }),
      fc.record({ $case: fc.constant('flag' as const), value: fc.boolean() }),
    ),
    { nil: undefined },
  );
  const named = fc.array(fc.tuple(text, fc.record({ kind: value }))).map((entries) => new Map(entries));
  const row = fc.oneof(
    fc.record({
      $case: fc.constant('dense' as const),
      value: fc.record({ values: fc.array(fc.float()) }),
    }),
    fc.record({ $case: fc.constant('named' as const), value: fc.record({ values: named }) }),
  );
  const request = fc.record({
    model: text,
    version: fc.option(int64, { nil: undefined }),
    entity: fc.option(
      fc.oneof(
        fc.record({ $case: fc.constant('entityId' as const), value: text }),
        fc.record({ $case: fc.constant('entityNumber' as const), value: int64 }),
      ),
      { nil: undefined },
    ),
    row: fc.option(fc.record({ form: fc.option(row, { nil: undefined }) }), { nil: undefined }),
    policy: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
    maxStaleness: fc.option(fc.record({ seconds: int64, nanos: fc.integer() }), { nil: undefined }),
    allowStale: fc.option(fc.boolean(), { nil: undefined }),
    outputNames: fc.array(text),
  });

  test('every request that can be written', () => {
    const check = wellFormed(SCORE);
    fc.assert(fc.property(request, (message) => check(ScoreRequest.encode(message).finish())));
  });

  test('every tensor that can be written', () => {
    const check = wellFormedMessage('scorewire.v1.Tensor');
    const unsigned = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const tensor = fc.record({
      dataType: fc.constant(2 as const),
      shape: fc.array(int64),
      floats: fc.array(fc.float()),
      doubles: fc.array(fc.double()),
      integers: fc.array(int64),
      unsigneds: fc.array(unsigned),
      texts: fc.array(text),
    });
    fc.assert(fc.property(tensor, (message) => check(Tensor.encode(message).finish())));
  });

  test('what is accepted is decoded to its end', () => {
    const check = wellFormed(SCORE);
    fc.assert(
      fc.property(request, fc.nat(), fc.uint8Array({ maxLength: 3 }), (message, at, inserted) => {
        const whole = ScoreRequest.encode(message).finish();
        const place = at % (whole.length + 1);
        const damaged = bytes(whole.subarray(0, place), inserted, whole.subarray(place), field(MODEL, bytes(0x7a)));
        try {
          check(damaged);
        } catch {
          return;
        }
        // What was put in may have made the last field a part of another one.
        const last = field(MODEL, bytes(0x7a));
        if (lastFieldAt(damaged) !== damaged.length - last.length) return;
        // The last field counts, so a decoder that stopped earlier would show.
        expect(ScoreRequest.decode(damaged).model).toBe('z');
      }),
    );
  });

  test('the other messages that requests are made of', () => {
    const batch = {
      ...ScoreBatchRequest.decode(bytes()),
      rows: { $case: 'matrix' as const, value: { columns: 2, values: [1, 2] } },
      shared: new Map([['käse', {}]]),
    };
    wellFormed('/scorewire.v1.ScoringService/ScoreBatch')(ScoreBatchRequest.encode(batch).finish());
    wellFormedMessage('scorewire.v1.Row')(
      Row.encode({ form: { $case: 'dense', value: DenseRow.decode(bytes()) } }).finish(),
    );
    wellFormedMessage('scorewire.v1.NamedRow')(NamedRow.encode({ values: new Map([['', {}]]) }).finish());
  });
});

/** Groups, each in the one before. */
function groups(depth: number): Uint8Array {
  const all = (one: Uint8Array) => Buffer.concat(Array.from({ length: depth }, () => one));
  return bytes(all(tag(UNKNOWN, WireType.StartGroup)), all(tag(UNKNOWN, WireType.EndGroup)));
}

function tag(number: number, wireType: number): Uint8Array {
  return new BinaryWriter().uint32(((number << 3) | wireType) >>> 0).finish();
}

function field(number: number, content: Uint8Array): Uint8Array {
  return bytes(tag(number, WireType.LengthDelimited), new BinaryWriter().bytes(content).finish());
}

function zeros(length: number): Uint8Array {
  return new Uint8Array(length);
}

function bytes(...parts: (number | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : part))));
}

/** Where the last field of a well-formed message begins. */
function lastFieldAt(message: Uint8Array): number {
  const reader = new BinaryReader(message);
  let at = 0;
  while (reader.pos < reader.len) {
    at = reader.pos;
    const tag = reader.uint32();
    reader.skip(tag & 7, tag >>> 3);
  }
  return at;
}
