import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTextFormat, TextFormatError, type TextMessage, type TextValue } from '../../../src/models/text-format.ts';

/** What a message says, without places. */
function plain(message: TextMessage): unknown {
  const value = (one: TextValue): unknown => (one.kind === 'message' ? plain(one) : [one.kind, one.value]);
  return Object.fromEntries([...message.fields].map(([name, values]) => [name, values.map(value)]));
}

function mistake(text: string): string {
  try {
    parseTextFormat(text);
  } catch (error) {
    if (error instanceof TextFormatError) return `${error.line}:${error.column}: ${error.message}`;
    throw error;
  }
  return 'no mistake';
}

describe('text format', () => {
  test('has fields, messages in both brackets, lists, comments and separators', () => {
    const text = `
      # a model
      name: "simple"; max_batch_size: 8, backend : 'onnxruntime'
      input [ { name: "A" dims: [ 1, -1 ] }, < name: "B" > ]
      input { name: "C" }
      empty: [] flags: [true,false]
      version_policy: { all { } }   # no colon inside`;
    expect(plain(parseTextFormat(text))).toEqual({
      name: [['text', 'simple']],
      max_batch_size: [['integer', 8n]],
      backend: [['text', 'onnxruntime']],
      input: [
        {
          name: [['text', 'A']],
          dims: [
            ['integer', 1n],
            ['integer', -1n],
          ],
        },
        { name: [['text', 'B']] },
        { name: [['text', 'C']] },
      ],
      empty: [],
      flags: [
        ['word', 'true'],
        ['word', 'false'],
      ],
      version_policy: [{ all: [{}] }],
    });
  });

  test.each([
    ['0', ['integer', 0n]],
    ['-12', ['integer', -12n]],
    ['- # minus\n 7', ['integer', -7n]],
    ['0x1F', ['integer', 31n]],
    ['-0XfF', ['integer', -255n]],
    ['017', ['integer', 15n]],
    ['18446744073709551615', ['integer', 18446744073709551615n]],
    ['1.5', ['float', 1.5]],
    ['.5', ['float', 0.5]],
    ['2.', ['float', 2]],
    ['1e3', ['float', 1000]],
    ['-1.5E-2f', ['float', -0.015]],
    ['3f', ['float', 3]],
    ['-inf', ['word', '-inf']],
    ['TYPE_FP32', ['word', 'TYPE_FP32']],
    ['"a" \'b\'\n "c"', ['text', 'abc']],
    [String.raw`"\a\b\f\n\r\t\v\?\\\'\""`, ['text', '\x07\b\f\n\r\t\v?\\\'"']],
    [String.raw`"\101\x42\X43\0"`, ['text', 'ABC\0']],
    [String.raw`"\303\244 \u00e4 \U0001F600 \uD83D\uDE00"`, ['text', 'ä ä 😀 😀']],
    [`"it's ä 😀"`, ['text', "it's ä 😀"]],
  ])('reads %s', (text, expected) => {
    expect(plain(parseTextFormat(`a: ${text} b: 1`))).toEqual({ a: [expected], b: [['integer', 1n]] });
  });

  test('keeps names of extensions and types, and forgives a byte-order mark', () => {
    expect(plain(parseTextFormat('\uFEFF[my.extension]: 1 any { [type.googleapis.com/x.Y] { z: 2 } }'))).toEqual({
      '[my.extension]': [['integer', 1n]],
      any: [{ '[type.googleapis.com/x.Y]': [{ z: [['integer', 2n]] }] }],
    });
  });

  test('tells where each value stands', () => {
    const { fields } = parseTextFormat('a: 1\n\n  b {\n    c: [ 2,\n 3 ]\n  }');
    const [b] = fields.get('b') as TextMessage[];
    expect(b).toMatchObject({ line: 3, column: 5 });
    expect(b?.fields.get('c')?.map(({ line, column }) => [line, column])).toEqual([
      [4, 10],
      [5, 2],
    ]);
  });

  test.each([
    ['a', '1:2: expected ":", "{" or "<", found the end'],
    ['a:', '1:3: expected a value, found the end'],
    ['a 1', '1:3: expected ":", "{" or "<", found "1"'],
    ['a: 1\n}', '2:1: expected a field\'s name, found "}"'],
    ['a {\n b: 1', '2:6: expected a field or "}", found the end'],
    ['a < b: 1 }', '1:10: expected a field\'s name or ">", found "}"'],
    ['a: [1, 2', '1:9: expected "]", found the end'],
    ['a: [1,]', '1:7: expected a value, found "]"'],
    ['a: 12abc', '1:6: expected the end of a number, found "abc"'],
    ['a: 08', '1:5: expected the end of a number, found "8"'],
    ['a: 1e', '1:5: expected the end of a number, found "e"'],
    ['a: 1.5.2', '1:7: expected the end of a number, found ".2"'],
    ['a: "x\ny"', '1:4: expected " at the end of a text in its line'],
    ["a: 'x", "1:4: expected ' at the end of a text in its line"],
    [String.raw`a: "\q"`, String.raw`1:5: expected an escape, found "\\q"`],
    [String.raw`a: "\777"`, String.raw`1:5: expected a character or byte, found \777`],
    [String.raw`a: "\uD800x"`, String.raw`1:5: expected a character or byte, found \uD800`],
    [String.raw`a: "\xff"`, '1:4: expected UTF-8, found other bytes in the text'],
    ['[]: 1', '1:2: expected the name of an extension or type, found "]: 1"'],
    ['x: 1\n  é: 2', '2:3: expected a field\'s name, found "é: 2"'],
    ['a{'.repeat(101), '1:202: more than 100 messages inside each other'],
  ])('names the place of a mistake: %j', (text, expected) => {
    expect(mistake(text)).toBe(expected);
  });
});

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/);
const scalar: fc.Arbitrary<TextValue> = fc
  .oneof(
    fc.record({ kind: fc.constant('text' as const), value: fc.string({ unit: 'grapheme' }) }),
    fc.record({ kind: fc.constant('integer' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }) }),
    fc.record({
      kind: fc.constant('float' as const),
      value: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
    }),
    fc.record({ kind: fc.constant('word' as const), value: name }),
  )
  .map((value) => ({ line: 0, column: 0, ...value }));

