// How a connection is closed so that what was written arrives.
import type { Socket } from 'node:net';

/** Milliseconds that the peer has to close its side as well. */
const LINGER_MS = 1_000;

/**
 * Ends the socket after what was written, and reads on, into nothing, until the peer has ended it too: to bytes that come for a
 * closed socket TCP answers with a reset, which takes back what is still under way to the peer.
 * @param hurry don't wait for a peer that doesn't take what was written
 */
export function endSocket(socket: Socket, hurry: boolean): void {
  const linger = (): void => {
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };
  if (hurry) {
    socket.end();
    linger();
  } else {
    socket.end(linger);
  }
  socket.resume();
}
