// The HTTP port: metrics, health checks, the status page. It reads, it changes nothing.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { SetupError } from '../errors.ts';
import type { Logger } from '../telemetry/log.ts';
import { PROMETHEUS_CONTENT_TYPE } from '../telemetry/prometheus.ts';
import { type StatusSnapshot, statusPage } from './status-page.ts';

export type HttpServerOptions = {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** PEM; absent: plain HTTP. With `clientCa` every client must show a certificate of it. */
  tls?: { cert: string | Buffer; key: string | Buffer; clientCa?: string | Buffer };
  /** Hears of requests that failed. */
  log: Logger;
};

export type HttpContent = {
  /** Prometheus text. */
  metricsText: () => Promise<string>;
  /** `reason` is for people: why not, or that all is well. */
  ready: () => { ready: boolean; reason: string };
  /** What is wrong while the server serves: refreshes, stores; one line each. */
  problems: () => readonly string[];
  status: () => StatusSnapshot;
};

export type HttpServer = {
  readonly port: number;
  /** Takes no more connections, lets answers under way end for a second, then cuts what is left. */
  close(): Promise<void>;
};

type Answer = { status: number; type: string; body: string };

const TEXT = 'text/plain; charset=utf-8';
const CLOSE_GRACE_MS = 1000;
/** Enough for scrapers, probes and a few people; clients that hang can't use up the process's descriptors. */
const MAX_CONNECTIONS = 256;

/** @throws SetupError when the port or the certificate can't be used. */
export async function startHttpServer(options: HttpServerOptions, content: HttpContent): Promise<HttpServer> {
  const { host, port, log } = options;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    answerTo(request, content)
      .catch((error: unknown): Answer => {
        log.error({ err: error, url: request.url }, 'an HTTP request failed');
        return { status: 500, type: TEXT, body: 'internal error, see the log\n' };
      })
      .then((found) => send(found, request, response));
  };
  const server = listener(options, answer);
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () => close(server),
  };
}

function listener({ tls }: HttpServerOptions, answer: (q: IncomingMessage, s: ServerResponse) => void): Server {
  const limits = { headersTimeout: 5000, requestTimeout: 10_000 };
  if (tls === undefined) return createServer(limits, answer);
  const { cert, key, clientCa } = tls;
  const mutual = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  try {
    return createTlsServer({ ...limits, cert, key, ...mutual }, answer);
  } catch (error) {
    throw new SetupError(`tls.cert or tls.key can't be used for HTTP: ${(error as Error).message}`, error);
  }
}

async function answerTo(request: IncomingMessage, content: HttpContent): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0] as string;
  const page = PAGES.get(path);
  if (page === undefined) {
    return { status: 404, type: TEXT, body: `not here; there are ${[...PAGES.keys()].join(' ')}\n` };
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, type: TEXT, body: 'only GET and HEAD\n' };
  }
  return page(content);
}

type Page = (content: HttpContent) => Answer | Promise<Answer>;

const PAGES: ReadonlyMap<string, Page> = new Map<string, Page>([
  ['/', ({ status }) => ({ status: 200, type: 'text/html; charset=utf-8', body: statusPage(status()) })],
  ['/metrics', async ({ metricsText }) => ({ status: 200, type: PROMETHEUS_CONTENT_TYPE, body: await metricsText() })],
  ['/livez', () => ({ status: 200, type: TEXT, body: 'alive\n' })],
  [
    '/readyz',
    (content) => {
      const { ready, reason } = content.ready();
      return { status: ready ? 200 : 503, type: TEXT, body: `${reason}\n` };
    },
  ],
  [
    // For people and dashboards; whether traffic may come is for /readyz to say.
    '/healthz',
    (content) => {
      const { ready, reason } = content.ready();
      const body = JSON.stringify({ ready, state: reason, problems: content.problems() }, null, 2);
      return { status: 200, type: 'application/json', body: `${body}\n` };
    },
  ],
]);

function send({ status, type, body }: Answer, request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen({ host, port }, resolve);
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): SetupError {
  const where = `HTTP can't listen on ${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new SetupError(
        `${where}: the port is taken; set server.http_port (--http-port) to another, 0 or off`,
        error,
      );
    case 'EACCES':
      return new SetupError(`${where}: not permitted; set server.http_port (--http-port) to 1024 or above`, error);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new SetupError(`${where}: no address of this machine; set server.http_host or server.host to one`, error);
    default:
      return new SetupError(`${where}: ${error.message} (server.http_host, server.http_port)`, error);
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
