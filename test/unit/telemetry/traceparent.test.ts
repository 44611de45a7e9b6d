import { describe, expect, it } from 'vitest';
import { parseTraceparent } from '../../../src/telemetry/traceparent.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';

describe('a traceparent', () => {
  it.each([
    [`00-${traceId}-${spanId}-01`, true],
    [`00-${traceId}-${spanId}-00`, false],
    [`00-${traceId}-${spanId}-03`, true],
    [`cc-${traceId}-${spanId}-01-what-is-to-come`, true],
    [` 00-${traceId}-${spanId}-01 `, true],
  ])('%j is read', (header, sampled) => {
    expect(parseTraceparent(header)).toEqual({ traceId, spanId, sampled });
  });

  it.each([
    [''],
    ['00'],
    [`00-${traceId}-${spanId}`],
    [`00-${traceId}-${spanId}-1`],
    [`00-${traceId}-${spanId}-01-more`],
    [`ff-${traceId}-${spanId}-01`],
    [`00-${'0'.repeat(32)}-${spanId}-01`],
    [`00-${traceId}-${'0'.repeat(16)}-01`],
    [`00-${traceId.toUpperCase()}-${spanId}-01`],
    [`00-${traceId}-${spanId}-0x`],
  ])('%j is none', (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });
});
