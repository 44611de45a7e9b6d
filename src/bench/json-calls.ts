// Rows as JSON for a server with a POST of its own, such as FastAPI's: there is no schema to ask for, so rows must be given.

import { BenchError } from './bench-error.ts';

export const DEFAULT_JSON_PATH = '/score';

const CALL_LIMIT_MS = 10_000;
const SHOWN_CHARACTERS = 200;

/**
 * Encodes the rows, a row a request: an array goes as `{"features": [...]}`, an object as it is. Sends the first, to see that
 * the server takes it. @throws BenchError
 */
export async function jsonCalls(
  address: string,
  path: string,
  rows: readonly (unknown[] | Record<string, unknown>)[] | undefined,
): Promise<{ path: string; messages: Uint8Array[] }> {
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new BenchError(`--path: expected a path such as /score, found "${path}"`);
  if (rows === undefined) throw new BenchError('--rows: with --api json rows can’t be made up; give a file of them');
  const bodies = rows.map((row) => JSON.stringify(Array.isArray(row) ? { features: row } : row));
  await check(`http://${address}${path}`, address, bodies[0] as string);
  return { path, messages: bodies.map((body) => Buffer.from(body)) };
}

async function check(url: string, address: string, body: string): Promise<void> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body,
      signal: AbortSignal.timeout(CALL_LIMIT_MS),
    });
    text = await response.text();
  } catch (error) {
    const { message, cause } = error as Error;
    const { code, message: reason } = (cause ?? {}) as { code?: string; message?: string };
    if (code === 'ECONNREFUSED') throw new BenchError(`--address: nothing answers at ${address}`);
    throw new BenchError(`POST ${url}: ${reason ?? message}`);
  }
  if (!response.ok) throw new BenchError(`POST ${url}: HTTP status ${response.status}: ${shortened(text)}`);
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}...` : line;
}
