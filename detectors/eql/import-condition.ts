/** Condition of an EQL event → alternatives of a selection. Throws ImportRefusal for what a selection cannot say. */
import { mapField, mapValue, type MappedField } from './import-fields.ts';
import {
  ALWAYS,
  allOfThem,
  anyOfThem,
  NEVER,
  oneLine,
  type Alternative,
  type Scalar,
} from './import-lines.ts';
import { ImportRefusal } from './import-refusal.ts';
import type {
  CallExpression,
  CompareExpression,
  Dialect,
  Expression,
  ListTest,
  OrderOperator,
} from './syntax.ts';
import { hasWildcard, literalToPattern, wholeText, wildcardToPattern } from './text-match.ts';

interface Conversion {
  readonly dialect: Dialect;
  readonly negated: boolean;
}

export function convertCondition(expression: Expression, c: Conversion): readonly Alternative[] {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return convertChain(expression.kind, expression.items, c);
    case 'not':
      return convertCondition(expression.value, { ...c, negated: !c.negated });
    case 'literal':
      return constant(expression.value === true, c.negated);
    case 'field':
      return textLines(fieldOf(expression), [{ modifiers: [], value: true }], c.negated);
    case 'compare':
      return convertComparison(expression, c);
    case 'list':
      return convertList(expression, c);
    case 'call':
      return convertCall(expression, c);
    case 'arithmetic':
      throw new ImportRefusal('arithmetic', 'a selection compares fields with values, it does not calculate');
  }
}

const constant = (holds: boolean, negated: boolean): readonly Alternative[] =>
  holds === negated ? NEVER : ALWAYS;

/** `not (a and b)` is `not a or not b`. */
function convertChain(
  kind: 'and' | 'or',
  items: readonly Expression[],
  c: Conversion,
): readonly Alternative[] {
  const parts = items.map((item) => convertCondition(item, c));
  return (kind === 'and') === c.negated ? anyOfThem(parts) : allOfThem(parts);
}

function fieldOf(expression: Expression): MappedField {
  const mapped = mapField(expression);
  if (mapped !== undefined) return mapped;
  if (expression.kind !== 'field')
    throw new ImportRefusal(expression.kind, 'a comparison must have a field on one side');
  throw new ImportRefusal(expression.path.join('.'), 'there is no such field here: use tool.name, args.*, …');
}

/** One value with what compares it. */
interface Tested {
  readonly modifiers: readonly string[];
  readonly value: Scalar;
}

/** Any of the values, or with `negated` none of them. Values with the same modifiers share a line. */
function textLines(mapped: MappedField, tested: readonly Tested[], negated: boolean): readonly Alternative[] {
  const byKey = new Map<string, Scalar[]>();
  for (const { modifiers, value } of tested) {
    const key = [mapped.field, ...(negated ? ['not'] : []), ...modifiers].join('|');
    const values = typeof value === 'string' ? mapValue(mapped, value) : [value];
    byKey.set(key, [...(byKey.get(key) ?? []), ...values]);
  }
  const lines = [...byKey].map(([key, values]) => oneLine({ key, values }));
  return negated ? allOfThem(lines) : anyOfThem(lines);
}

const caseOf = (isInsensitive: boolean): readonly string[] => (isInsensitive ? [] : ['cased']);

/** A text as it is; `$` would name a list in a rule, so such a text becomes a pattern. */
function exactly(value: Scalar, isInsensitive: boolean): Tested {
  if (typeof value !== 'string') return { modifiers: [], value };
  if (!value.startsWith('$')) return { modifiers: caseOf(isInsensitive), value };
  return { modifiers: ['re', ...caseOf(isInsensitive)], value: literalToPattern(value) };
}

/** The plainest modifier that says what a wildcard pattern says. */
function wildcard(pattern: string, isInsensitive: boolean, hasSingle: boolean): Tested {
  const options = { isInsensitive, hasSingle };
  if (!hasWildcard(pattern, options)) return exactly(pattern, isInsensitive);
  const name = modifierOf(pattern);
  const middle = pattern.replaceAll(/^\*|\*$/g, '');
  if (middle === '' || middle.startsWith('$') || hasWildcard(middle, options))
    return { modifiers: ['re', ...caseOf(isInsensitive)], value: wildcardToPattern(pattern, options) };
  return { modifiers: [name, ...caseOf(isInsensitive)], value: middle };
}

/** Of a pattern whose only wildcards are stars at its ends. */
function modifierOf(pattern: string): string {
  if (!pattern.startsWith('*')) return 'startswith';
  return pattern.endsWith('*') ? 'contains' : 'endswith';
}

