/** Parts of a rule in words, for people: what `rules explain` and `rules lint` say. */
import type { Condition as Threshold, StatisticPlan } from '../statistics/plan.ts';
import { flowSpec } from './flow-field.ts';
import type { Condition, Operator } from './predicate.ts';
import type { CompiledRule, Guard, Join, Selection } from './rule.ts';

type Words = readonly [holds: string, not: string];

const OPERATOR_WORDS: Readonly<Record<string, Words>> = {
  eq: ['is', 'is not'],
  contains: ['contains', 'does not contain'],
  startswith: ['starts with', 'does not start with'],
  endswith: ['ends with', 'does not end with'],
  re: ['matches', 'does not match'],
  cidr: ['is in network', 'is not in network'],
  gt: ['is above', 'is not above'],
  gte: ['is at least', 'is not at least'],
  lt: ['is below', 'is not below'],
  lte: ['is at most', 'is not at most'],
};

/** Values beyond these are counted only: a list of hosts may be long. */
const MAX_VALUES = 8;

function operatorWords(operator: Operator, negated: boolean): string {
  const [base = ''] = operator.split('|');
  const [holds, not] = OPERATOR_WORDS[base] ?? [base, `not ${base}`];
  return negated ? not : holds;
}

/** `tool.class is search or web_read`. */
export function conditionWords(condition: Condition): string {
  const { field, operator, negated, cased, values } = condition;
  if (operator === 'exists') return `${field} is ${values[0] === negated ? 'missing' : 'there'}`;
  if (values.length === 0) return `${field} ${operatorWords(operator, negated)} any of an empty list`;
  const shown = values.slice(0, MAX_VALUES).map((value) => (value === '' ? '""' : String(value)));
  const rest = values.length > MAX_VALUES ? [`${values.length - MAX_VALUES} more`] : [];
  const between = operator.endsWith('|all') ? ' and ' : ' or ';
  const text = [...shown, ...rest].join(between);
  return `${field} ${operatorWords(operator, negated)} ${text}${cased ? ' (case matters)' : ''}`;
}

/** Conditions of each map; all of one map hold. The kind is told where no condition names it. */
export function selectionWords(selection: Selection): string[][] {
  const kind = `event.kind is ${selection.kinds.join(' or ')}`;
  return selection.maps.map((conditions) => [
    ...(conditions.some(({ field }) => field === 'event.kind') ? [] : [kind]),
    ...conditions.map(conditionWords),
  ]);
}

/** A field as it is told apart: for a flow the field that the value stands in. */
function placeWords(step: string, field: string): string {
  return `${step}.${flowSpec(field)?.field ?? field}`;
}

/** `write.session_id != read.session_id`, or that a value of one field stands in another. */
export function joinWords(rule: CompiledRule, step: string, join: Join): string {
  const other = placeWords(rule.steps[join.other]?.name ?? 'step', join.otherField);
  const own = placeWords(step, join.ownField);
  const [left, right] = join.swapped ? [own, other] : [other, own];
  if (join.operator !== 'flows') return `${left} ${join.operator} ${right}`;
  const via = flowSpec(join.otherField)?.via ?? flowSpec(join.ownField)?.via ?? [];
  return `a value of ${left} stands in ${right} (${via.join(', ')})`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** In the largest unit that divides it: 10m, 599s, 1500ms. */
export function durationWords(ms: number): string {
  const [name, unitMs] = UNITS.find(([, unit]) => ms !== 0 && ms % unit === 0) ?? ['ms', 1];
  return ms === 0 ? '0s' : `${ms / unitMs}${name}`;
}

/** `no approval in the 15m before delete`. */
export function guardWords(rule: CompiledRule, guard: Guard): string {
  const name = (step: number): string => rule.steps[step]?.name ?? 'step';
  const event = guard.selection.name;
  switch (guard.kind) {
    case 'between':
      return `no ${event} between ${name(guard.from)} and ${name(guard.to)}`;
    case 'before':
      return `no ${event} in the ${durationWords(guard.forMs)} before ${name(guard.step)}`;
    case 'after':
      return `no ${event} in the ${durationWords(guard.forMs)} after ${name(guard.step)}`;
    case 'until':
      return `${event} ends every run`;
  }
}

/** `distinct dest.host of fetch within 5m`. */
export function measureWords(plan: StatisticPlan, event: string, field: string | undefined): string {
  const what = field === undefined ? event : `${field} of ${event}`;
  switch (plan.kind) {
    case 'percentile':
      return `percentile ${plan.p} of ${what} within ${durationWords(plan.withinMs)}`;
    case 'rate':
      return `rate of ${what} within ${durationWords(plan.withinMs)} against ${durationWords(plan.baselineMs)} before`;
    case 'drift':
      return `drift of ${what} (${plan.method})`;
    case 'novel_ngram':
      return `new runs of ${plan.n} values of ${what} in the last ${plan.window}`;
    case 'count':
    case 'distinct':
    case 'sum':
    case 'avg':
      return `${plan.kind} of ${what} within ${durationWords(plan.withinMs)}`;
  }
}

export function thresholdWords({ operator, value }: Threshold): string {
  return `${operator} ${Number.isInteger(value) ? value : value.toFixed(2)}`;
}
