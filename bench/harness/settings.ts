// What every run of the suite shares.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (fromHere: string): string => fileURLToPath(new URL(fromHere, import.meta.url));

/** V8 flags of the server, and of every floor that it is compared with. */
export const SERVER_FLAGS: readonly string[] = JSON.parse(readFileSync(path('../../bin/node-flags.json'), 'utf8'));

export const HOST = '127.0.0.1';
export const SERVER_CORE = 0;
export const CLIENT_CORE = 1;

export const ROOT = path('../..');
export const SERVER_ENTRY = path('../../src/main.ts');
/** What `npm start` runs: it starts the server's entry under the flags. */
export const LAUNCHER = path('../../bin/scorewire.js');
export const BENCH_MODELS = path('../models');
export const EXAMPLE_MODELS = path('../../examples/models');
export const RESULTS = path('../results/local');
