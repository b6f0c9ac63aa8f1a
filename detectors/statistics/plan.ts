/** What a rule may count: a statistic, worked out by the rule compiler. All durations in ms, all windows inclusive. */

export type Operator = 'gt' | 'gte' | 'lt' | 'lte' | 'eq' | 'neq';

export interface Condition {
  readonly operator: Operator;
  readonly value: number;
}

/** Over the samples of the window that ends at, and includes, the sample at hand; all conditions must hold. */
export interface WindowPlan {
  readonly kind: 'count' | 'distinct' | 'sum' | 'avg';
  readonly withinMs: number;
  readonly conditions: readonly Condition[];
}

/** Nearest rank: the smallest value that at least `p` per cent (0 < p <= 100) of the window's values do not exceed. */
export interface PercentilePlan {
  readonly kind: 'percentile';
  readonly p: number;
  readonly withinMs: number;
  /** Fewer values than this say nothing. */
  readonly minCount: number;
  readonly conditions: readonly Condition[];
}

/** Count in the window compared with factor × the key's own mean count a window before it; see rate.ts. */
export interface RatePlan {
  readonly kind: 'rate';
  readonly withinMs: number;
  readonly factor: number;
  /** Not below withinMs. */
  readonly baselineMs: number;
  readonly operator: Operator;
  readonly minCount: number;
}

/** Change of the mean surprisal (bits) of the values under the key's own frequencies; see drift.ts. */
export interface DriftPlan {
  readonly kind: 'drift';
  readonly method: 'page_hinkley' | 'cusum' | 'adwin';
  /** Page-Hinkley, CUSUM: change that is tolerated a sample, bits. ADWIN: confidence, 0 < delta < 1. */
  readonly delta: number;
  /** Page-Hinkley, CUSUM: threshold, bits. ADWIN does not use it. */
  readonly lambda: number;
  /** Samples that teach the frequencies before the detector listens. */
  readonly warmup: number;
}

/** At least `gte` of the last `window` n-grams of values were new to the key; see novel-ngram.ts. */
export interface NovelNgramPlan {
  readonly kind: 'novel_ngram';
  readonly n: number;
  readonly window: number;
  readonly gte: number;
  /** n-grams that are learned before one may count as new. */
  readonly warmup: number;
}

export type StatisticPlan = WindowPlan | PercentilePlan | RatePlan | DriftPlan | NovelNgramPlan;
/** Statistics over a window of time, which put late samples in their place. */
export type TimedPlan = WindowPlan | PercentilePlan | RatePlan;

/** Samples that one key keeps. A count or distinct threshold above it can never be reached. */
export const MAX_SAMPLES = 4_096;
/** How much later than the newest sample one may come and still find its whole window. */
export const LATE_SPAN_MS = 60_000;
/** Samples that an outcome cites. */
export const MAX_EVIDENCE = 8;
/** What a key has learned is forgotten when it was silent for so long: else idle keys would stay for ever. */
const LEARNED_HORIZON_MS = 30 * 86_400_000;

/** How long a sample matters: a key that was silent for longer may be dropped. */
export function statisticHorizonMs(plan: StatisticPlan): number {
  switch (plan.kind) {
    case 'count':
    case 'distinct':
    case 'sum':
    case 'avg':
    case 'percentile':
      return plan.withinMs + LATE_SPAN_MS;
    case 'rate':
      return plan.baselineMs + plan.withinMs + LATE_SPAN_MS;
    case 'drift':
    case 'novel_ngram':
      return LEARNED_HORIZON_MS;
  }
}

export function conditionHolds(measured: number, operator: Operator, value: number): boolean {
  switch (operator) {
    case 'gt':
      return measured > value;
    case 'gte':
      return measured >= value;
    case 'lt':
      return measured < value;
    case 'lte':
      return measured <= value;
    case 'eq':
      return measured === value;
    case 'neq':
      return measured !== value;
  }
}
