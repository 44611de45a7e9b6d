// What a client may do on a connection, and how we say so.
import { DEFAULT_WINDOW_BYTES, SettingId, settingsFrame, windowUpdateFrame } from './frames.ts';

export interface ConnectionLimits {
  maxStreams: number;
  /** Of a request's headers, as SETTINGS_MAX_HEADER_LIST_SIZE counts them. */
  maxHeaderListBytes: number;
}

/** Bytes that a client may send on a stream before we give it more room, which is when half of them are used. */
export const STREAM_WINDOW_BYTES = 256 * 1024;
/** The same for all streams of a connection together. */
export const CONNECTION_WINDOW_BYTES = 1024 * 1024;

/** The frames that say it, first on a connection. */
export function settingsOf(limits: ConnectionLimits): Buffer {
  const settings = settingsFrame([
    [SettingId.maxConcurrentStreams, limits.maxStreams],
    [SettingId.initialWindowSize, STREAM_WINDOW_BYTES],
    [SettingId.maxHeaderListSize, limits.maxHeaderListBytes],
  ]);
  return Buffer.concat([settings, windowUpdateFrame(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)]);
}
