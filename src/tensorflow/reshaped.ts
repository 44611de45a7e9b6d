/**
 * Dimensions of a tensor in another form of the same size: `to`, with its open ones (-1) as `from` has them in `dims`, in their order.
 * @param dims such as `from` allows
 * @param to undefined: the same
 */
export function reshaped(
  dims: readonly number[],
  from: readonly number[] | undefined,
  to: readonly number[] | undefined,
): readonly number[] {
  if (to === undefined || from === undefined) return dims;
  const open = dims.filter((_dim, index) => from[index] === -1);
  return to.map((dim) => (dim === -1 ? (open.shift() ?? -1) : dim));
}
