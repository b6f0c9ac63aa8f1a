/**
 * Conditions → functions of an event. EQL has three values: a comparison with something missing is null, and null is not
 * true. The dialects differ under `not`: Elasticsearch turns equality, lists and text functions into queries of documents, so that
 * their negation also finds documents without the field; the older one keeps null.
 */
import { EqlError } from './error.ts';
import { functionOfOperator, makeFunction } from './functions.ts';
import type { CompareExpression, Dialect, Expression, ListTest, OrderOperator } from './syntax.ts';
import { hasWildcard, regexTest, wholeText, wildcardTest } from './text-match.ts';
import { anyOf, fold, isTrue, order, readPath, type EventObject, type Value } from './values.ts';

export type Evaluate = (event: EventObject) => Value;

/** How fields are read: of an event, or (in pipes) of one of the events of a match. */
type FieldReader = (path: readonly (string | number)[]) => Evaluate;

interface Compilation {
  readonly dialect: Dialect;
  readonly field: FieldReader;
}

const plainField: FieldReader = (path) => (event) => readPath(event, path);

/** Function of an expression. Throws EqlError for what is not supported. */
export function compileExpression(
  expression: Expression,
  dialect: Dialect,
  field: FieldReader = plainField,
): Evaluate {
  return compile(expression, { dialect, field });
}

export function compileCondition(
  expression: Expression,
  dialect: Dialect,
  field: FieldReader = plainField,
): (event: EventObject) => boolean {
  const evaluate = compile(expression, { dialect, field });
  return (event) => isTrue(evaluate(event));
}

function compile(expression: Expression, c: Compilation): Evaluate {
  switch (expression.kind) {
    case 'literal':
      return () => expression.value;
    case 'field':
      return c.field(expression.path);
    case 'and':
    case 'or':
      return compileChain(expression.kind, expression.items, c);
    case 'not':
      return compileNot(expression.value, c);
    case 'compare':
      return compileComparison(expression, c);
    case 'list':
      return compileList(expression, c);
    case 'arithmetic':
      return compileArithmetic(expression, c);
    case 'call': {
      const apply = makeFunction(expression, c.dialect);
      const items = expression.items.map((item) => compile(item, c));
      return (event) => apply(items.map((item) => item(event)));
    }
  }
}

/** Reaches its decisive value (false of and, true of or) at once; else null if one was null. */
function compileChain(kind: 'and' | 'or', items: readonly Expression[], c: Compilation): Evaluate {
  const evaluates = items.map((item) => compile(item, c));
  const decisive = kind === 'or';
  return (event) => {
    let result: Value = !decisive;
    for (const evaluate of evaluates) {
      const value = evaluate(event);
      if (value === null) result = null;
      else if (isTrue(value) === decisive) return decisive;
    }
    return result;
  };
}

function compileNot(inner: Expression, c: Compilation): Evaluate {
  const evaluate = compile(inner, c);
  const isQuery = c.dialect === 'elasticsearch' && findsDocuments(inner);
  return (event) => {
    const value = evaluate(event);
    return value === null && !isQuery ? null : !isTrue(value);
  };
}

function findsDocuments(inner: Expression): boolean {
  if (inner.kind === 'not') return findsDocuments(inner.value);
  if (inner.kind === 'and' || inner.kind === 'or') return inner.items.every((item) => findsDocuments(item));
  if (inner.kind === 'compare') return inner.operator === '==' || inner.operator === '!=';
  return inner.kind === 'list' || inner.kind === 'call' || inner.kind === 'field';
}

function compileArithmetic(
  expression: Extract<Expression, { kind: 'arithmetic' }>,
  c: Compilation,
): Evaluate {
  const { at } = expression;
  const name = functionOfOperator(expression.operator);
  const items = [expression.left, expression.right];
  const apply = makeFunction({ kind: 'call', name, isInsensitive: false, items, at }, c.dialect);
  const left = compile(expression.left, c);
  const right = compile(expression.right, c);
  return (event) => apply([left(event), right(event)]);
}

function compileComparison(expression: CompareExpression, c: Compilation): Evaluate {
  const { operator, left, right } = expression;
  switch (operator) {
    case '==':
    case '=':
      return compileEquality(expression, c);
    case '!=': {
      const equals = compileEquality(expression, c);
      const isQuery = c.dialect === 'elasticsearch';
      return (event) => {
        const value = equals(event);
        return value === null && !isQuery ? null : value !== true;
      };
    }
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compileOrder(operator, [compile(left, c), compile(right, c)], c.dialect);
  }
}

