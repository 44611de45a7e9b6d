#!/usr/bin/env node
// Starts the command line under a Node that is new enough, with the heap flags that keep its pauses short: a young generation
// in which a scavenge finds only what is in flight, and nothing put into the old one because it lived for two scavenges.
// Plain JavaScript that an old Node can read, since telling it so is this file's work.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const flags = JSON.parse(readFileSync(here('node-flags.json'), 'utf8'));
// A checkout runs its sources; the published package has only what was built from them.
const main = [here('../src/main.ts'), here('../dist/main.js')].find((path) => existsSync(path));

let node = process.execPath;
const modern = Number(process.versions.node.split('.')[0]) >= NEEDED;
if (!modern) {
  const pinned = here('../node_modules/.bin/node');
  if (!existsSync(pinned)) {
    console.error(`scorewire needs Node ${NEEDED} or newer, this is ${process.version}`);
    process.exit(1);
  }
  node = pinned;
}

// A flag that somebody chose wins.
const missing = flags.filter((flag) => !process.execArgv.some((given) => given.startsWith(flag.split('=')[0])));
if (modern && missing.length === 0) {
  // Halves the time to start, from the second start on.
  module.enableCompileCache();
  await import(`file://${main}`);
} else {
  const args = [...process.execArgv, ...missing, main, ...process.argv.slice(2)];
  if (process.platform !== 'win32' && typeof process.execve === 'function') {
    // The same process goes on, so that signals and exit codes need no one in between.
    process.execve(node, [node, ...args], process.env);
  }
  const child = spawn(node, args, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
