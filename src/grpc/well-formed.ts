// Whether bytes are a protobuf message of their type. ts-proto's decoders aren't that strict: at a tag 0 or at the end of
// a group that never began they take what they have for the message and drop the rest, and what is no UTF-8 becomes
// U+FFFD, by which two entities become one.
import { FieldType, type ProtoField, protoFiles } from './descriptors.ts';
import { LENGTH_DELIMITED, MAX_DEPTH, refuse, WireCursor } from './wire-cursor.ts';

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
class Walk extends WireCursor {
  message(end: number, rules: MessageRules, depth: number): void {
    while (this.at < end) {
      const tag = this.tag(end);
      if ((tag & 7) === LENGTH_DELIMITED) {
        const stop = this.length(end);
        const number = tag >>> 3;
        const rule = number < rules.length ? rules[number] : undefined;
        if (rule !== undefined) this.#content(stop, rule, depth);
        this.at = stop;
      } else {
        this.skip(tag, end, depth);
      }
    }
  }

  #content(end: number, rule: ContentRule, depth: number): void {
    switch (rule.kind) {
      case STRING:
        this.text(end);
        break;
      case MESSAGE:
        if (depth === MAX_DEPTH) refuse('messages nested too deep');
        this.message(end, rule.message, depth + 1);
        break;
      case PACKED_VARINTS:
        while (this.at < end) this.varint(end);
        break;
      case PACKED_I32:
        if ((end - this.at) % 4 !== 0) refuse('half a number of 4 bytes');
        break;
      case PACKED_I64:
        if ((end - this.at) % 8 !== 0) refuse('half a number of 8 bytes');
        break;
    }
  }
}
