import http2 from 'node:http2';
import net from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameFlag, FrameReader, FrameType } from '../../../src/http2/frames.ts';
import { Field, FieldKind, HeaderDecoder, HeaderError } from '../../../src/http2/header-decoder.ts';
import { eventually } from '../../support/concurrently.ts';
import { PREFACE } from '../../support/raw-http2.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const decoderOf = (maxListBytes = 65_536): HeaderDecoder => new HeaderDecoder(maxListBytes);

function decode(decoder: HeaderDecoder, block: Uint8Array): string[] | undefined {
  // Not at the start of its buffer, nor at its end.
  const bytes = Buffer.concat([Buffer.of(0xff, 0xff), block, Buffer.of(0xff)]);
  return decoder.decode(bytes, 2, 2 + block.length)?.map(({ name, value }) => `${name}: ${value}`);
}

const GET = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const CUSTOM = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
];

describe('RFC 7541, appendix C', () => {
  test.each([
    ['C.2.1', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 'custom-key: custom-header'],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path'],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret'],
    ['C.2.4', '82', ':method: GET'],
  ])('%s', (_, block, field) => {
    expect(decode(decoderOf(), hex(block))).toEqual([field]);
  });

  test.each([
    [
      'C.3',
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    [
      'C.4, with Huffman',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ])('%s: requests', (_, first, second, third) => {
    const decoder = decoderOf();
    expect(decode(decoder, hex(first))).toEqual(GET);
    expect(decode(decoder, hex(second))).toEqual([...GET, 'cache-control: no-cache']);
    expect(decode(decoder, hex(third))).toEqual(CUSTOM);
    // And what is in the table by then.
    expect(decode(decoder, hex('be bf c0'))).toEqual([
      'custom-key: custom-value',
      'cache-control: no-cache',
      ':authority: www.example.com',
    ]);
    expect(() => decode(decoder, hex('c1'))).toThrow(HeaderError);
  });

  test.each([
    [
      'C.5',
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e
       1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
    ],
    [
      'C.6, with Huffman',
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
       97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
    ],
  ])('%s: responses, in a table of 256 bytes', (_, first, second) => {
    const decoder = decoderOf();
    const rest = ['cache-control: private', 'date: Mon, 21 Oct 2013 20:13:21 GMT', 'location: https://www.example.com'];
    expect(decode(decoder, Buffer.concat([hex('3fe101'), hex(first)]))).toEqual([':status: 302', ...rest]);
    // 302 is pushed out.
    expect(decode(decoder, hex(second))).toEqual([':status: 307', ...rest]);
    expect(() => decode(decoder, hex('c2'))).toThrow(HeaderError);
  });
});

describe('no HPACK:', () => {
  test.each([
    ['the index 0', '80'],
    ['an index beyond both tables', 'be'],
    ['a name beyond both tables', '7e 01 78'],
    ['a number cut short', 'ff'],
    ['a number of no end', 'ff ff ff ff ff ff ff ff 7f'],
    ['a name cut short', '40 05 6162'],
    ['no name', '40'],
    ['a value cut short', '40 01 61 05 6262'],
    ['no value', '40 01 61'],
    ['a length cut short', '40 01 61 7f'],
    ['a name that is not in Huffman code', '40 84 ffff ffff 01 61'],
    ['a value with too long a padding', '40 01 61 82 1fff'],
    ['a table larger than we said', '3f e2 1f'],
    ['a change of the table between fields', '82 20'],
  ])('%s', (_, block) => {
    expect(() => decode(decoderOf(), hex(block))).toThrow(HeaderError);
  });
});

describe('the table', () => {
  const insert = (name: string, value: string): Buffer =>
    Buffer.concat([
      Buffer.of(0x40, name.length),
      Buffer.from(name),
      Buffer.of(0x7f),
      lengthBehind127(value),
      Buffer.from(value),
    ]);
  /** The rest of a value's length, of at least 127 bytes. */
  const lengthBehind127 = ({ length }: string): Buffer =>
    length - 127 < 128 ? Buffer.of(length - 127) : Buffer.of(((length - 127) & 0x7f) | 0x80, (length - 127) >> 7);

  test('holds just 4096 bytes', () => {
    const decoder = decoderOf();
    const value = 'v'.repeat(2048 - 32 - 1);
    for (const name of ['a', 'b']) decode(decoder, insert(name, value));
    expect(decode(decoder, hex('be bf'))).toEqual([`b: ${value}`, `a: ${value}`]);
    // An entry more, however small, pushes the oldest out.
    decode(decoder, hex('40 00 00'));
    expect(decode(decoder, hex('be bf'))).toEqual([': ', `b: ${value}`]);
    expect(() => decode(decoder, hex('c0'))).toThrow(HeaderError);
  });

  test('of the smallest entries there are 128', () => {
    const decoder = decoderOf();
    for (let entry = 0; entry < 300; entry++) decode(decoder, hex('40 00 00'));
    // Index 62 + 127, and one more.
    expect(decode(decoder, hex('ff 3e'))).toEqual([': ']);
    expect(() => decode(decoder, hex('ff 3f'))).toThrow(HeaderError);
  });

  test('an entry larger than the table empties it, and is read nonetheless', () => {
    const decoder = decoderOf();
    decode(decoder, hex('40 01 61 01 31'));
    const value = 'v'.repeat(4096 - 32);
    expect(decode(decoder, insert('b', value))).toEqual([`b: ${value}`]);
    expect(() => decode(decoder, hex('be'))).toThrow(HeaderError);
  });

  test('an entry may take its name from one that it pushes out', () => {
    const decoder = decoderOf();
    const value = 'v'.repeat(3000);
    decode(decoder, insert('a', value));
    const again = Buffer.concat([Buffer.of(0x7e, 0x7f), lengthBehind127(value), Buffer.from(value)]);
    expect(decode(decoder, again)).toEqual([`a: ${value}`]);
    expect(decode(decoder, hex('be'))).toEqual([`a: ${value}`]);
    expect(() => decode(decoder, hex('bf'))).toThrow(HeaderError);
  });

  test('of size 0 keeps nothing, and keeps again once it is larger', () => {
    const decoder = decoderOf();
    decode(decoder, hex('40 01 61 01 31'));
    expect(decode(decoder, hex('20 40 01 62 01 32'))).toEqual(['b: 2']);
    expect(() => decode(decoder, hex('be'))).toThrow(HeaderError);
    // Twice in one block is right as well: down and up again.
    expect(decode(decoder, hex('20 3fe11f 40 01 63 01 33 be'))).toEqual(['c: 3', 'c: 3']);
  });

  test('fields that are not to be indexed leave no trace', () => {
    const decoder = decoderOf();
    decode(decoder, hex('00 01 61 01 31 10 01 62 01 32'));
    expect(() => decode(decoder, hex('be'))).toThrow(HeaderError);
  });
});

describe('the size of a list', () => {
  // a: 1 counts as 34 bytes.
  const A = hex('00 01 61 01 31');

  test('may be just what is allowed', () => {
    const block = Buffer.concat(Array.from({ length: 10 }, () => A));
    expect(decode(decoderOf(340), block)).toHaveLength(10);
    expect(decode(decoderOf(339), block)).toBeUndefined();
  });

  test('above it, the table is in order nonetheless', () => {
    const decoder = decoderOf(100);
    expect(decode(decoder, Buffer.concat([A, A, A, hex('40 01 62 01 32')]))).toBeUndefined();
    expect(decode(decoder, hex('be'))).toEqual(['b: 2']);
  });

  test('counts for every block anew', () => {
    const decoder = decoderOf(100);
    for (let block = 0; block < 5; block++) expect(decode(decoder, Buffer.concat([A, A]))).toHaveLength(2);
  });
});

describe('a block like the one before', () => {
  const fieldsOf = (decoder: HeaderDecoder, block: Buffer): unknown => decoder.decode(block, 0, block.length);

  test('gives the very same fields', () => {
    const decoder = decoderOf();
    fieldsOf(decoder, hex('40 01 61 01 31'));
    const first = fieldsOf(decoder, hex('82 be'));
    expect(fieldsOf(decoder, hex('82 be'))).toBe(first);
    expect(fieldsOf(decoder, hex('82 be 84'))).not.toBe(first);
    expect(fieldsOf(decoder, hex('82 be'))).toEqual(first);
  });

  test('is read anew after one that changed the table', () => {
    const decoder = decoderOf();
    decode(decoder, hex('40 01 61 01 31'));
    expect(decode(decoder, hex('be'))).toEqual(['a: 1']);
    decode(decoder, hex('40 01 62 01 32'));
    expect(decode(decoder, hex('be'))).toEqual(['b: 2']);
  });

  test('and itself changes the table each time', () => {
    const decoder = decoderOf();
    for (let times = 0; times < 3; times++) expect(decode(decoder, hex('40 01 61 01 31'))).toEqual(['a: 1']);
    expect(decode(decoder, hex('be bf c0'))).toEqual(['a: 1', 'a: 1', 'a: 1']);
  });

  test('is too large each time', () => {
    const decoder = decoderOf(10);
    for (let times = 0; times < 3; times++) expect(decode(decoder, hex('82'))).toBeUndefined();
  });
});

test('a field says what it is to a request', () => {
  const kinds: [string, string, number][] = [
    [':method', 'GET', FieldKind.method],
    [':scheme', 'http', FieldKind.scheme],
    [':path', '/', FieldKind.path],
    [':authority', 'x', FieldKind.authority],
    ['content-length', '12', FieldKind.contentLength],
    ['grpc-timeout', '1S', FieldKind.regular],
    ['te', 'trailers', FieldKind.regular],
    ['x', '', FieldKind.regular],
    ['x', 'a b\tc', FieldKind.regular],
    ['x', '\x80\xff', FieldKind.regular],
    ...['', '-1', '1.5', '1e3', '1,1', '1'.repeat(16)].map((value): [string, string, number] => [
      'content-length',
      value,
      FieldKind.forbidden,
    ]),
    ...[':status', ':protocol', ':', '', 'Upper', 'a b', 'a:b', 'a\0', 'ü'].map((name): [string, string, number] => [
      name,
      '1',
      FieldKind.forbidden,
    ]),
    ...['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'].map(
      (name): [string, string, number] => [name, 'x', FieldKind.forbidden],
    ),
    ['te', 'gzip', FieldKind.forbidden],
    ...['a\0', 'a\r', '\nb', ' a', 'a ', '\ta', 'a\t', ' '].map((value): [string, string, number] => [
      'x',
      value,
      FieldKind.forbidden,
    ]),
  ];
  for (const [name, value, kind] of kinds) {
    expect([name, value, new Field(name, value).kind]).toEqual([name, value, kind]);
  }
});

test('reads what Node’s client writes, whatever the headers are', async () => {
  const blocks: Buffer[] = [];
  let pieces: Buffer[] = [];
  const server = net.createServer((socket) => {
    const reader = new FrameReader((type, flags, _id, bytes, start, end) => {
      if (type !== FrameType.headers && type !== FrameType.continuation) return;
      pieces.push(Buffer.from(bytes.subarray(start + ((flags & FrameFlag.priority) === 0 ? 0 : 5), end)));
      if ((flags & FrameFlag.endHeaders) === 0) return;
      blocks.push(Buffer.concat(pieces));
      pieces = [];
    });
    let skipped = 0;
    socket.on('error', () => {});
    socket.write(Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
    socket.on('data', (chunk: Buffer) => {
      const skip = Math.min(PREFACE.length - skipped, chunk.length);
      skipped += skip;
      reader.read(chunk.subarray(skip), chunk.length - skip);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const token = fc.stringMatching(/^x-[a-z0-9-]{1,12}$/);
  const text = fc.stringMatching(/^[!-~]([ -~]{0,60}[!-~])?$/);
  // Few names and values, so that they come again.
  const name = fc.oneof(fc.constantFrom('x-a', 'x-b', 'user-agent', 'grpc-timeout', 'accept', 'x-long'), token);
  const value = fc.oneof(fc.constantFrom('1', 'same', 'v'.repeat(1500), 'w'.repeat(3000)), text);
  const sets = fc.sample(fc.array(fc.tuple(name, value), { maxLength: 12 }), { numRuns: 300, seed: 20_251 });
  const client = http2.connect(`http://127.0.0.1:${port}`, { settings: { enablePush: false } });
  client.on('error', () => {});
  await new Promise((resolve) => client.once('remoteSettings', resolve));
  const expected = sets.map((set) => {
    const headers: Record<string, string> = { ':method': 'POST', ':path': '/a', ':authority': 'x', ':scheme': 'http' };
    return Object.assign(headers, Object.fromEntries(set));
  });
  for (const headers of expected) client.request(headers).on('error', () => {});
  await eventually(() => blocks.length >= 100);
  const decoder = decoderOf(1 << 20);
  const read = blocks.map((block) =>
    Object.fromEntries((decoder.decode(block, 0, block.length) ?? []).map((field) => [field.name, field.value])),
  );
  expect(read).toEqual(expected.slice(0, read.length));
  client.destroy();
  server.close();
});
