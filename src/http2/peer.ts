// Who is at the other end of a connection.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

export type Peer = {
  /** On this machine. */
  local: boolean;
  /** Has shown a certificate of an authority that the server asks for. */
  certified: boolean;
};

export function peerOf(socket: Socket): Peer {
  const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  return {
    local: address === '::1' || /^127\./.test(address),
    certified: socket instanceof TLSSocket && socket.authorized,
  };
}
