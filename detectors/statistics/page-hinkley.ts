/**
 * Page-Hinkley test for a rise of the mean (E. S. Page, "Continuous Inspection Schemes", Biometrika 41, 1954), the mean
 * learned online, with the fading factor of Sebastião and Fernandes (2017) as river 0.26 has it: after value x_t
 *
 *   mean_t = mean of x_1..x_t,  m_t = alpha m_{t-1} + x_t - mean_t - delta,  M_t = min(m_1..m_t)
 *
 * and a rise is told when m_t - M_t > lambda. Then it starts anew.
 */
export const ALPHA = 1 - 0.0001;

export interface PageHinkley {
  count: number;
  mean: number;
  sum: number;
  /** null before the first value. */
  least: number | null;
}

export function newPageHinkley(): PageHinkley {
  return { count: 0, mean: 0, sum: 0, least: null };
}

export interface Thresholds {
  readonly delta: number;
  readonly lambda: number;
  /** Values before a rise may be told. */
  readonly minCount: number;
}

/** The test statistic where a rise is told (the state then starts anew), undefined otherwise. */
export function pageHinkley(state: PageHinkley, x: number, by: Thresholds): number | undefined {
  state.count++;
  state.mean += (x - state.mean) / state.count;
  state.sum = ALPHA * state.sum + x - state.mean - by.delta;
  state.least = state.least === null ? state.sum : Math.min(state.least, state.sum);
  const statistic = state.sum - state.least;
  if (state.count < by.minCount || !(statistic > by.lambda)) return undefined;
  Object.assign(state, newPageHinkley());
  return statistic;
}
