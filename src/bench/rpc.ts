// Which of the native API's calls a flow makes. What counts as one call in the figures: an answer, an item, a batch.

export type Rpc =
  /** Score, or ModelInfer of the Open Inference Protocol: one row a call. */
  | { kind: 'unary' }
  /** ScoreStream: an item counts as a call. `streams` a connection, `items` a message. */
  | { kind: 'stream'; streams: number; items: number }
  /** ScoreBatch: `rows` a call. */
  | { kind: 'bulk'; rows: number };

export const RPC_KINDS = ['unary', 'stream', 'bulk'] as const satisfies readonly Rpc['kind'][];

/** In scorewire.v1.ScoringService. */
export function methodOf(rpc: Rpc | undefined): 'Score' | 'ScoreStream' | 'ScoreBatch' {
  return rpc?.kind === 'stream' ? 'ScoreStream' : rpc?.kind === 'bulk' ? 'ScoreBatch' : 'Score';
}

/** Calls that start together, in one message. */
export function callsAtOnce(rpc: Rpc | undefined): number {
  return rpc?.kind === 'stream' ? rpc.items : 1;
}

/** Of a rate of calls. */
export function callsUnit(rpc: Rpc | undefined): string {
  return rpc?.kind === 'stream' ? 'items/s' : 'calls/s';
}

/** Rows that one call scores. */
export function rowsOf(rpc: Rpc | undefined): number {
  return rpc?.kind === 'bulk' ? rpc.rows : 1;
}

/** For people; empty where nothing needs to be said. */
export function describeRpc(rpc: Rpc | undefined): string {
  switch (rpc?.kind) {
    case 'stream':
      return `ScoreStream, ${count(rpc.streams, 'stream')} a connection, ${count(rpc.items, 'item')} a message`;
    case 'bulk':
      return `ScoreBatch, ${count(rpc.rows, 'row')} a call`;
    default:
      return '';
  }
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : 's'}`;
}
