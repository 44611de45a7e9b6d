// Certificates for one test run, made by openssl.

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tempFolder } from './model-folder.ts';

const run = promisify(execFile);

/** Paths of PEM files. */
export type Pair = { cert: string; key: string };

/** An authority of its own that signs what is asked of it. */
export class Authority {
  readonly #folder: string;
  /** The authority's own certificate. */
  readonly cert: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.cert = join(folder, 'ca.pem');
  }

  static async create(): Promise<Authority> {
    const authority = new Authority(await tempFolder());
    await authority.#request('ca', ['-x509', '-subj', '/CN=Test Authority']);
    return authority;
  }

  /** A certificate that servers on 127.0.0.1 and localhost may show, and clients too. */
  async sign(name: string): Promise<Pair> {
    const [cert, key, csr, extensions] = ['pem', 'key', 'csr', 'ext'].map((suffix) =>
      join(this.#folder, `${name}.${suffix}`),
    ) as [string, string, string, string];
    await this.#request(name, ['-subj', `/CN=${name}`], csr);
    await writeFile(extensions, 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    const signer = ['-CA', this.cert, '-CAkey', join(this.#folder, 'ca.key'), '-CAcreateserial'];
    await run('openssl', ['x509', '-req', '-in', csr, ...signer, '-days', '1', '-extfile', extensions, '-out', cert]);
    return { cert, key };
  }

  async #request(name: string, args: readonly string[], out = join(this.#folder, `${name}.pem`)): Promise<void> {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const files = ['-keyout', join(this.#folder, `${name}.key`), '-out', out];
    await run('openssl', ['req', ...key, ...files, '-days', '1', ...args]);
  }
}
