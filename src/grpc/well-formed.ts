// Whether bytes are a protobuf message of their type. ts-proto's decoders aren't that strict: at a tag 0 or at the end of
// a group that never began they take what they have for the message and drop the rest, and what is no UTF-8 becomes
// U+FFFD, by which two entities become one.
import { isUtf8 } from 'node:buffer';
import { FieldType, type ProtoField, protoFiles } from './descriptors.ts';

/** Messages and groups in each other, as other implementations have it too. */
const MAX_DEPTH = 100;

const VARINT = 0;
const I64 = 1;
const LENGTH_DELIMITED = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const I32 = 5;

/** From here on the native check is faster than a loop. */
const ASCII_LOOP_BYTES = 64;

const STRING = 0;
const MESSAGE = 1;
const PACKED_VARINTS = 2;
const PACKED_I32 = 3;
const PACKED_I64 = 4;

/** What the bytes of a length-delimited field must be. `message` is of use where `kind` is MESSAGE. */
type ContentRule = { kind: number; message: MessageRules };

/** By field number; a number without a rule is an unknown field, or one whose bytes may be anything. */
type MessageRules = (ContentRule | undefined)[];

const rulesOfMessages = new Map<string, MessageRules>();

/**
 * A check of the requests of the method at `path`, as in `/scorewire.v1.ScoringService/Score`; it throws for bytes that
 * are no message of the request's type. A known field with another wire type than its own is an unknown field.
 * @throws Error for a method that proto/ doesn't have.
 */
export function wellFormed(path: string): (bytes: Uint8Array) => void {
  const methods = protoFiles.flatMap(({ services }) => services.flatMap((service) => service.methods));
  const method = methods.find((candidate) => candidate.path === path);
  if (method === undefined) throw new Error(`proto/ has no method ${path}`);
  return wellFormedMessage(method.inputType);
}

/**
 * The same check for a message by its full name.
 * @throws Error for a message that proto/ doesn't have.
 */
export function wellFormedMessage(name: string): (bytes: Uint8Array) => void {
  const rules = rulesOf(name);
  return (bytes) => new Walk(bytes).message(bytes.length, rules, 0);
}

function rulesOf(name: string): MessageRules {
  const known = rulesOfMessages.get(name);
  if (known !== undefined) return known;
  const message = protoFiles.flatMap(({ messages }) => messages).find((candidate) => candidate.name === name);
  if (message === undefined) throw new Error(`proto/ has no message ${name}`);
  const rules: MessageRules = [];
  // Before its fields are looked at, for messages that hold themselves.
  rulesOfMessages.set(name, rules);
  for (const field of message.fields) rules[field.number] = ruleOf(field);
  return rules;
}

function ruleOf({ type, repeated, typeName }: ProtoField): ContentRule | undefined {
  switch (type) {
    case FieldType.STRING:
      return { kind: STRING, message: [] };
    case FieldType.MESSAGE:
      return { kind: MESSAGE, message: rulesOf(typeName) };
    case FieldType.BYTES:
    case FieldType.GROUP:
      return undefined;
  }
  // Decoders take numbers packed and not, however the field is declared.
  return repeated ? { kind: packedKind(type), message: [] } : undefined;
}

function packedKind(type: number): number {
  switch (type) {
    case FieldType.FLOAT:
    case FieldType.FIXED32:
    case FieldType.SFIXED32:
      return PACKED_I32;
    case FieldType.DOUBLE:
    case FieldType.FIXED64:
    case FieldType.SFIXED64:
      return PACKED_I64;
    default:
      return PACKED_VARINTS;
  }
}

/** One pass over a message's bytes: every request goes through here, so that nothing is allocated on the way. */
class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  message(end: number, rules: MessageRules, depth: number): void {
    while (this.#at < end) {
      const tag = this.#tag(end);
      if ((tag & 7) === LENGTH_DELIMITED) {
        const stop = this.#length(end);
        const number = tag >>> 3;
        const rule = number < rules.length ? rules[number] : undefined;
        if (rule !== undefined) this.#content(stop, rule, depth);
        this.#at = stop;
      } else {
        this.#skip(tag, end, depth);
      }
    }
  }

  #content(end: number, rule: ContentRule, depth: number): void {
    switch (rule.kind) {
      case STRING:
        this.#text(end);
        break;
      case MESSAGE:
        if (depth === MAX_DEPTH) refuse('messages nested too deep');
        this.message(end, rule.message, depth + 1);
        break;
      case PACKED_VARINTS:
        while (this.#at < end) this.#varint(end);
        break;
      case PACKED_I32:
        if ((end - this.#at) % 4 !== 0) refuse('half a number of 4 bytes');
        break;
      case PACKED_I64:
        if ((end - this.#at) % 8 !== 0) refuse('half a number of 8 bytes');
        break;
    }
  }

  /** A value that is not length-delimited. */
  #skip(tag: number, end: number, depth: number): void {
    switch (tag & 7) {
      case VARINT:
        this.#varint(end);
        break;
      case I64:
        this.#fixed(8, end);
        break;
      case I32:
        this.#fixed(4, end);
        break;
      case GROUP_START:
        if (depth === MAX_DEPTH) refuse('groups nested too deep');
        this.#group(tag >>> 3, end, depth + 1);
        break;
      case GROUP_END:
        refuse('the end of a group that never began');
        break;
      default:
        refuse('a wire type that there is not');
    }
  }

  /** An unknown field: there are no groups in proto/. */
  #group(number: number, end: number, depth: number): void {
    for (;;) {
      const tag = this.#tag(end);
      if ((tag & 7) === LENGTH_DELIMITED) {
        this.#at = this.#length(end);
      } else if ((tag & 7) === GROUP_END) {
        if (tag >>> 3 !== number) refuse('a group that ends as another');
        return;
      } else {
        this.#skip(tag, end, depth);
      }
    }
  }

  #tag(end: number): number {
    const tag = this.#uint32(end);
    if (tag >>> 3 === 0) refuse('the field 0');
    return tag;
  }

  /** Where the field ends whose length is read. */
  #length(end: number): number {
    const length = this.#uint32(end);
    if (length > end - this.#at) refuse('a length beyond the end');
    return this.#at + length;
  }

  /** A tag or a length: ts-proto would drop what is beyond 32 bits. */
  #uint32(end: number): number {
    const bytes = this.#bytes;
    if (this.#at >= end) refuse('a number that ends too early');
    const first = bytes[this.#at++] as number;
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      if (this.#at >= end) refuse('a number that ends too early');
      const byte = bytes[this.#at++] as number;
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    return refuse('a tag or a length of more than 32 bits');
  }

  #varint(end: number): void {
    const bytes = this.#bytes;
    const stop = Math.min(end, this.#at + 10);
    while (this.#at < stop) {
      if ((bytes[this.#at++] as number) < 0x80) return;
    }
    refuse('a number that ends too early, or is too long');
  }

  #fixed(size: number, end: number): void {
    if (size > end - this.#at) refuse('a number that ends too early');
    this.#at += size;
  }

  #text(end: number): void {
    const bytes = this.#bytes;
    const stop = Math.min(end, this.#at + ASCII_LOOP_BYTES);
    let at = this.#at;
    while (at < stop && (bytes[at] as number) < 0x80) at++;
    if (at < end && !isUtf8(bytes.subarray(at, end))) refuse('a text that is not UTF-8');
  }
}

function refuse(problem: string): never {
  throw new Error(problem);
}
