// Dimensions of tensors: as callers have them, and as the graph does.
import type { ServedTensor } from '../models/model.ts';

/** Whether a tensor's own dimensions are what the model says of them; -1 stands for any. */
export function fits(dims: readonly number[] | undefined, own: readonly number[], first: number): boolean {
  if (dims === undefined) return true;
  if (own.length - first !== dims.length) return false;
  for (let index = 0; index < dims.length; index++) {
    const dim = dims[index] as number;
    if (dim !== -1 && dim !== own[first + index]) return false;
  }
  return true;
}

/** What the graph takes for an input of these dimensions; `first` are those of rows, which stay. */
export function graphDims({ dims, reshape }: ServedTensor, own: readonly number[], first: number): readonly number[] {
  return reshape === undefined ? own : mapped(dims ?? [], reshape, own, first);
}

/** What callers get for an output that the graph gave these dimensions. */
export function callerDims({ dims, reshape }: ServedTensor, own: readonly number[], first: number): readonly number[] {
  return reshape === undefined || dims === undefined ? own : mapped(reshape, dims, own, first);
}

/** `to`, where what is open is as in `own`, which are of the form `from`. */
function mapped(from: readonly number[], to: readonly number[], own: readonly number[], first: number): number[] {
  const open = own.slice(first).filter((_, index) => from[index] === -1);
  let next = 0;
  return [...own.slice(0, first), ...to.map((dim) => (dim === -1 ? (open[next++] ?? 1) : dim))];
}

/** `[1,-1]`, as errors have it. */
export function shownDims(dims: readonly number[]): string {
  const listed = dims.length > 32 ? [...dims.slice(0, 32).map(wholeNumber), '...'] : dims.map(wholeNumber);
  return `[${listed.join(',')}]`;
}

/** Without an exponent. */
export function wholeNumber(value: number): string {
  return Number.isFinite(value) ? String(BigInt(value)) : String(2n ** 63n - 1n);
}
