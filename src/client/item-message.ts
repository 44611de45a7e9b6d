import type { BinaryWriter } from '@bufbuild/protobuf/wire';

/** Ten thousand years: the longest google.protobuf.Duration. */
const MAX_TIMEOUT_MS = 315_576_000_000_000;
const MAX_UINT32 = 2 ** 32 - 1;

/**
 * Writes a StreamItem as the next of ScoreStreamRequest.items; every multiplexed score comes through here.
 * @param request a ScoreRequest's bytes
 * @param timeoutMs what is below 0 is 0, what no Duration can hold is left out
 */
export function writeItem(writer: BinaryWriter, id: number, request: Uint8Array, timeoutMs: number): void {
  writer.uint32(0x0a).fork().uint32(0x08);
  writeVarint(writer, id);
  writer.uint32(0x12).bytes(request);
  if (timeoutMs <= MAX_TIMEOUT_MS) {
    // Rounded up: the server is not to give up before the client does.
    const wholeMs = Math.max(0, Math.ceil(timeoutMs));
    const ms = wholeMs % 1000;
    writer.uint32(0x1a).fork().uint32(0x08);
    writeVarint(writer, (wholeMs - ms) / 1000);
    writer.uint32(0x10).uint32(ms * 1e6);
    writer.join();
  }
  writer.join();
}

/** Through bigint only where it must be. */
function writeVarint(writer: BinaryWriter, value: number): void {
  if (value <= MAX_UINT32) writer.uint32(value);
  else writer.uint64(value);
}
