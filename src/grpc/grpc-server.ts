// The gRPC port: services added, bound, drained.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { setTimeout } from 'node:timers/promises';
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Settings } from '../config/settings.ts';
import { SetupError } from '../errors.ts';
import { UnaryCall, type UnaryMethod } from './unary-call.ts';
import { keepSessionYoung } from './young-streams.ts';

/** What is private in grpc-js's Server, and the place where a new stream comes to it. */
type ServerInternals = {
  _streamHandler(interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
  /** Makes the listener of a port's new connections. */
  _sessionHandler(port: unknown): (session: ServerHttp2Session) => void;
  /** Keeps count of a connection's streams, for its idle time. */
  onStreamOpened(stream: ServerHttp2Stream): void;
};

export function createGrpcServer(limits: Settings['limits']): Server {
  // What grpc-js writes to stderr it also says by errors, and those are logged or shown in our own words.
  if (!process.env.GRPC_VERBOSITY && !process.env.GRPC_NODE_VERBOSITY) setLogVerbosity(logVerbosity.NONE);
  return new Server({
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    // Each open call is a few KB that every scavenge copies: more of them at once make all of them slower.
    'grpc.max_concurrent_streams': limits.maxStreamsPerConnection,
    // Health probes leave their connections behind.
    'grpc.max_connection_idle_ms': limits.maxConnectionIdleSeconds * 1000,
    'grpc.enable_channelz': 0,
  });
}

export function addService(server: Server, service: object, handlers: UntypedServiceImplementation): void {
  server.addService(service as ServiceDefinition, handlers);
}

/** Serves these methods by UnaryCall and leaves all others to grpc-js. For a server that listens not yet. */
export function addUnaryMethods(server: Server, methods: readonly UnaryMethod[], maxMessageBytes: number): void {
  const internals = server as unknown as ServerInternals;
  for (const name of ['_streamHandler', '_sessionHandler', 'onStreamOpened'] as const) {
    if (typeof internals[name] !== 'function') throw new Error(`this release of @grpc/grpc-js has no ${name}`);
  }
  const sessions = internals._sessionHandler;
  internals._sessionHandler = (port) => {
    const handle = sessions.call(server, port);
    return (session) => {
      keepSessionYoung(session);
      handle(session);
    };
  };
  const others = internals._streamHandler;
  const byPath = new Map(methods.map((method) => [method.path, method]));
  internals._streamHandler = (interceptors, stream, headers) => {
    // A stream's error comes with its close, which says all that can still be of use.
    stream.on('error', ignore);
    // Node tells of a stream a tick late: by then its client may have reset it, and to answer it would throw.
    if (stream.destroyed || stream.closed) return;
    const method = byPath.get(headers[':path'] as string);
    if (method === undefined) {
      others.call(server, interceptors, stream, headers);
      return;
    }
    internals.onStreamOpened(stream);
    UnaryCall.serve(stream, headers, method, maxMessageBytes);
  };
}

function ignore(): void {}

/** `HOST:PORT`, as clients take it: an IPv6 address stands in brackets. */
export function hostAndPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Listens; returns the port. @throws SetupError when the port can't be had or a TLS file can't be used. */
export async function listen(server: Server, host: string, port: number, tls: Settings['tls']): Promise<number> {
  const address = hostAndPort(host, port);
  const credentials = credentialsOf(tls);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new SetupError(`server.port: can't listen on ${address}: ${bindProblem(error.message)}`, error));
    });
  });
}

function bindProblem(message: string): string {
  if (message.includes('EADDRINUSE')) return 'the port is taken; choose another one with --port';
  if (message.includes('EACCES')) return 'not allowed; ports below 1024 need the right to bind them';
  if (message.includes('EADDRNOTAVAIL')) return 'this machine has no such address';
  return message;
}

function credentialsOf({ cert, key, clientCa }: Settings['tls']): ServerCredentials {
  if (cert === undefined || key === undefined) return ServerCredentials.createInsecure();
  const pair = { cert_chain: readPem('tls.cert', cert), private_key: readPem('tls.key', key) };
  const roots = clientCa === undefined ? null : readPem('tls.client_ca', clientCa);
  // grpc-js would find out while it binds, and OpenSSL doesn't say which file it means.
  const certificate = usable('tls.cert', cert, () => new X509Certificate(pair.cert_chain));
  const privateKey = usable('tls.key', key, () => createPrivateKey(pair.private_key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new SetupError(`tls.key: ${key} is not the key of the certificate in ${cert} (tls.cert)`);
  }
  if (roots !== null) usable('tls.client_ca', clientCa as string, () => new X509Certificate(roots));
  return ServerCredentials.createSsl(roots, [pair], roots !== null);
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

/** Milliseconds that the last statuses get to leave before their connections are cut. */
const FLUSH_MS = 50;

/** Milliseconds that clients get to close connections on which nothing is under way any more. */
const LINGER_MS = 200;

/**
 * Takes no new calls and ends connections when their calls are done; one that its client keeps open though `idle` says
 * that nothing is under way is cut. After `timeoutMs` `giveUp` is called, to answer what is left, and then all are cut.
 * Returns whether all calls ended by themselves.
 */
export async function closeGrpcServer(
  server: Server,
  idle: () => Promise<void>,
  timeoutMs: number,
  giveUp: () => void,
): Promise<boolean> {
  const timers = new AbortController();
  const after = <T>(ms: number, value: T): Promise<T> => setTimeout(ms, value, { signal: timers.signal });
  const closed = new Promise<'closed'>((resolve) => server.tryShutdown(() => resolve('closed')));
  const left = idle().then(() => after(LINGER_MS, 'left' as const));
  const outcome = await Promise.race([closed, left, after(timeoutMs, 'late' as const)]);
  if (outcome === 'late') {
    giveUp();
    await after(FLUSH_MS, undefined);
  }
  timers.abort();
  // Not waited for: a peer that doesn't read keeps its connection half open.
  if (outcome !== 'closed') server.forceShutdown();
  return outcome !== 'late';
}
