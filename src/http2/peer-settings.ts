// The SETTINGS of a peer that matter to a server that sends (RFC 9113, 6.5.2).
import { ConnectionError, ErrorCode, protocolError } from './error-codes.ts';
import { LARGEST_MAX_FRAME_BYTES, MAX_FRAME_BYTES, MAX_WINDOW_BYTES, SettingId } from './frames.ts';

export type PeerSettings = {
  /** The smallest that was said: what didn't fit into that is lost (RFC 7541, 4.2). Undefined: as it was. */
  headerTableBytes: number | undefined;
  streamWindowBytes: number | undefined;
};

/** @throws ConnectionError for values that there may not be */
export function readPeerSettings(bytes: Buffer, start: number, end: number): PeerSettings {
  if ((end - start) % 6 !== 0) throw new ConnectionError(ErrorCode.frameSizeError, 'SETTINGS of a broken length');
  const settings: PeerSettings = { headerTableBytes: undefined, streamWindowBytes: undefined };
  for (let at = start; at < end; at += 6) {
    const value = bytes.readUInt32BE(at + 2);
    switch (bytes.readUInt16BE(at)) {
      case SettingId.headerTableSize:
        settings.headerTableBytes = Math.min(value, settings.headerTableBytes ?? value);
        break;
      case SettingId.enablePush:
        if (value > 1) throw protocolError(`SETTINGS_ENABLE_PUSH of ${value}`);
        break;
      case SettingId.initialWindowSize:
        if (value > MAX_WINDOW_BYTES) throw tooLarge();
        settings.streamWindowBytes = value;
        break;
      case SettingId.maxFrameSize:
        // Ours are never larger than the smallest that it can say.
        if (value < MAX_FRAME_BYTES || value > LARGEST_MAX_FRAME_BYTES) {
          throw protocolError(`SETTINGS_MAX_FRAME_SIZE of ${value}`);
        }
        break;
    }
  }
  return settings;
}

export function tooLarge(): ConnectionError {
  return new ConnectionError(ErrorCode.flowControlError, 'a window of more than 2^31 - 1 bytes');
}
