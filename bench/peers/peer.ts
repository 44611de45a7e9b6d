// What a peer is to the suite, and what all of them share.

import { globSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Api, type FileRow, type ModelCalls, modelCalls } from '../../src/bench/calls.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { BENCH_MODELS } from '../harness/settings.ts';

export const MODEL = 'boosted-trees';
export const FEATURES = 30;
export const MODEL_FILE = join(BENCH_MODELS, MODEL, '1', 'model.onnx');

/** Where install.sh puts them. */
export const PEERS =
  process.env.SCOREWIRE_PEERS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'scorewire-peers');

export interface Peer {
  name: string;
  api: Api;
  installed(): boolean;
  /** `scratch`: an empty folder of its own. */
  start(scratch: string): Promise<ServerProcess>;
}

/** A file that lies beside this one. */
export function here(path: string): string {
  return fileURLToPath(new URL(`./${path}`, import.meta.url));
}

/** A program of the peer's virtual environment. */
export function program(peer: string, name: string): string {
  return join(PEERS, peer, 'bin', name);
}

/** Whether the peer's virtual environment has the package, and onnxruntime beside it. */
export function hasPackage(peer: string, name: string): boolean {
  return [name, 'onnxruntime'].every(
    (folder) => globSync(join(PEERS, peer, 'lib', 'python3*', 'site-packages', folder)).length > 0,
  );
}

/** The rows as calls of the peer. Rejects while it doesn't answer. */
export function peerCalls(address: string, api: Api, rows: readonly FileRow[]): Promise<ModelCalls> {
  return modelCalls({ address, api, model: MODEL, version: undefined, rows, count: 0, seed: 1 });
}

/** Whether the peer answers; for one that is asked by JSON, with a score. */
export function answers(address: string, api: Api): Promise<boolean> {
  return peerCalls(address, api, [Array(FEATURES).fill(0)]).then(
    () => true,
    () => false,
  );
}
