/** Characters of a name that an answer repeats at most: what a caller sends may be long. */
export const MAX_NAME = 100;

/** A name of the caller's as an error shows it. */
export function shownName(name: string): string {
  return JSON.stringify(name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}...` : name);
}
