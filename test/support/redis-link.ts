import { expect } from 'vitest';
import { type LinkOptions, RedisLink } from '../../src/redis/redis-link.ts';

/** So long that only a Redis that never answers reaches it. */
export const PATIENT_MS = 20_000;

/** A link that is connected, and gives no Redis up that a test has paused. */
export async function connectedLink(url: string, options: Partial<LinkOptions> = {}): Promise<RedisLink> {
  const link = new RedisLink({ url, prefix: 'test', reason: 'STORE_UNAVAILABLE', silentMs: PATIENT_MS, ...options });
  expect(await link.whenConnected(PATIENT_MS)).toBe(true);
  return link;
}
