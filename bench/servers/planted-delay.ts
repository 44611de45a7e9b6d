// Makes a server slower by a known share, for the gate to be tried: `node --import planted-delay.ts ...` spends that much more CPU
// than the process would, whenever something has come in. PLANTED_SHARE: such as 0.15.

import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { isMainThread } from 'node:worker_threads';

const share = Number(process.env.PLANTED_SHARE ?? 0);
if (isMainThread && share > 0) {
  const cpuUs = (): number => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  let plantedUs = 0;
  // All of the process's own CPU so far counts, that of its workers too, and of the start, which soon is a small part of it.
  const plant = (): void => {
    const startUs = cpuUs();
    const ownUs = startUs - plantedUs;
    const untilUs = startUs + share * ownUs - plantedUs;
    while (cpuUs() < untilUs);
    plantedUs += cpuUs() - startUs;
  };
  const create = net.createServer;
  net.createServer = ((...args: Parameters<typeof create>) => {
    const server = create(...args);
    server.on('connection', (socket) => socket.on('data', plant));
    return server;
  }) as typeof create;
  // For whoever imports it by name.
  syncBuiltinESMExports();
}
