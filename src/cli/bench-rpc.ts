// Which call is measured, by the flags.

import { BenchError } from '../bench/bench-error.ts';
import { callsAtOnce, RPC_KINDS, type Rpc } from '../bench/rpc.ts';
import type { RunSettings } from '../bench/scenario.ts';
import type { ScenarioName } from '../bench/scenario-names.ts';
import type { BenchFlags } from './bench.ts';
import { whole } from './bench-numbers.ts';

const MAX_STREAMS = 1_000;
const MAX_ITEMS = 10_000;
const MAX_ROWS = 1_000_000;

/** @throws BenchError */
export function rpcOf({ api, rpc, streams, items, batchRows }: BenchFlags): Rpc {
  const kind = RPC_KINDS.find((one) => one === rpc);
  if (kind === undefined) throw new BenchError(`--rpc: expected ${RPC_KINDS.join(', ')}, found "${rpc}"`);
  if (kind !== 'unary' && api !== 'native') throw new BenchError(`--rpc ${kind}: only with --api native`);
  if (kind !== 'stream') {
    for (const [flag, value] of Object.entries({ '--streams': streams, '--items': items })) {
      if (value !== undefined) throw new BenchError(`${flag}: only with --rpc stream`);
    }
  }
  if (kind !== 'bulk' && batchRows !== undefined) throw new BenchError('--batch-rows: only with --rpc bulk');
  switch (kind) {
    case 'unary':
      return { kind };
    case 'stream':
      return {
        kind,
        streams: atMost(MAX_STREAMS, streams ?? '1', '--streams'),
        items: atMost(MAX_ITEMS, items ?? '1', '--items'),
      };
    case 'bulk':
      return { kind, rows: atMost(MAX_ROWS, batchRows ?? '1000', '--batch-rows') };
  }
}

/** Items that go together start together: a closed loop must have room for them. @throws BenchError */
export function checkInFlight(settings: RunSettings, scenarios: readonly ScenarioName[]): void {
  const { rpc, ratePerSecond, inFlight, offlineInFlight } = settings;
  const items = callsAtOnce(rpc);
  // Without a rate, that of an open loop comes out of a closed one.
  const open = ratePerSecond === 0 && scenarios.some((name) => name === 'server' || name === 'find-max');
  for (const [isUsed, flag, value] of [
    [open || scenarios.includes('closed'), '--in-flight', inFlight],
    [scenarios.includes('offline'), '--offline-in-flight', offlineInFlight],
  ] as const) {
    if (!isUsed || value >= items) continue;
    throw new BenchError(`${flag}: ${items} items a message need as many in flight at least, found ${value}`);
  }
}

function atMost(most: number, text: string, flag: string): number {
  const value = whole(text, flag, 1);
  if (value > most) throw new BenchError(`${flag}: expected at most ${most}, found ${value}`);
  return value;
}
