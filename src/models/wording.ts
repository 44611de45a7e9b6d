// How messages about files of ours quote keys and values.

/** `features[2].name` */
export function keyPath(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');
}

/** `KEY: found VALUE; allowed is ...`, the value being that at `path` of `content` unless given. */
export function foundAndAllowed(
  content: unknown,
  path: readonly PropertyKey[],
  allowed: string,
  found = show(valueAt(content, path)),
): string {
  return `${path.length > 0 ? `${keyPath(path)}: ` : ''}found ${found}; allowed is ${allowed}`;
}

function valueAt(content: unknown, path: readonly PropertyKey[]): unknown {
  let value = content;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined | null)?.[key];
  return value;
}

/** On one line, cut where it gets long. */
function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'number') return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
