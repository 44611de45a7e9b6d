// What the headers of a call say that every kind of call needs, and how its messages are unpacked. What the answers to
// broken requests are is fixed by gRPC's specification: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import { createGunzip, createInflate } from 'node:zlib';
import { type Metadata, status as Status } from '@grpc/grpc-js';
import { encodeHeaderBlocks, encodeHeaders, type HeaderField } from '../http2/header-encoder.ts';
import type { RequestHead } from '../http2/request-head.ts';
import type { PreparedResponse } from '../http2/stream.ts';

export type RefusedStatus = { code: Status; details: string; metadata?: Metadata };

/** Before each message: whether it is compressed, and its length in four bytes. */
export const PREFIX_BYTES = 5;
/** Longer ones than a timer can hold (24 days) are left to whoever reads `deadlineMs`. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
/** Characters of a header that come back in an error: trailers that are too large are none. */
const MAX_SHOWN = 100;

const HEADERS: readonly HeaderField[] = [
  [':status', '200'],
  ['content-type', 'application/grpc+proto'],
  ['grpc-accept-encoding', 'identity,deflate,gzip'],
];
const OK_TRAILERS = encodeHeaderBlocks([['grpc-status', '0']]);

/** What goes before and behind the message of a call that went well. */
export const OK_RESPONSE: PreparedResponse = {
  headers: encodeHeaderBlocks(HEADERS, OK_TRAILERS.tableEntries),
  trailers: OK_TRAILERS,
};

/** A whole response that is a status and nothing else. */
export function statusOnly(status: RefusedStatus): Uint8Array {
  return encodeHeaders([...HEADERS, ...statusFields(status)]);
}

/** The trailers behind the messages of a stream that ends with an error. */
export function statusTrailers(status: RefusedStatus): Uint8Array {
  return encodeHeaders(statusFields(status));
}

function statusFields({ code, details, metadata }: RefusedStatus): HeaderField[] {
  const fields: HeaderField[] = [
    ['grpc-status', String(code)],
    ['grpc-message', encodeURI(details)],
  ];
  if (metadata === undefined) return fields;
  for (const [name, values] of Object.entries(metadata.toHttp2Headers())) {
    for (const value of Array.isArray(values) ? values : [values]) fields.push([name, String(value)]);
  }
  return fields;
}

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Record<string, number> = { H: 3.6e6, M: 6e4, S: 1e3, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds that the caller gives; Infinity where it doesn't say, NaN where that is no gRPC timeout. */
export function timeoutMsOf(head: RequestHead): number {
  const text = head.get('grpc-timeout');
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const match = TIMEOUT.exec(text);
  return match === null ? Number.NaN : Number(match[1]) * (UNIT_MS[match[2] as string] as number);
}

export function wrongTimeout(head: RequestHead): RefusedStatus {
  const details = `grpc-timeout: expected 1 to 8 digits and a unit, got "${clip(head.get('grpc-timeout'))}"`;
  return { code: Status.INTERNAL, details };
}

export function clip(text: string | undefined): string {
  return text === undefined || text.length <= MAX_SHOWN ? String(text) : `${text.slice(0, MAX_SHOWN)}...`;
}

export function tooLarge(bytes: number, maxBytes: number, hint = ''): RefusedStatus {
  const details = `Received message larger than max (${bytes} vs ${maxBytes})${hint === '' ? '' : `; ${hint}`}`;
  return { code: Status.RESOURCE_EXHAUSTED, details };
}

export const CUT_SHORT: RefusedStatus = { code: Status.INTERNAL, details: 'the request ends within a message' };
export const NO_MESSAGE: RefusedStatus = { code: Status.UNIMPLEMENTED, details: 'expected one message, got none' };
export const MORE_MESSAGES: RefusedStatus = { code: Status.UNIMPLEMENTED, details: 'expected one message, got more' };
export const NO_ROOM: RefusedStatus = {
  code: Status.RESOURCE_EXHAUSTED,
  details: 'the server holds as many large messages as it may; try again later',
};
export const EXPIRED: RefusedStatus = { code: Status.DEADLINE_EXCEEDED, details: 'Deadline exceeded' };

/**
 * Unpacks a compressed message by what `grpc-encoding` says; `done` comes later, and once.
 * @param hasRoom whether there is room for so many bytes, asked as they become more: a thousandth of them may have come
 */
export function unpack(
  head: RequestHead,
  message: Uint8Array,
  maxBytes: number,
  hasRoom: (bytes: number) => boolean,
  done: (unpacked: Buffer | undefined, refused: RefusedStatus) => void,
): void {
  const encoding = head.get('grpc-encoding');
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    done(undefined, unknownEncoding(encoding));
    return;
  }
  const inflating = encoding === 'gzip' ? createGunzip() : createInflate();
  const parts: Buffer[] = [];
  let bytes = 0;
  const stop = (refused: RefusedStatus): void => {
    inflating.removeAllListeners().on('error', () => {});
    inflating.destroy();
    done(undefined, refused);
  };
  inflating.on('data', (part: Buffer) => {
    bytes += part.length;
    parts.push(part);
    if (bytes > maxBytes) {
      const details = `Received message that decompresses to a size larger than ${maxBytes}`;
      stop({ code: Status.RESOURCE_EXHAUSTED, details });
    } else if (!hasRoom(bytes)) {
      stop(NO_ROOM);
    }
  });
  inflating.on('error', () => stop({ code: Status.INTERNAL, details: `the message is not what ${encoding} makes` }));
  inflating.on('end', () => done(Buffer.concat(parts, bytes), CUT_SHORT));
  inflating.end(message);
}

function unknownEncoding(encoding: string | undefined): RefusedStatus {
  if (encoding === undefined || encoding === 'identity') {
    return { code: Status.INTERNAL, details: 'a compressed message, but grpc-encoding names no compression' };
  }
  return {
    code: Status.UNIMPLEMENTED,
    details: `grpc-encoding: expected identity, deflate or gzip, got "${clip(encoding)}"`,
  };
}
