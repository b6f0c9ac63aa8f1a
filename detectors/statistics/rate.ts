/**
 * Rate against the key's own past. The past is counted in buckets of baselineMs / 168 (an hour for seven days). At a
 * sample at time t the baseline covers the whole buckets that lie before the window [t - withinMs, t], baselineMs back
 * at most, and not before the key's first sample:
 *
 *   mean = samples in them × withinMs / time that they cover
 *
 * gt, gte: the statistic holds when the count in the window is at least minCount and, where there is a baseline, also
 * exceeds (reaches) factor × mean. There is one when the time covered is at least a tenth of baselineMs and mean > 0;
 * without it minCount decides alone, so that a new key, or one that slept, is not free to burst. lt, lte, eq, neq: only
 * with a baseline, and without minCount.
 *
 * Whoever raises the rate slowly raises the baseline with it: that is a limit of every baseline that learns.
 */
import { conditionHolds, LATE_SPAN_MS, type RatePlan } from './plan.ts';

const BUCKETS = 168;
/** Part of baselineMs that must be covered. */
const LEAST_COVERED = 0.1;

export interface Baseline {
  /** Time of the key's first sample. */
  firstMs: number;
  newestMs: number;
  /** Samples by bucket number; only buckets that hold some. */
  readonly buckets: Map<number, number>;
}

export function newBaseline(): Baseline {
  return { firstMs: Number.POSITIVE_INFINITY, newestMs: Number.NEGATIVE_INFINITY, buckets: new Map() };
}

/** Not finer than a 168th of the late span either, else a short baseline would keep thousands of buckets. */
const bucketMsOf = (plan: RatePlan): number => Math.ceil(Math.max(plan.baselineMs, LATE_SPAN_MS) / BUCKETS);

/**
 * Counts a sample into its bucket; drops buckets that no baseline reaches any more. One that is later than the late span
 * is left out: back-dated events must not raise the past.
 */
export function noteBaseline(plan: RatePlan, baseline: Baseline, timeMs: number): void {
  const bucketMs = bucketMsOf(plan);
  const horizonMs = plan.baselineMs + plan.withinMs + LATE_SPAN_MS;
  const oldest = Math.floor((Math.max(timeMs, baseline.newestMs) - horizonMs) / bucketMs);
  const bucket = Math.floor(timeMs / bucketMs);
  if (timeMs < baseline.newestMs - LATE_SPAN_MS) return;
  const { buckets } = baseline;
  if (!buckets.has(bucket)) {
    for (const number of buckets.keys()) if (number < oldest) buckets.delete(number);
  }
  buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  baseline.firstMs = Math.min(baseline.firstMs, timeMs);
  baseline.newestMs = Math.max(baseline.newestMs, timeMs);
}

/** Mean count a window before the window that ends at `timeMs`; undefined where the key has no baseline. */
export function baselineMean(plan: RatePlan, baseline: Baseline, timeMs: number): number | undefined {
  const bucketMs = bucketMsOf(plan);
  const end = Math.floor((timeMs - plan.withinMs) / bucketMs);
  const start = end - Math.floor(plan.baselineMs / bucketMs);
  const coveredMs = end * bucketMs - Math.max(start * bucketMs, baseline.firstMs);
  if (!(coveredMs >= plan.baselineMs * LEAST_COVERED)) return undefined;
  let samples = 0;
  for (const [bucket, count] of baseline.buckets) if (bucket >= start && bucket < end) samples += count;
  return samples === 0 ? undefined : (samples * plan.withinMs) / coveredMs;
}

export function baselineVerdict(
  plan: RatePlan,
  baseline: Baseline,
  at: { readonly timeMs: number; readonly count: number },
): boolean {
  const rises = plan.operator === 'gt' || plan.operator === 'gte';
  if (rises && at.count < plan.minCount) return false;
  const mean = baselineMean(plan, baseline, at.timeMs);
  return mean === undefined ? rises : conditionHolds(at.count, plan.operator, plan.factor * mean);
}
