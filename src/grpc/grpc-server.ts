// The gRPC port: calls come to their methods, the port is bound and drained.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { TlsOptions } from 'node:tls';
import { status as Status } from '@grpc/grpc-js';
import type { Settings } from '../config/settings.ts';
import { SetupError } from '../errors.ts';
import { encodeHeaders } from '../http2/header-encoder.ts';
import { Http2Server } from '../http2/http2-server.ts';
import type { ServerStream } from '../http2/stream.ts';
import { clip, statusOnly } from './call-head.ts';
import { MessageBudget } from './message-budget.ts';
import { StreamCall, type StreamMethod } from './stream-call.ts';
import { UnaryCall, type UnaryMethod } from './unary-call.ts';

const MAX_HEADER_LIST_BYTES = 64 * 1024;
/** gRPC-Web, which is framed otherwise, is not among them. */
const GRPC = /^application\/grpc(?:[+;]|$)/;
const NOT_GRPC = encodeHeaders([[':status', '415']]);
const NOT_POST = encodeHeaders([
  [':status', '405'],
  ['allow', 'POST'],
]);

/** Milliseconds that the last statuses get to leave before their connections are cut. */
const FLUSH_MS = 50;

/** Milliseconds that clients get to close connections on which nothing is under way any more. */
const LINGER_MS = 200;

export class GrpcServer {
  readonly #http2: Http2Server;
  readonly #maxMessageBytes: number;
  readonly #budget: MessageBudget;
  readonly #unary = new Map<string, UnaryMethod>();
  readonly #streams = new Map<string, StreamMethod>();

  constructor(limits: Settings['limits']) {
    this.#maxMessageBytes = limits.maxMessageBytes;
    this.#budget = new MessageBudget(limits.maxBatchBytes);
    const options = {
      maxStreams: limits.maxStreamsPerConnection,
      maxHeaderListBytes: MAX_HEADER_LIST_BYTES,
      // Health probes leave their connections behind.
      maxIdleMs: limits.maxConnectionIdleSeconds * 1000,
    };
    this.#http2 = new Http2Server(options, (stream) => this.#onRequest(stream));
  }

  addUnary(methods: readonly UnaryMethod[]): void {
    for (const method of methods) this.#unary.set(method.path, method);
  }

  addStreams(methods: readonly StreamMethod[]): void {
    for (const method of methods) this.#streams.set(method.path, method);
  }

  /** Listens; returns the port. @throws SetupError when the port can't be had or a TLS file can't be used. */
  async listen(host: string, port: number, tls: Settings['tls']): Promise<number> {
    const options = tlsOptions(tls);
    try {
      return await this.#http2.listen(host, port, options);
    } catch (error) {
      const problem = bindProblem(error as NodeJS.ErrnoException);
      throw new SetupError(`server.port: can't listen on ${hostAndPort(host, port)}: ${problem}`, error);
    }
  }

  /**
   * Takes no new calls and ends connections when their calls are done; one that its client keeps open though `idle` says
   * that nothing is under way is cut. After `timeoutMs` `giveUp` is called, to answer what is left, and then all are cut.
   * Returns whether all calls ended by themselves.
   */
  async close(idle: () => Promise<void>, timeoutMs: number, giveUp: () => void): Promise<boolean> {
    const timers = new AbortController();
    const after = <T>(ms: number, value: T): Promise<T> => setTimeout(ms, value, { signal: timers.signal });
    const closed = this.#http2.drain().then(() => 'closed' as const);
    const left = idle().then(() => after(LINGER_MS, 'left' as const));
    // Whichever loses is told by the signal, and nobody listens any more.
    left.catch(() => {});
    const outcome = await Promise.race([closed, left, after(timeoutMs, 'late' as const)]);
    if (outcome === 'late') {
      giveUp();
      await after(FLUSH_MS, undefined);
    }
    timers.abort();
    this.destroy();
    return outcome !== 'late';
  }

  /** Ends everything at once. */
  destroy(): void {
    this.#http2.destroy();
  }

  #onRequest(stream: ServerStream): void {
    const { head } = stream;
    if (head === undefined) return;
    if (head.method !== 'POST') {
      stream.headers(NOT_POST, true);
      return;
    }
    if (!GRPC.test(head.get('content-type') ?? '')) {
      stream.headers(NOT_GRPC, true);
      return;
    }
    const unary = this.#unary.get(head.path);
    if (unary !== undefined) {
      UnaryCall.serve(stream, head, unary, this.#maxMessageBytes, this.#budget);
      return;
    }
    const streaming = this.#streams.get(head.path);
    if (streaming !== undefined) {
      StreamCall.serve(stream, head, streaming, this.#maxMessageBytes, this.#budget);
      return;
    }
    const details = `The server does not implement the method ${clip(head.path)}`;
    stream.headers(statusOnly({ code: Status.UNIMPLEMENTED, details }), true);
  }
}

/** `HOST:PORT`, as clients take it: an IPv6 address stands in brackets. */
export function hostAndPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function bindProblem({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return 'the port is taken; choose another one with --port';
  if (code === 'EACCES') return 'not allowed; ports below 1024 need the right to bind them';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address';
  return message;
}

function tlsOptions({ cert, key, clientCa }: Settings['tls']): TlsOptions | undefined {
  if (cert === undefined || key === undefined) return undefined;
  const options = { cert: readPem('tls.cert', cert), key: readPem('tls.key', key) };
  const ca = clientCa === undefined ? undefined : readPem('tls.client_ca', clientCa);
  // OpenSSL finds faults as well, and doesn't say which file it means.
  const certificate = usable('tls.cert', cert, () => new X509Certificate(options.cert));
  const privateKey = usable('tls.key', key, () => createPrivateKey(options.key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new SetupError(`tls.key: ${key} is not the key of the certificate in ${cert} (tls.cert)`);
  }
  if (ca === undefined) return options;
  usable('tls.client_ca', clientCa as string, () => new X509Certificate(ca));
  return { ...options, ca, requestCert: true, rejectUnauthorized: true };
}

function usable<T>(setting: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new SetupError(`${setting}: ${path} can't be used: ${(error as Error).message}`, error);
  }
}

function readPem(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new SetupError(`${setting}: can't read ${path}: ${(error as Error).message}`, error);
  }
}
