import { describe, expect, test } from 'vitest';
import { Field } from '../../../src/http2/header-decoder.ts';
import { areTrailers, RequestHead } from '../../../src/http2/request-head.ts';

type Pair = readonly [string, string];
const METHOD: Pair = [':method', 'POST'];
const SCHEME: Pair = [':scheme', 'http'];
const PATH: Pair = [':path', '/a.B/C'];
const AUTHORITY: Pair = [':authority', 'localhost'];
const TYPE: Pair = ['content-type', 'application/grpc'];

const fields = (pairs: readonly Pair[]): Field[] => pairs.map(([name, value]) => new Field(name, value));
const headOf = (...pairs: readonly Pair[]): RequestHead | undefined => RequestHead.of(fields(pairs));

test('what a request says', () => {
  const head = headOf(METHOD, SCHEME, PATH, AUTHORITY, TYPE, ['x', '1'], ['content-length', '12'], ['x', '2']);
  expect(head).toMatchObject({ method: 'POST', path: '/a.B/C', contentLength: 12 });
  expect(head?.get('content-type')).toBe('application/grpc');
  expect(head?.get('x')).toBe('1');
  expect(head?.get('y')).toBeUndefined();
});

test.each<[string, readonly Pair[]]>([
  ['in any order', [PATH, AUTHORITY, METHOD, SCHEME]],
  ['without an authority', [METHOD, SCHEME, PATH]],
  ['with the same length twice', [METHOD, SCHEME, PATH, ['content-length', '1'], ['content-length', '1']]],
])('pseudo-headers: %s', (_, pairs) => {
  expect(headOf(...pairs)).toBeDefined();
});

test('without a length it is -1', () => {
  expect(headOf(METHOD, SCHEME, PATH)?.contentLength).toBe(-1);
});

describe('no request:', () => {
  test.each<[string, readonly Pair[]]>([
    ['nothing', []],
    ['no method', [SCHEME, PATH]],
    ['no scheme', [METHOD, PATH]],
    ['no path', [METHOD, SCHEME]],
    ['an empty path', [METHOD, SCHEME, [':path', '']]],
    ['a method twice', [METHOD, METHOD, SCHEME, PATH]],
    ['a scheme twice', [METHOD, SCHEME, SCHEME, PATH]],
    ['a path twice', [METHOD, SCHEME, PATH, PATH]],
    ['an authority twice', [METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY]],
    ['a pseudo-header behind a header', [METHOD, SCHEME, TYPE, PATH]],
    ['a pseudo-header behind a length', [METHOD, SCHEME, ['content-length', '1'], PATH]],
    ['a response’s pseudo-header', [METHOD, SCHEME, PATH, [':status', '200']]],
    ['a forbidden field', [METHOD, SCHEME, PATH, ['connection', 'close']]],
    ['two lengths', [METHOD, SCHEME, PATH, ['content-length', '1'], ['content-length', '2']]],
    ['a length that is none', [METHOD, SCHEME, PATH, ['content-length', 'x']]],
  ])('%s', (_, pairs) => {
    expect(headOf(...pairs)).toBeUndefined();
  });
});

test.each<[boolean, string, readonly Pair[]]>([
  [true, 'nothing', []],
  [true, 'headers', [['grpc-status', '0'], TYPE]],
  [false, 'a pseudo-header', [TYPE, PATH]],
  [false, 'a forbidden field', [['te', 'gzip']]],
])('trailers (%s): %s', (expected, _, pairs) => {
  expect(areTrailers(fields(pairs))).toBe(expected);
});
