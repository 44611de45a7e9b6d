// HPACK's Huffman code (RFC 7541, appendix B). The code is canonical: the lengths of its symbols alone define it.

/** Bits of every symbol's code, bytes 0 to 255. */
// biome-ignore format: sixteen a line, as a table of bytes is read
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/** The end of a string, which no string may contain: its code, cut short, is the padding. */
const END = 256;
const END_BITS = 30;

const LONGEST_BITS = 30;
const MAX_PADDING_BITS = 7;

/** Code of every symbol, and a binary tree of them: child[2 * node + bit] is a node, or ~symbol at a leaf. */
const { codes, children } = buildTree();

function buildTree(): { codes: Uint32Array; children: Int32Array } {
  const codeOf = new Uint32Array(CODE_LENGTHS.length + 1);
  const tree = new Int32Array(1024);
  const lengths = [...CODE_LENGTHS, END_BITS];
  let nodes = 1;
  let code = 0;
  for (let bits = 1; bits <= LONGEST_BITS; bits++) {
    code *= 2;
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== bits) continue;
      codeOf[symbol] = code;
      let node = 0;
      for (let shift = bits - 1; shift > 0; shift--) {
        const edge = 2 * node + ((code >>> shift) & 1);
        if (tree[edge] === 0) tree[edge] = nodes++;
        node = tree[edge] as number;
      }
      tree[2 * node + (code & 1)] = ~symbol;
      code++;
    }
  }
  return { codes: codeOf, children: tree };
}

/** The Huffman form of a text whose characters are bytes. @throws RangeError for other characters. */
export function huffmanEncode(text: string): Uint8Array {
  const bytes: number[] = [];
  let pending = 0n;
  let pendingBits = 0;
  for (const character of text) {
    const symbol = character.charCodeAt(0);
    const bits = CODE_LENGTHS[symbol];
    if (bits === undefined) throw new RangeError(`not a byte: ${JSON.stringify(character)}`);
    pending = (pending << BigInt(bits)) | BigInt(codes[symbol] as number);
    pendingBits += bits;
    while (pendingBits >= 8) {
      pendingBits -= 8;
      bytes.push(Number((pending >> BigInt(pendingBits)) & 0xffn));
    }
  }
  if (pendingBits > 0) {
    const padBits = 8 - pendingBits;
    bytes.push(Number(((pending << BigInt(padBits)) | ((1n << BigInt(padBits)) - 1n)) & 0xffn));
  }
  return Uint8Array.from(bytes);
}

/**
 * The text of a Huffman-coded string, a character a byte; undefined where it is none: the end symbol inside it, or a
 * padding that is longer than 7 bits or not all ones.
 */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = '';
  let node = 0;
  let openBits = 0;
  let onlyOnes = true;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    for (let shift = 7; shift >= 0; shift--) {
      const bit = (byte >>> shift) & 1;
      const next = children[2 * node + bit] as number;
      if (next < 0) {
        if (~next === END) return undefined;
        text += String.fromCharCode(~next);
        node = 0;
        openBits = 0;
        onlyOnes = true;
      } else {
        node = next;
        openBits++;
        onlyOnes &&= bit === 1;
      }
    }
  }
  return openBits <= MAX_PADDING_BITS && onlyOnes ? text : undefined;
}
