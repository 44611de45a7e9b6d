// Memory that callers on this machine share with the server: files in /dev/shm. Node can't map them, so that they stay open
// and are read and written where a tensor needs it, straight from and into its own array.
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorKind, ScorewireError } from '../errors.ts';
import { checkPart, regionNotFound, type SharedMemory, type SharedPart } from './shared-memory.ts';

/** Where shm_open has its files. */
const FOLDER = '/dev/shm';

/** What Triton keeps for itself, so that clients know to stay away. */
const RESERVED = 'triton_python_backend_shm_region_';

/** Each keeps a file open. */
const MAX_REGIONS = 1024;
const MAX_NAME = 1024;

/** As the callers gave it; sizes in bytes, as unsigned 64-bit numbers. */
export type RegionStatus = { name: string; key: string; offset: bigint; byteSize: bigint };

export class MemoryRegions implements SharedMemory {
  readonly #enabled: boolean;
  readonly #folder: string;
  readonly #regions = new Map<string, { status: RegionStatus; file: OpenFile }>();

  /** @param enabled whether callers may register any */
  constructor(enabled: boolean, folder = FOLDER) {
    this.#enabled = enabled;
    this.#folder = folder;
  }

  /**
   * @throws ScorewireError UNIMPLEMENTED where it is switched off; INVALID_ARGUMENT for a key or a part that can't be;
   * ALREADY_EXISTS; RESOURCE_EXHAUSTED; INTERNAL where the file can't be opened
   */
  register({ name, key, offset, byteSize }: RegionStatus): void {
    this.#checkEnabled();
    const shown = `'${clipped(name)}'`;
    const file = key.replace(/^\/+/, '');
    if (file === '') {
      const message = `cannot register shared memory region ${shown} - invalid shm key '${clipped(key)}'`;
      throw failure('invalid_argument', 'INVALID_KEY', message);
    }
    if (file.startsWith(RESERVED)) {
      const message = `cannot register shared memory region ${shown} with key '${clipped(key)}' as the key contains the reserved prefix '${RESERVED}'`;
      throw failure('invalid_argument', 'INVALID_KEY', message);
    }
    if (this.#regions.has(name)) {
      throw failure('already_exists', 'REGION_EXISTS', `shared memory region ${shown} already in manager`);
    }
    const unfit = (why: string) =>
      failure('invalid_argument', 'INVALID_SHARED_MEMORY', `failed to register shared memory region ${shown}: ${why}`);
    if (name.length > MAX_NAME) throw unfit(`its name is longer than ${MAX_NAME} characters`);
    if (this.#regions.size >= MAX_REGIONS) {
      throw failure('overloaded', 'TOO_MANY_REGIONS', `${MAX_REGIONS} shared memory regions are registered already`);
    }
    const opened = OpenFile.of(this.#folder, file, key, name);
    if (byteSize === 0n || offset + byteSize > opened.size()) {
      opened.release();
      throw unfit('invalid args');
    }
    this.#regions.set(name, { status: { name, key, offset, byteSize }, file: opened });
  }

  /** Whether there is one of this name; '' asks for any. */
  has(name: string): boolean {
    return name === '' ? this.#regions.size > 0 : this.#regions.has(name);
  }

  /** Requests that use it go on. '' means all; one that there is not is none. */
  unregister(name: string): void {
    for (const each of name === '' ? [...this.#regions.keys()] : [name]) {
      this.#regions.get(each)?.file.release();
      this.#regions.delete(each);
    }
  }

  /** '' asks for all. @throws ScorewireError NOT_FOUND */
  status(name: string): RegionStatus[] {
    if (name === '') return [...this.#regions.values()].map(({ status }) => status);
    const found = this.#regions.get(name);
    if (found !== undefined) return [found.status];
    const message = `Unable to find system shared memory region: '${clipped(name)}'`;
    throw failure('not_found', 'REGION_NOT_FOUND', message);
  }

  open(name: string, offset: bigint, byteSize: bigint): SharedPart {
    this.#checkEnabled();
    const region = this.#regions.get(name);
    if (region === undefined) throw regionNotFound(name);
    checkPart(name, region.status.byteSize, offset, byteSize);
    const { file, status } = region;
    file.keep();
    return new Part(file, Number(status.offset + offset), Number(byteSize));
  }

  #checkEnabled(): void {
    if (this.#enabled) return;
    throw failure(
      'unimplemented',
      'SHARED_MEMORY_OFF',
      "Client shared memory is disabled. Start the server with '--set inference.client_shared_memory=on' to enable.",
    );
  }
}

/** Where a request's tensor lies. */
class Part implements SharedPart {
  readonly byteSize: number;
  readonly #file: OpenFile;
  readonly #start: number;
  #open = true;

  /** @param start in the file, in bytes */
  constructor(file: OpenFile, start: number, byteSize: number) {
    this.#file = file;
    this.#start = start;
    this.byteSize = byteSize;
  }

  read(target: Uint8Array, from: number): void {
    this.#file.read(target, this.#start + from);
  }

  write(bytes: Uint8Array, at: number): void {
    this.#file.write(bytes, this.#start + at);
  }

  close(): void {
    if (this.#open) this.#file.release();
    this.#open = false;
  }
}

/** Stays open while its region is registered, and while a request uses it. */
class OpenFile {
  readonly #fd: number;
  readonly #region: string;
  #users = 1;

  private constructor(fd: number, region: string) {
    this.#fd = fd;
    this.#region = region;
  }

  /** @throws ScorewireError INTERNAL for what can't be opened, or is no plain file that lies in `folder` itself */
  static of(folder: string, file: string, key: string, region: string): OpenFile {
    const refuse = (cause: unknown) =>
      failure(
        'internal',
        'REGION_NOT_OPENED',
        `Unable to open shared memory region: '${clipped(key)}'`,
        cause instanceof Error ? cause : new Error(String(cause)),
      );
    if (file === '.' || file === '..' || /[/\0]/.test(file)) throw refuse('the key leads out of the folder');
    let fd: number;
    try {
      // A link could lead anywhere, and opening a pipe would wait for whoever writes into it.
      fd = openSync(join(folder, file), constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      throw refuse(error);
    }
    if (fstatSync(fd).isFile()) return new OpenFile(fd, region);
    closeSync(fd);
    throw refuse('it is no plain file');
  }

  size(): bigint {
    return fstatSync(this.#fd, { bigint: true }).size;
  }

  keep(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    if (this.#users === 0) closeSync(this.#fd);
  }

  read(target: Uint8Array, from: number): void {
    this.#check(from + target.length);
    this.#transfer(target.length, (done) => readSync(this.#fd, target, done, target.length - done, from + done));
  }

  write(bytes: Uint8Array, at: number): void {
    this.#check(at + bytes.length);
    this.#transfer(bytes.length, (done) => writeSync(this.#fd, bytes, done, bytes.length - done, at + done));
  }

  /** Whoever made the file may have cut it since: then a read would be short, and a write would make it longer. */
  #check(end: number): void {
    const size = this.size();
    if (BigInt(end) <= size) return;
    throw this.#lost(`it has ${size} bytes now, and ${end} are needed`);
  }

  #transfer(bytes: number, step: (done: number) => number): void {
    let done = 0;
    try {
      while (done < bytes) {
        const moved = step(done);
        if (moved === 0) throw new Error('the file ends early');
        done += moved;
      }
    } catch (error) {
      throw this.#lost((error as Error).message, error);
    }
  }

  #lost(why: string, cause?: unknown): ScorewireError {
    const message = `shared memory region '${clipped(this.#region)}' can't be used any more: ${why}`;
    return failure('internal', 'REGION_LOST', message, cause);
  }
}

function failure(kind: ErrorKind, reason: string, message: string, cause?: unknown): ScorewireError {
  return new ScorewireError(kind, reason, message, { cause });
}

function clipped(text: string): string {
  return text.slice(0, 200);
}
