// What every run of the suite shares.

import { fileURLToPath } from 'node:url';

/** V8 flags of the server, and of every floor that it is compared with. */
export const SERVER_FLAGS: readonly string[] = ['--max-semi-space-size=2', '--initial-old-space-size=1024'];

export const HOST = '127.0.0.1';
export const SERVER_CORE = 0;
export const CLIENT_CORE = 1;

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const SERVER_ENTRY = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
export const BENCH_MODELS = fileURLToPath(new URL('../models', import.meta.url));
export const EXAMPLE_MODELS = fileURLToPath(new URL('../../examples/models', import.meta.url));
export const RESULTS = fileURLToPath(new URL('../results/local', import.meta.url));