function literalOf(expression: Expression, what: string): Scalar {
  if (expression.kind === 'literal' && expression.value !== null) return expression.value;
  throw new ImportRefusal(what, 'it takes a text, number or boolean');
}

const FLIPPED: Readonly<Record<OrderOperator, OrderOperator>> = {
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};
const OPPOSITE: Readonly<Record<OrderOperator, OrderOperator>> = {
  '<': '>=',
  '<=': '>',
  '>': '<=',
  '>=': '<',
};
const ORDER_NAMES: Readonly<Record<OrderOperator, string>> = {
  '<': 'lt',
  '<=': 'lte',
  '>': 'gt',
  '>=': 'gte',
};

function convertComparison(comparison: CompareExpression, c: Conversion): readonly Alternative[] {
  const { operator } = comparison;
  const isFlipped = comparison.left.kind === 'literal';
  const [left, right] = isFlipped ? [comparison.right, comparison.left] : [comparison.left, comparison.right];
  const mapped = fieldOf(left);
  if (operator === '==' || operator === '=' || operator === '!=')
    return convertEquality(mapped, right, { ...c, negated: (operator === '!=') !== c.negated });
  return convertOrder(mapped, isFlipped ? FLIPPED[operator] : operator, { right, negated: c.negated });
}

function convertEquality(mapped: MappedField, right: Expression, c: Conversion): readonly Alternative[] {
  if (right.kind === 'literal' && right.value === null)
    return oneLine({ key: `${mapped.field}|exists`, values: [c.negated] });
  const isInsensitive = c.dialect === 'endgame';
  if (right.kind === 'field') {
    const value = `$self.${fieldOf(right).field}`;
    return textLines(mapped, [{ modifiers: caseOf(isInsensitive), value }], c.negated);
  }
  const value = literalOf(right, '==');
  const isPattern = isInsensitive && typeof value === 'string';
  return textLines(
    mapped,
    [isPattern ? wildcard(value, true, false) : exactly(value, isInsensitive)],
    c.negated,
  );
}

/** `not (x > 1)` is `x <= 1`: without the field neither holds, in EQL as here. */
function convertOrder(
  { field }: MappedField,
  operator: OrderOperator,
  { right, negated }: { readonly right: Expression; readonly negated: boolean },
): readonly Alternative[] {
  const value = literalOf(right, operator);
  if (typeof value !== 'number') throw new ImportRefusal(field, `${operator} compares numbers here`);
  return oneLine({
    key: `${field}|${ORDER_NAMES[negated ? OPPOSITE[operator] : operator]}`,
    values: [value],
  });
}

function convertList(list: ListTest, c: Conversion): readonly Alternative[] {
  const isInsensitive = list.isInsensitive || c.dialect === 'endgame';
  const tested = list.items.map((item) => testedItem(list, literalOf(item, list.operator), isInsensitive));
  return textLines(fieldOf(list.value), tested, list.isNegated !== c.negated);
}

function testedItem({ operator }: ListTest, value: Scalar, isInsensitive: boolean): Tested {
  if (typeof value !== 'string' || operator === 'in') return exactly(value, isInsensitive);
  if (operator === 'regex') return { modifiers: ['re', ...caseOf(isInsensitive)], value: wholeText(value) };
  return wildcard(value, isInsensitive, true);
}

const FUNCTION_MODIFIERS: Readonly<Record<string, string>> = {
  startsWith: 'startswith',
  endsWith: 'endswith',
  stringContains: 'contains',
  cidrMatch: 'cidr',
};

function convertCall(call: CallExpression, c: Conversion): readonly Alternative[] {
  const [first, ...rest] = call.items;
  const isInsensitive = call.isInsensitive || c.dialect === 'endgame';
  const tested = rest.map((item) => testedArgument(call, literalOf(item, call.name), isInsensitive));
  const known = Object.hasOwn(FUNCTION_MODIFIERS, call.name) || ['wildcard', 'match'].includes(call.name);
  if (first === undefined || rest.length === 0 || !known)
    throw new ImportRefusal(call.name, 'a selection has no such function');
  return textLines(fieldOf(first), tested, c.negated);
}

function testedArgument({ name }: CallExpression, value: Scalar, isInsensitive: boolean): Tested {
  const text = String(value);
  if (name === 'wildcard') return wildcard(text, isInsensitive, true);
  if (name === 'match') return { modifiers: ['re', ...caseOf(isInsensitive)], value: wholeText(text) };
  const modifier = Object.hasOwn(FUNCTION_MODIFIERS, name) ? (FUNCTION_MODIFIERS[name] ?? '') : '';
  return { modifiers: modifier === 'cidr' ? ['cidr'] : [modifier, ...caseOf(isInsensitive)], value: text };
}
