import type { Limits } from './attempts.ts';
import { type BatchParts, type BatchScores, scoreAll } from './batch-call.ts';
import { encodeBatch } from './batch-message.ts';
import { gatherAlike } from './gather-rows.ts';
import { type Block, type Group, splitRows } from './split-rows.ts';
import type { RowInput, RowsOptions, ScoredRows, ScoreSubject } from './types.ts';

export type SplitLimits = Required<Pick<RowsOptions, 'callRows' | 'callBytes' | 'callsInFlight'>>;

/** The scores of any number of rows, in their order, by calls of which a few are under way. */
export async function* scoreRows(
  parts: BatchParts,
  subject: ScoreSubject & Pick<RowsOptions, 'shared'>,
  rows: RowInput,
  { callRows, callBytes, callsInFlight }: SplitLimits,
  { deadlineMs, signal }: Limits,
): AsyncGenerator<ScoredRows, void> {
  // Who leaves the loop, or meets an error in it, has no use for the calls that are under way.
  const left = new AbortController();
  const signals = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const score = (group: Group): Promise<BatchScores> => {
    const request = encodeBatch({ ...subject, ...gatherAlike(group.rows) });
    return parts.open.within(() => scoreAll(parts, request, group.rows.length, { deadlineMs, signal: signals }));
  };
  const blocks: Promise<ScoredRows>[] = [];
  try {
    for await (const block of splitRows(rows, { maxRows: callRows, maxBytes: callBytes })) {
      const scored = scoreBlock(block, score);
      // It may fail while another one is waited for.
      scored.catch(() => {});
      blocks.push(scored);
      if (blocks.length >= callsInFlight) yield await (blocks.shift() as Promise<ScoredRows>);
    }
    for (const block of blocks) yield await block;
  } finally {
    left.abort();
  }
}

async function scoreBlock(
  { firstRow, count, groups }: Block,
  score: (group: Group) => Promise<BatchScores>,
): Promise<ScoredRows> {
  const block: ScoredRows = {
    firstRow,
    scores: new Float32Array(count),
    labels: new Int32Array(count),
    segments: new Int32Array(count),
    errors: [],
    version: 0,
  };
  // One after the other: there may be as many as rows.
  for (const group of groups) {
    const { scores, labels, segments, errors, version } = await score(group);
    group.places.forEach((place, index) => {
      block.scores[place] = scores[index] as number;
      block.labels[place] = labels[index] as number;
      block.segments[place] = segments[index] as number;
    });
    for (const error of errors) block.errors.push({ ...error, row: firstRow + (group.places[error.row] as number) });
    block.version = version;
  }
  block.errors.sort((a, b) => a.row - b.row);
  return block;
}
