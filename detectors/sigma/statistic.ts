/** event_count, value_count, value_sum, value_avg, value_percentile → a statistic of ours. */
import { checkCarried } from './carried.ts';
import type { NamedMember } from './correlation.ts';
import type { CorrelationRule } from './document.ts';
import { fieldOf } from './field-names.ts';
import { refuse } from './refusal.ts';

type Correlation = CorrelationRule['correlation'];

/** Name of the statistic by type of correlation. */
const KINDS = {
  event_count: 'count',
  value_count: 'distinct',
  value_sum: 'sum',
  value_avg: 'avg',
  value_percentile: 'percentile',
} as const;
type StatisticType = keyof typeof KINDS;

export const isStatistic = (type: string): type is StatisticType => Object.hasOwn(KINDS, type);

const at = ['correlation', 'condition'];
const THRESHOLDS: readonly string[] = ['gt', 'gte', 'lt', 'lte', 'eq', 'neq'];

/** Thresholds of a condition, one or more: several are a range, all of them hold. */
export function thresholdsOf(condition: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  const found = Object.entries(condition).filter(([name]) => THRESHOLDS.includes(name));
  if (found.length === 0) refuse(at, `needs one of ${THRESHOLDS.join(', ')}`);
  return Object.fromEntries(
    found.map(([name, value]) => {
      const isNumber = typeof value === 'number' && Number.isFinite(value);
      return [name, isNumber ? value : refuse([...at, name], 'must be a number')];
    }),
  );
}

/** Refuses what stands in a condition beside thresholds and `allowed`. */
export function checkNames(condition: Readonly<Record<string, unknown>>, allowed: readonly string[]): void {
  const unknown = Object.keys(condition).find(
    (name) => !THRESHOLDS.includes(name) && !allowed.includes(name),
  );
  if (unknown !== undefined) refuse([...at, unknown], 'has no place in the condition of this type');
}

function measuredField(condition: Readonly<Record<string, unknown>>, member: NamedMember): string {
  const { field } = condition;
  const names: readonly unknown[] = Array.isArray(field) ? field : [field];
  const [name] = names;
  if (typeof name !== 'string') return refuse(at, 'needs the field that it measures');
  if (names.length > 1) return refuse([...at, 'field'], 'measures several fields at once, ours measures one');
  return checkCarried(fieldOf(name, [...at, 'field']), member, [...at, 'field']);
}

/** `p` of a percentile. Sigma 2.1 does not say which one is meant where `percentile` is missing. */
function percentOf(condition: Readonly<Record<string, unknown>>): number {
  const { percentile } = condition;
  if (typeof percentile !== 'number' || !(percentile >= 0 && percentile <= 100))
    return refuse(at, 'needs percentile: a number from 0 to 100');
  return percentile;
}

/** The statistic over the events of a member. */
export function statisticOf(
  correlation: Correlation,
  member: NamedMember,
  within: string,
): Readonly<Record<string, unknown>> {
  const { type, condition } = correlation;
  if (!isStatistic(type)) return refuse(['correlation', 'type'], `${type} measures nothing`);
  if (typeof condition !== 'object') return refuse(at, 'must name a threshold');
  const thresholds = thresholdsOf(condition);
  const event = member.word;
  if (type === 'event_count') {
    checkNames(condition, []);
    return { count: event, within, ...thresholds };
  }
  const isPercentile = type === 'value_percentile';
  checkNames(condition, isPercentile ? ['field', 'percentile'] : ['field']);
  const percent = isPercentile ? { p: percentOf(condition) } : {};
  return { [KINDS[type]]: measuredField(condition, member), ...percent, event, within, ...thresholds };
}
