// How a connection to Redis is made: one that fails fast, keeps trying, and never throws where nobody listens.
import { Redis } from 'ioredis';

/** Milliseconds that the handshake of TCP and TLS may take. */
const CONNECT_MS = 500;

/** Milliseconds between attempts: so many more each time, up to the most. */
const RETRY_STEP_MS = 50;
const RETRY_MOST_MS = 500;

/**
 * Begins to connect, and goes on trying until it is ended by `endConnection`.
 * @param silentMs milliseconds without a byte, while an answer is due, after which the connection is given up
 */
export function openConnection(url: string, silentMs: number, onError: (error: Error) => void): Redis {
  const redis = new Redis(url, {
    connectionName: 'scorewire',
    disableClientInfo: true,
    protocol: 2,
    connectTimeout: CONNECT_MS,
    socketTimeout: silentMs,
    retryStrategy: (attempt: number) => Math.min(attempt * RETRY_STEP_MS, RETRY_MOST_MS),
    // What can't be sent now fails now, and what was sent is never sent again: its caller has gone.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
  });
  redis.on('error', onError);
  return redis;
}

/** Ends it without waiting for what is under way, which fails; a Redis that doesn't answer holds up nothing. */
export function endConnection(redis: Redis): void {
  redis.disconnect();
  redis.stream?.destroy();
}

/** The server as people know it, without user and password. */
export function serverName(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname || '127.0.0.1'}:${port || '6379'}`;
}
