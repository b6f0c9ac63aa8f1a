/**
 * Which combinations of rules satisfy a temporal correlation: all of them, at least so many (`gte: 2`), or what a
 * boolean expression over their names says. Each combination becomes a rule of its own.
 */
import { all, any, leaf, MAX_TERMS, termsOf, type Expression } from './boolean.ts';
import { parseSigmaCondition } from './condition.ts';
import type { NamedMember } from './correlation.ts';
import type { CorrelationRule } from './document.ts';
import { refuse } from './refusal.ts';
import { checkNames, thresholdsOf } from './statistic.ts';

const at = ['correlation', 'condition'];
/** Rules that one correlation may become. */
const MAX_COMBINATIONS = 16;

/** Least number of different rules that must occur. */
function leastOf(condition: Readonly<Record<string, unknown>>, count: number): number {
  checkNames(condition, []);
  const entries = Object.entries(thresholdsOf(condition));
  const [[name, value]] = entries as [[string, number]];
  if (entries.length > 1 || !Number.isInteger(value)) refuse(at, 'must be one whole number of rules');
  const least = name === 'gt' ? value + 1 : value;
  // `eq: 3` of three rules is all of them; below that it would ask that the others stay away.
  const isLowerBound = name === 'gte' || name === 'gt' || (name === 'eq' && value === count);
  if (!isLowerBound) refuse([...at, name], 'asks that rules do not occur; write a guard (without) by hand');
  if (least < 1 || least > count) refuse([...at, name], `cannot hold for ${count} rules`);
  return least;
}

/** All ways to take `size` of the items, each in the items' order. */
function choose<Item>(items: readonly Item[], size: number): Item[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, index) =>
    choose(items.slice(index + 1), size - 1).map((rest) => [item, ...rest]),
  );
}

function expressionOf(text: string, members: readonly NamedMember[]): Expression<NamedMember> {
  const leaves = members.map((member) => leaf(member));
  const outcome = parseSigmaCondition<NamedMember>(text, {
    byName: (name) => leaves[members.findIndex((one) => one.reference === name || one.names.includes(name))],
    byPattern: (pattern) => (pattern.toLowerCase() === 'them' ? leaves : []),
  });
  return outcome.kind === 'expression' ? outcome.expression : refuse(at, outcome.message);
}

function conditionExpression(
  rule: CorrelationRule,
  members: readonly NamedMember[],
): Expression<NamedMember> {
  const { condition } = rule.correlation;
  const leaves = members.map((member) => leaf(member));
  if (condition === undefined) return all(leaves);
  if (typeof condition === 'string') return expressionOf(condition, members);
  const least = leastOf(condition, members.length);
  if (least === members.length) return all(leaves);
  if (members.length > MAX_COMBINATIONS) refuse(at, `chooses among more than ${MAX_COMBINATIONS} rules`);
  return any(choose(leaves, least).map((parts) => all(parts)));
}

/** The combinations, none of which holds another one; members stand in the order of the correlation. */
export function combinationsOf(rule: CorrelationRule, members: readonly NamedMember[]): NamedMember[][] {
  const terms = termsOf(conditionExpression(rule, members));
  if (terms === undefined) return refuse(at, `has more than ${MAX_TERMS} alternatives`);
  if (terms.some((term) => term.some(({ negated }) => negated)))
    refuse(at, 'asks that rules do not occur; write a guard (without) by hand');
  const sets = terms.map((term) => new Set(term.map((literal) => literal.leaf)));
  const least = sets.filter(
    (set, index) =>
      !sets.some(
        (other, place) => place !== index && isWithin(other, set) && (other.size < set.size || place < index),
      ),
  );
  if (least.length > MAX_COMBINATIONS) refuse(at, `has more than ${MAX_COMBINATIONS} combinations of rules`);
  return least.map((set) => members.filter((member) => set.has(member)));
}

const isWithin = <Item>(small: ReadonlySet<Item>, large: ReadonlySet<Item>): boolean =>
  [...small].every((item) => large.has(item));
