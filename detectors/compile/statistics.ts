/** Measures of a rule (`any_of`) in the form that the counters run. */
import { durationMs, type StatisticSource } from '../../schemas/rule/v1.ts';
import { MAX_SAMPLES, type Condition, type Operator, type StatisticPlan } from '../statistics/plan.ts';
import type { Compilation, Place } from './compilation.ts';
import type { Statistic } from './rule.ts';

const BASELINE = /^(\d+(?:\.\d+)?)\s*x\s*baseline\((\w+)\)$/;

type Source<Key extends string> = Extract<StatisticSource, Readonly<Record<Key, unknown>>>;

export function compileStatistics(c: Compilation): Statistic[] {
  return (c.source.any_of ?? []).map((source, step) => {
    const at = ['any_of', step];
    return { step, plan: planOf(c, source, at), field: fieldOf(c, source, at) };
  });
}

function fieldOf(c: Compilation, source: StatisticSource, at: Place): string | undefined {
  if ('count' in source || 'rate' in source) return undefined;
  return c.field(String(Object.values(source)[0]), at);
}

function planOf(c: Compilation, source: StatisticSource, at: Place): StatisticPlan {
  if ('rate' in source) return ratePlan(c, source, at);
  if ('drift' in source) {
    const { method, delta, lambda, warmup } = source;
    return { kind: 'drift', method, delta, lambda, warmup };
  }
  if ('novel_ngram' in source) {
    const { n, window, gte, warmup } = source;
    if (gte > window) c.fault(at, 'more new n-grams than the window holds', 'make gte at most window');
    return { kind: 'novel_ngram', n, window, gte, warmup };
  }
  const conditions = thresholds(c, source, at);
  const withinMs = durationMs(source.within) ?? 0;
  if ('percentile' in source) {
    return { kind: 'percentile', p: source.p, minCount: source.min_count, withinMs, conditions };
  }
  const kind = kindOf(source);
  if (kind === 'count' || kind === 'distinct') checkReachable(c, conditions, at);
  return { kind, withinMs, conditions };
}

/** A key keeps MAX_SAMPLES: a rule that waits for more would be silent for ever and look sound. */
function checkReachable(c: Compilation, conditions: readonly Condition[], at: Place): void {
  for (const { operator, value } of conditions) {
    const least = operator === 'gt' ? value + 1 : value;
    const needsLeast = operator === 'gt' || operator === 'gte' || operator === 'eq';
    if (!needsLeast || least <= MAX_SAMPLES) continue;
    const message = `${operator} ${value} can never be reached: a key keeps ${MAX_SAMPLES} events`;
    c.fault([...at, operator], message, `shorten the window, or ask for at most ${MAX_SAMPLES}`);
  }
}

function kindOf(
  source: Source<'count'> | Source<'distinct'> | Source<'sum'> | Source<'avg'>,
): 'count' | 'distinct' | 'sum' | 'avg' {
  if ('count' in source) return 'count';
  if ('distinct' in source) return 'distinct';
  return 'sum' in source ? 'sum' : 'avg';
}

const OPERATORS: readonly Operator[] = ['gt', 'gte', 'lt', 'lte', 'eq', 'neq'];

function thresholds(
  c: Compilation,
  source: Partial<Record<Operator, number | undefined>>,
  at: Place,
): Condition[] {
  const found = OPERATORS.flatMap((operator) => {
    const value = source[operator];
    return value === undefined ? [] : [{ operator, value }];
  });
  if (found.length === 0) c.fault(at, 'compares with nothing', 'write gte: 10, or gt, lt, lte, eq, neq');
  return found;
}

function ratePlan(c: Compilation, source: Source<'rate'>, at: Place): StatisticPlan {
  const operator = source.gt === undefined ? 'gte' : 'gt';
  if ((source.gt === undefined) === (source.gte === undefined)) {
    c.fault(at, 'needs one of gt and gte', 'write gt: "5 x baseline(7d)"');
  }
  const [, factor, reach] = BASELINE.exec(source.gt ?? source.gte ?? '') ?? [];
  const withinMs = durationMs(source.within) ?? 0;
  const baselineMs = durationMs(reach ?? '') ?? 0;
  if (baselineMs < 2 * withinMs) {
    c.fault(at, 'a baseline of less than two windows', 'let it reach back further');
  }
  const minCount = source.min_count;
  return { kind: 'rate', withinMs, factor: Number(factor), baselineMs, operator, minCount };
}
