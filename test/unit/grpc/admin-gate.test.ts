import { describe, expect, test } from 'vitest';
import { AdminGate } from '../../../src/grpc/admin-gate.ts';

const TOKEN = 'correct-horse-battery';
const FAR = { local: false, certified: false };

function caller(peer: { local: boolean; certified: boolean }, authorization?: string) {
  return { peer, header: (name: string) => (name === 'authorization' ? authorization : undefined) };
}

describe('gets in', () => {
  test.each([
    ["callers on the server's machine", caller({ local: true, certified: false })],
    ['callers with a certificate', caller({ local: false, certified: true })],
    ['callers with the token', caller(FAR, `Bearer ${TOKEN}`)],
    ['whatever the case of the scheme', caller(FAR, `bearer ${TOKEN}`)],
  ])('%s', (_who, call) => {
    expect(() => new AdminGate(TOKEN).check(call)).not.toThrow();
  });
});

describe('does not get in', () => {
  test.each([
    ['callers from elsewhere', caller(FAR)],
    ['callers with another token', caller(FAR, 'Bearer wrong')],
    ['callers with an empty one', caller(FAR, 'Bearer ')],
    ['callers with another scheme', caller(FAR, `Basic ${TOKEN}`)],
    ['callers with more than the token', caller(FAR, `Bearer ${TOKEN} x`)],
  ])('%s', (_who, call) => {
    expect(() => new AdminGate(TOKEN).check(call)).toThrow(expect.objectContaining({ kind: 'permission_denied' }));
  });

  test('by any token where the server has none', () => {
    expect(() => new AdminGate(undefined).check(caller(FAR, 'Bearer undefined'))).toThrow(/certificate/);
  });
});
