// A collector for traces on a port of this machine: takes OTLP over HTTP and keeps what it got.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BinaryReader } from '@bufbuild/protobuf/wire';

export type CollectedSpan = {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  startMs: number;
  endMs: number;
  attributes: Record<string, unknown>;
  /** 2 is an error. */
  status: number;
  resource: Record<string, unknown>;
};

export async function startCollector() {
  const spans: CollectedSpan[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      spans.push(...readRequest(Buffer.concat(chunks)));
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    spans,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

/** Calls `take` for each field; it reads the field or says that it didn't. */
function fields(bytes: Uint8Array, take: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!take(field, reader)) reader.skip(wireType);
  }
}

/** The bytes of the fields with this number. */
function messages(bytes: Uint8Array, number: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  fields(bytes, (field, reader) => field === number && found.push(reader.bytes()) > 0);
  return found;
}

function readRequest(bytes: Uint8Array): CollectedSpan[] {
  return messages(bytes, 1).flatMap((resourceSpans) => {
    const [resource] = messages(resourceSpans, 1);
    const scopes = messages(resourceSpans, 2);
    const attributes = resource === undefined ? {} : readAttributes(resource, 1);
    return scopes.flatMap((scope) => messages(scope, 2)).map((span) => readSpan(span, attributes));
  });
}

function readSpan(bytes: Uint8Array, resource: Record<string, unknown>): CollectedSpan {
  const hex = (number: number) => Buffer.from(messages(bytes, number)[0] ?? []).toString('hex');
  const span: CollectedSpan = {
    traceId: hex(1),
    spanId: hex(2),
    parentSpanId: hex(4),
    name: Buffer.from(messages(bytes, 5)[0] ?? []).toString(),
    kind: 0,
    startMs: 0,
    endMs: 0,
    attributes: readAttributes(bytes, 9),
    status: 0,
    resource,
  };
  fields(bytes, (field, reader) => {
    if (field === 6) span.kind = reader.int32();
    else if (field === 7) span.startMs = Number(reader.fixed64()) / 1e6;
    else if (field === 8) span.endMs = Number(reader.fixed64()) / 1e6;
    else return false;
    return true;
  });
  for (const status of messages(bytes, 15)) {
    fields(status, (field, reader) => {
      if (field !== 3) return false;
      span.status = reader.int32();
      return true;
    });
  }
  return span;
}

function readAttributes(bytes: Uint8Array, number: number): Record<string, unknown> {
  return Object.fromEntries(
    messages(bytes, number).map((pair) => {
      const [key] = messages(pair, 1);
      const [value] = messages(pair, 2);
      return [Buffer.from(key ?? []).toString(), readValue(value ?? new Uint8Array())];
    }),
  );
}

function readValue(bytes: Uint8Array): unknown {
  let value: unknown;
  fields(bytes, (field, reader) => {
    if (field === 1) value = reader.string();
    else if (field === 2) value = reader.bool();
    else if (field === 3) value = Number(reader.int64());
    else if (field === 4) value = reader.double();
    else return false;
    return true;
  });
  return value;
}
