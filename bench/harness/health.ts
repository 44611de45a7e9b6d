// Readiness by the standard health service.

import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, Metadata } from '@grpc/grpc-js';
import { HealthCheckResponse_ServingStatus, HealthClient } from '../../src/gen/grpc/health/v1/health.ts';

const POLL_MS = 20;
const CALL_LIMIT_MS = 1_000;

/** Resolves once the server as a whole is SERVING; rejects after limitMs, or as soon as `gone` says so. */
export async function waitUntilServing(address: string, limitMs: number, gone: () => boolean): Promise<void> {
  const client = new HealthClient(address, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': POLL_MS,
    'grpc.max_reconnect_backoff_ms': POLL_MS,
    'grpc.enable_http_proxy': 0,
  });
  try {
    await waitUntil('SERVING', () => isServing(client), limitMs, gone);
  } finally {
    client.close();
  }
}

/** Asks until `ready` says so; rejects after limitMs, or as soon as `gone` says so. `state`: for the messages. */
export async function waitUntil(
  state: string,
  ready: () => Promise<boolean>,
  limitMs: number,
  gone: () => boolean,
): Promise<void> {
  const endsAt = performance.now() + limitMs;
  while (performance.now() < endsAt) {
    if (gone()) throw new Error(`ended before it was ${state}`);
    if (await ready()) return;
    await sleep(POLL_MS);
  }
  throw new Error(`not ${state} after ${limitMs / 1000} s`);
}

function isServing(client: HealthClient): Promise<boolean> {
  return new Promise((resolve) => {
    client.check({ service: '' }, new Metadata(), { deadline: Date.now() + CALL_LIMIT_MS }, (error, response) => {
      resolve(error === null && response.status === HealthCheckResponse_ServingStatus.SERVING);
    });
  });
}
