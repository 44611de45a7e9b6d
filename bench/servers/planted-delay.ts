// Makes a server slower by a known share, for the gate to be tried: `node --import planted-delay.ts ...` spends that much
// more CPU on each HTTP/2 stream. PLANTED_SHARE: of what a call costs, such as 0.15.

import http2 from 'node:http2';
import { isMainThread } from 'node:worker_threads';

/** What a call costs is measured while this many come, then the delay begins. */
const CALLS_TO_LEARN = 120_000;
const CALLS_TO_SETTLE = 70_000;

const share = Number(process.env.PLANTED_SHARE ?? 0);
if (isMainThread && share > 0) {
  let calls = 0;
  let cpuAtUs = 0;
  let delayUs = 0;
  const cpuUs = (): number => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const create = http2.createServer;
  http2.createServer = ((...args: Parameters<typeof create>) => {
    const server = create(...args);
    server.on('stream', () => {
      calls++;
      if (calls === CALLS_TO_SETTLE) cpuAtUs = cpuUs();
      if (calls === CALLS_TO_LEARN) delayUs = (share * (cpuUs() - cpuAtUs)) / (CALLS_TO_LEARN - CALLS_TO_SETTLE);
      if (delayUs === 0) return;
      const untilMs = performance.now() + delayUs / 1000;
      while (performance.now() < untilMs);
    });
    return server;
  }) as typeof create;
}
