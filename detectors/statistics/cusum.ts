/**
 * Upper tabular CUSUM (D. C. Montgomery, "Introduction to Statistical Quality Control", chapter 9.1):
 *
 *   C_0 = 0,  C_t = max(0, x_t - (mean + delta) + C_{t-1})
 *
 * with the in-control mean given; a rise is told when C_t > lambda. Then it starts anew.
 */
export interface Cusum {
  sum: number;
  /** In-control mean; null until the caller has fixed one. */
  mean: number | null;
}

export function newCusum(): Cusum {
  return { sum: 0, mean: null };
}

/** C_t where a rise is told (the sum then starts anew, the mean is to be fixed again), undefined otherwise. */
export function cusum(
  state: Cusum,
  x: number,
  by: { readonly mean: number; readonly delta: number; readonly lambda: number },
): number | undefined {
  state.mean ??= by.mean;
  state.sum = Math.max(0, x - (state.mean + by.delta) + state.sum);
  if (!(state.sum > by.lambda)) return undefined;
  const statistic = state.sum;
  Object.assign(state, newCusum());
  return statistic;
}