const { message } = fc.letrec<{ message: TextMessage; value: TextValue }>((tie) => ({
  message: fc
    .uniqueArray(fc.tuple(name, fc.array(tie('value'), { maxLength: 4 })), { selector: ([key]) => key, maxLength: 5 })
    .map((fields) => ({ kind: 'message' as const, line: 0, column: 0, fields: new Map(fields) })),
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, scalar, tie('message')),
}));

/** Writes a message in one of the many ways that the format allows; `next` picks numbers below its argument. */
function written(root: TextMessage, next: (below: number) => number): string {
  const pick = (options: readonly string[]): string => options[next(options.length)] as string;
  const blank = (): string => pick(['', ' ', '\n', '\t # it\'s a "comment" }\n']);
  const quoted = (text: string): string => {
    const bytes = [...Buffer.from(text)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`);
    return pick([
      `"${[...text].map((char) => (/["\\\n]/.test(char) ? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}` : char)).join('')}"`,
      `'${bytes.join('')}'`,
      bytes.map((byte) => `"${byte}"${blank()}`).join('') || '""',
    ]);
  };
  const value = (one: TextValue): string => {
    if (one.kind === 'message') {
      const [open, close] = next(2) === 0 ? ['{', '}'] : ['<', '>'];
      return `${open}${blank()}${fields(one)}${close}`;
    }
    if (one.kind === 'text') return quoted(one.value);
    if (one.kind === 'word') return one.value;
    if (one.kind === 'float') {
      const digits = String(Math.abs(one.value));
      return `${one.value < 0 ? '-' : ''}${/[.e]/.test(digits) ? digits : `${digits}.`}${pick(['', 'f'])}`;
    }
    const size = one.value < 0n ? -one.value : one.value;
    const digits = pick([String(size), `0x${size.toString(16)}`, size === 0n ? '0' : `0${size.toString(8)}`]);
    return `${one.value < 0n ? `-${blank()}` : ''}${digits}`;
  };
  const fields = (one: TextMessage): string =>
    [...one.fields]
      .map(([key, values]) => {
        const colon = (all: readonly TextValue[]): string =>
          all.length > 0 && all.every(({ kind }) => kind === 'message') ? pick(['', ':']) : ':';
        if (values.length === 0 || next(2) === 0) {
          return `${key}${blank()}${colon(values)}[${blank()}${values.map(value).join(`${blank()},${blank()}`)}${blank()}]${pick([' ', ', ', ';', '\n'])}`;
        }
        return values
          .map((each) => `${key}${colon([each])}${blank()}${value(each)}${pick([' ', ',', ' ; '])}`)
          .join('');
      })
      .join('');
  return blank() + fields(root);
}

test('reads what was written, however it was written', () => {
  fc.assert(
    fc.property(message, fc.infiniteStream(fc.nat()), (root, choices) => {
      const text = written(root, (below) => (choices.next().value as number) % below);
      expect(plain(parseTextFormat(text))).toEqual(plain(root));
    }),
    { numRuns: 500 },
  );
});

test('any text is read or refused with its place', () => {
  const pieces = fc.array(
    fc.constantFrom(
      'a',
      ':',
      '{',
      '}',
      '<',
      '>',
      '[',
      ']',
      '"',
      "'",
      '\\',
      '1',
      '-',
      '.',
      'e',
      '\n',
      '#',
      ',',
      ';',
      ' ',
      'é',
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(pieces, (tokens) => {
      expect(mistake(tokens.join(''))).toMatch(/^no mistake$|^\d+:\d+: /);
    }),
    { numRuns: 2000 },
  );
});

test('takes time in proportion to the length', () => {
  const text = 'dims: 1\n'.repeat(100_000);
  expect(parseTextFormat(text).fields.get('dims')).toHaveLength(100_000);
});
