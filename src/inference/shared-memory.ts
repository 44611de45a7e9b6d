// Tensors that lie in memory which client and server share: what a request needs of the registered regions.
import { type ErrorKind, ScorewireError } from '../errors.ts';

const MAX_SIZE = 2n ** 64n - 1n;

/** The registered regions. */
export interface SharedMemory {
  /**
   * Part of a region, which stays valid until it is closed, whatever becomes of the region.
   * @param offset from the region's start, in bytes; both as unsigned 64-bit numbers
   * @throws ScorewireError as `checkPart`; NOT_FOUND for a region that there is not
   */
  open(region: string, offset: bigint, byteSize: bigint): SharedPart;
}

export interface SharedPart {
  readonly byteSize: number;
  /**
   * Fills `target` with the bytes from `from` on, counted from the part's start.
   * @throws ScorewireError INTERNAL where the memory is not there any more
   */
  read(target: Uint8Array, from: number): void;
  /** Puts `bytes` at `at`, counted from the part's start. @throws ScorewireError as `read` */
  write(bytes: Uint8Array, at: number): void;
  /** Once, by whoever opened it. */
  close(): void;
}

export function regionNotFound(region: string): ScorewireError {
  return problem('not_found', 'REGION_NOT_FOUND', `Unable to find shared memory region: '${shown(region)}'`);
}

/**
 * Whether a part lies in a region of so many bytes.
 * @throws ScorewireError INVALID_ARGUMENT
 */
export function checkPart(region: string, regionBytes: bigint, offset: bigint, byteSize: bigint): void {
  if (offset + byteSize > MAX_SIZE) {
    const sum = `byte_size (${byteSize}) + offset (${offset})`;
    const message = `Integer overflow detected: ${sum} exceeds maximum value (${MAX_SIZE}) for region '${shown(region)}'`;
    throw problem('invalid_argument', 'INVALID_SHARED_MEMORY', message);
  }
  if (offset > 0n && offset >= regionBytes) {
    const message = `Invalid offset for shared memory region: '${shown(region)}'`;
    throw problem('invalid_argument', 'INVALID_SHARED_MEMORY', message);
  }
  if (offset + byteSize > regionBytes) {
    const message = `Invalid offset + byte size for shared memory region: '${shown(region)}'`;
    throw problem('invalid_argument', 'INVALID_SHARED_MEMORY', message);
  }
}

function problem(kind: ErrorKind, reason: string, message: string): ScorewireError {
  return new ScorewireError(kind, reason, message);
}

function shown(region: string): string {
  return region.slice(0, 200);
}