const isNullLiteral = (expression: Expression): boolean =>
  expression.kind === 'literal' && expression.value === null;

function compileEquality({ left, right, at }: CompareExpression, c: Compilation): Evaluate {
  if (isNullLiteral(right) || isNullLiteral(left)) {
    const evaluate = compile(isNullLiteral(right) ? left : right, c);
    return (event) => evaluate(event) === null;
  }
  const pattern = c.dialect === 'endgame' ? wildcardOf(left, right, at) : undefined;
  if (pattern !== undefined) {
    const evaluate = compile(pattern.value, c);
    return nullable(evaluate, (item) => typeof item === 'string' && pattern.test(item));
  }
  const [one, other] = [compile(left, c), compile(right, c)];
  const same: (value: Value) => Value = c.dialect === 'endgame' ? fold : (value) => value;
  return (event) => {
    const wanted = other(event);
    const value = one(event);
    if (wanted === null || value === null) return null;
    return anyOf(value, (item) => anyOf(wanted, (each) => same(item) === same(each)));
  };
}

/** In the older dialect equality with a text that holds `*` is a wildcard match. */
function wildcardOf(
  left: Expression,
  right: Expression,
  at: number,
): { readonly value: Expression; readonly test: (text: string) => boolean } | undefined {
  const options = { isInsensitive: true, hasSingle: false };
  for (const [value, pattern] of [
    [left, right],
    [right, left],
  ] as const) {
    if (pattern.kind !== 'literal' || typeof pattern.value !== 'string') continue;
    if (hasWildcard(pattern.value, options)) return { value, test: wildcardTest(pattern.value, options, at) };
  }
  return undefined;
}

function nullable(evaluate: Evaluate, test: (item: Value) => boolean): Evaluate {
  return (event) => {
    const value = evaluate(event);
    return value === null ? null : anyOf(value, test);
  };
}

function compileOrder(
  operator: OrderOperator,
  [left, right]: readonly [Evaluate, Evaluate],
  dialect: Dialect,
): Evaluate {
  const fits: Readonly<Record<OrderOperator, (difference: number) => boolean>> = {
    '<': (difference) => difference < 0,
    '<=': (difference) => difference <= 0,
    '>': (difference) => difference > 0,
    '>=': (difference) => difference >= 0,
  };
  const test = fits[operator];
  const same: (value: Value) => Value = dialect === 'endgame' ? fold : (value) => value;
  return (event) => {
    const wanted = right(event);
    const value = left(event);
    if (wanted === null || value === null) return null;
    return anyOf(value, (item) => {
      const difference = order(same(item), same(wanted));
      return difference !== undefined && test(difference);
    });
  };
}

function compileList(expression: ListTest, c: Compilation): Evaluate {
  const tests = expression.items.map((item) => itemTest(item, expression, c));
  const value = compile(expression.value, c);
  const isQuery = c.dialect === 'elasticsearch';
  return (event) => {
    const own = value(event);
    if (own === null && !(expression.isNegated && isQuery)) return null;
    const fits = own !== null && anyOf(own, (item) => tests.some((test) => test(item, event)));
    return fits !== expression.isNegated;
  };
}

type ItemTest = (item: Value, event: EventObject) => boolean;

/** Test against one element of the list. */
function itemTest(item: Expression, list: ListTest, c: Compilation): ItemTest {
  const isInsensitive = list.isInsensitive || c.dialect === 'endgame';
  const pattern = item.kind === 'literal' && typeof item.value === 'string' ? item.value : undefined;
  if (list.operator !== 'in' && pattern !== undefined) {
    const test = patternTest(list, pattern, isInsensitive);
    return (value) => typeof value === 'string' && test(value);
  }
  if (list.operator === 'like' || list.operator === 'regex')
    throw new EqlError(`${list.operator} takes texts`, list.at);
  const evaluate = compile(item, c);
  const same: (value: Value) => Value = isInsensitive ? fold : (value) => value;
  return (value, event) => {
    const wanted = evaluate(event);
    return wanted !== null && same(value) === same(wanted);
  };
}

function patternTest(
  { operator, at }: ListTest,
  pattern: string,
  isInsensitive: boolean,
): (text: string) => boolean {
  if (operator === 'regex') return regexTest(wholeText(pattern), isInsensitive, at);
  return wildcardTest(pattern, { isInsensitive, hasSingle: true }, at);
}
