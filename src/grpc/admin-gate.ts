// Who may change what the server does: callers on its machine, with a client certificate, or with the server's token.
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ScorewireError, SetupError } from '../errors.ts';
import type { Caller } from './unary.ts';

export class AdminGate {
  readonly #token: Buffer | undefined;

  /** @param token undefined: nobody gets in by one */
  constructor(token: string | undefined) {
    this.#token = token === undefined ? undefined : digest(token);
  }

  /** @throws SetupError for a file that can't be read, or has no token in it */
  static withTokenFile(path: string | undefined): AdminGate {
    if (path === undefined) return new AdminGate(undefined);
    let token: string;
    try {
      token = readFileSync(path, 'utf8').trim();
    } catch (error) {
      throw new SetupError(`admin.token_file: can't read ${path}: ${(error as Error).message}`, error);
    }
    if (/^\S{16,}$/.test(token)) return new AdminGate(token);
    throw new SetupError(`admin.token_file: ${path}: expected one token of 16 characters or more, without spaces`);
  }

  /** @throws ScorewireError PERMISSION_DENIED */
  check(caller: Caller): void {
    const { local, certified } = caller.peer;
    if (local || certified || this.#isToken(caller.header('authorization'))) return;
    throw new ScorewireError(
      'permission_denied',
      'NOT_ADMIN',
      "this service answers callers on the server's machine, with a client certificate, or with the server's token",
    );
  }

  #isToken(authorization: string | undefined): boolean {
    const [, given] = /^bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    // Of equal length, and compared in equal time.
    return this.#token !== undefined && given !== undefined && timingSafeEqual(this.#token, digest(given));
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
