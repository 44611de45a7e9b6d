// HPACK's Huffman code (RFC 7541, appendix B) for printable ASCII. All that gRPC writes into header values is printable
// ASCII (grpc-message is percent-encoded), so the other symbols, all of them 19 bits and longer, are left out. The code is
// canonical: the lengths alone define it.

const FIRST_SYMBOL = 0x20;
const CODE_LENGTHS = [
  // space to ?
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  // @ to _
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  // ` to ~
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
];

const LONGEST_BITS = 19;

/** Code of every symbol, and a binary tree of them: child[2 * node + bit] is a node, or ~symbol at a leaf, or 0. */
const { codes, children } = buildTree();

function buildTree(): { codes: Uint32Array; children: Int32Array } {
  const codeOf = new Uint32Array(CODE_LENGTHS.length);
  const tree = new Int32Array(1024);
  let nodes = 1;
  let code = 0;
  for (let bits = 1; bits <= LONGEST_BITS; bits++) {
    code <<= 1;
    for (let index = 0; index < CODE_LENGTHS.length; index++) {
      if (CODE_LENGTHS[index] !== bits) continue;
      codeOf[index] = code;
      let node = 0;
      for (let shift = bits - 1; shift > 0; shift--) {
        const edge = 2 * node + ((code >>> shift) & 1);
        if (tree[edge] === 0) tree[edge] = nodes++;
        node = tree[edge] as number;
      }
      tree[2 * node + (code & 1)] = ~(index + FIRST_SYMBOL);
      code++;
    }
  }
  return { codes: codeOf, children: tree };
}

/** The Huffman form of a printable ASCII text. */
export function huffmanEncode(text: string): Uint8Array {
  const bytes: number[] = [];
  let pending = 0n;
  let pendingBits = 0;
  for (const character of text) {
    const index = character.charCodeAt(0) - FIRST_SYMBOL;
    const bits = CODE_LENGTHS[index];
    if (bits === undefined) throw new RangeError(`not printable ASCII: ${JSON.stringify(character)}`);
    pending = (pending << BigInt(bits)) | BigInt(codes[index] as number);
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

/** The text of a Huffman-coded string; a symbol beyond printable ASCII ends it with a question mark. */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  let node = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    for (let shift = 7; shift >= 0; shift--) {
      const next = children[2 * node + ((byte >>> shift) & 1)] as number;
      if (next < 0) {
        text += String.fromCharCode(~next);
        node = 0;
      } else if (next === 0) {
        // The padding, all ones, also leads here once it is longer than any code that we know.
        return at === end - 1 ? text : `${text}?`;
      } else {
        node = next;
      }
    }
  }
  return text;
}
