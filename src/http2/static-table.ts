// HPACK's static table (RFC 7541, appendix A): the fields with the indices 1 to 61.

/** Index 1 comes first. */
export const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
];

export const STATIC_TABLE_ENTRIES = STATIC_TABLE.length;

/** The dynamic table's size where SETTINGS say nothing. */
export const DEFAULT_TABLE_BYTES = 4096;

/** RFC 7541, 4.1: what an entry costs beside its name and value. */
export const ENTRY_OVERHEAD_BYTES = 32;

const byName = new Map<string, number>();
const byField = new Map<string, number>();
for (const [at, [name, value]] of STATIC_TABLE.entries()) {
  if (!byName.has(name)) byName.set(name, at + 1);
  if (value !== '') byField.set(`${name}\0${value}`, at + 1);
}

/** The lowest index of an entry of that name; 0 where there is none. */
export function staticIndexOfName(name: string): number {
  return byName.get(name) ?? 0;
}

/** The index of the entry with that name and that value, not empty; 0 where there is none. */
export function staticIndexOfField(name: string, value: string): number {
  return byField.get(`${name}\0${value}`) ?? 0;
}
