// A port that speaks HTTP/2, in clear text (with prior knowledge) or over TLS: connections begin here, and are told to go.
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { Connection } from './connection.ts';
import type { ConnectionLimits } from './limits.ts';
import type { ServerStream } from './stream.ts';

export type Http2ServerOptions = ConnectionLimits & {
  /** A connection without a stream for so long is told to go. */
  maxIdleMs: number;
};

/** Milliseconds that a client has to say that it speaks HTTP/2, TLS included. */
const HANDSHAKE_MS = 20_000;
/** Milliseconds after which TCP asks whether a silent client is still there. */
const KEEPALIVE_MS = 60_000;
/** Milliseconds that an idle connection has to go by itself once it was told to. */
const GRACE_MS = 1_000;

export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #onRequest: (stream: ServerStream) => void;
  readonly #connections = new Set<Connection>();
  /** Those of TLS clients that have yet to say who they are among them. */
  readonly #sockets = new Set<Socket>();
  #draining = false;
  #server: Server | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;
  #whenClosed: (() => void) | undefined;

  constructor(options: Http2ServerOptions, onRequest: (stream: ServerStream) => void) {
    this.#options = options;
    this.#onRequest = onRequest;
  }

  /** Listens; resolves with the port. `tls`: as for node:tls, or undefined for clear text. */
  listen(host: string, port: number, tls: TlsOptions | undefined): Promise<number> {
    const server =
      tls === undefined
        ? createServer(this.#onConnection)
        : createTlsServer({ ...tls, ALPNProtocols: ['h2'], handshakeTimeout: HANDSHAKE_MS }, this.#onConnection);
    this.#server = server;
    server.on('connection', this.#onSocket);
    // A client whose handshake fails has been told so by TLS.
    server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        // As with too many open files: the connection is lost, the port is not.
        server.on('error', () => {});
        this.#sweep = setInterval(() => this.#endIdle(), Math.max(100, Math.min(this.#options.maxIdleMs / 4, 5_000)));
        this.#sweep.unref();
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Takes no more connections, and tells those that are there to go; resolves when the last has ended. */
  async drain(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#whenClosed = resolve;
    });
    this.#draining = true;
    this.#server?.close();
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size > 0) await this.#closed;
  }

  /** Ends everything at once. */
  destroy(): void {
    clearInterval(this.#sweep);
    this.#draining = true;
    this.#server?.close();
    for (const connection of this.#connections) connection.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  readonly #onSocket = (socket: Socket): void => {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  };

  readonly #onConnection = (socket: Socket): void => {
    // Its TLS handshake was under way when the port closed.
    if (this.#draining) {
      socket.destroy();
      return;
    }
    socket.setKeepAlive(true, KEEPALIVE_MS);
    this.#connections.add(
      new Connection(socket, this.#options, { onRequest: this.#onRequest, onClosed: this.#onClosed }),
    );
  };

  readonly #onClosed = (connection: Connection): void => {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenClosed?.();
  };

  #endIdle(): void {
    const now = performance.now();
    for (const connection of this.#connections) {
      if (connection.openStreams > 0) continue;
      const limitMs = connection.settled ? this.#options.maxIdleMs : HANDSHAKE_MS;
      if (now - connection.idleSinceMs <= limitMs) continue;
      // Never without a word: the client may be about to send.
      if (now - connection.toldMs > GRACE_MS) connection.destroy();
      else connection.drain();
    }
  }
}
