// The W3C header that carries a caller's trace.

export type TraceParent = { readonly traceId: string; readonly spanId: string; readonly sampled: boolean };

const FORM = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Undefined for what is not a valid header: the call then starts a trace of its own, as the standard asks. */
export function parseTraceparent(header: string): TraceParent | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = FORM.exec(header.trim()) ?? [];
  // Versions to come may append fields, version 00 has none.
  if (version === undefined || (version === '00' && more !== undefined)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
