// What proto/ declares, read from the descriptors that are generated from it.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { descriptorSet } from '../gen/descriptors.ts';

/** google.protobuf.FieldDescriptorProto.Type, as numbers. */
export const FieldType = {
  DOUBLE: 1,
  FLOAT: 2,
  FIXED64: 6,
  FIXED32: 7,
  STRING: 9,
  GROUP: 10,
  MESSAGE: 11,
  BYTES: 12,
  SFIXED32: 15,
  SFIXED64: 16,
} as const;

/** All names are full ones, without the leading dot. */
export type ProtoFile = {
  name: string;
  /** Its FileDescriptorProto. */
  bytes: Uint8Array;
  imports: string[];
  /** Nested ones too, those of map entries among them. */
  messages: ProtoMessage[];
  services: ProtoService[];
  /** Of whatever the file declares: messages, fields, oneofs, enums and their values, services, methods. */
  symbols: string[];
};

export type ProtoMessage = { name: string; fields: ProtoField[] };

/** `typeName` is '' unless the type is a message, a group or an enum. */
export type ProtoField = { number: number; type: number; repeated: boolean; typeName: string };

export type ProtoService = { name: string; methods: ProtoMethod[] };

/** `path` is as in `/scorewire.v1.ScoringService/Score`. */
export type ProtoMethod = { path: string; inputType: string };

const REPEATED = 3;

/** A message by its field numbers. Descriptors hold no other wire types than these two where we look. */
class Fields {
  readonly #values = new Map<number, (Uint8Array | number)[]>();

  constructor(bytes: Uint8Array) {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (wireType === WireType.LengthDelimited) this.#add(field, reader.bytes());
      else if (wireType === WireType.Varint) this.#add(field, Number(reader.int64()));
      else reader.skip(wireType, field);
    }
  }

  parts(field: number): Uint8Array[] {
    return (this.#values.get(field) ?? []).filter((value) => typeof value !== 'number');
  }

  texts(field: number): string[] {
    return this.parts(field).map((part) => Buffer.from(part).toString('utf8'));
  }

  text(field: number): string {
    return this.texts(field).at(-1) ?? '';
  }

  number(field: number): number {
    const value = this.#values.get(field)?.at(-1);
    return typeof value === 'number' ? value : 0;
  }

  #add(field: number, value: Uint8Array | number): void {
    const values = this.#values.get(field);
    if (values === undefined) this.#values.set(field, [value]);
    else values.push(value);
  }
}

/** The files of a google.protobuf.FileDescriptorSet. */
export function readDescriptors(set: Uint8Array): ProtoFile[] {
  return new Fields(set).parts(1).map(readFile);
}

/** The files of proto/, with the well-known types that they import. */
export const protoFiles: readonly ProtoFile[] = readDescriptors(Buffer.from(descriptorSet, 'base64'));

function readFile(bytes: Uint8Array): ProtoFile {
  const fields = new Fields(bytes);
  const scope = fields.text(2);
  const file: ProtoFile = {
    name: fields.text(1),
    bytes,
    imports: fields.texts(3),
    messages: [],
    services: [],
    symbols: [],
  };
  for (const part of fields.parts(4)) readMessage(file, scope, part);
  for (const part of fields.parts(5)) readEnum(file, scope, part);
  for (const part of fields.parts(6)) readService(file, scope, part);
  return file;
}

function readMessage(file: ProtoFile, scope: string, bytes: Uint8Array): void {
  const message = new Fields(bytes);
  const name = within(scope, message.text(1));
  const declared = message.parts(2).map((part) => new Fields(part));
  const oneofs = message.parts(8).map((part) => new Fields(part));
  file.symbols.push(name, ...[...declared, ...oneofs].map((part) => within(name, part.text(1))));
  file.messages.push({
    name,
    fields: declared.map((field) => ({
      number: field.number(3),
      type: field.number(5),
      repeated: field.number(4) === REPEATED,
      typeName: undotted(field.text(6)),
    })),
  });
  for (const part of message.parts(3)) readMessage(file, name, part);
  for (const part of message.parts(4)) readEnum(file, name, part);
}

function readEnum(file: ProtoFile, scope: string, bytes: Uint8Array): void {
  const declared = new Fields(bytes);
  file.symbols.push(within(scope, declared.text(1)));
  // As in C++, an enum's values are its siblings.
  for (const value of declared.parts(2)) file.symbols.push(within(scope, new Fields(value).text(1)));
}

function readService(file: ProtoFile, scope: string, bytes: Uint8Array): void {
  const service = new Fields(bytes);
  const name = within(scope, service.text(1));
  const methods = service.parts(2).map((part) => new Fields(part));
  file.symbols.push(name, ...methods.map((method) => within(name, method.text(1))));
  file.services.push({
    name,
    methods: methods.map((method) => ({
      path: `/${name}/${method.text(1)}`,
      inputType: undotted(method.text(2)),
    })),
  });
}

function within(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`;
}

function undotted(name: string): string {
  return name.startsWith('.') ? name.slice(1) : name;
}
