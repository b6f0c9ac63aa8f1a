/** Conditions and values of an EQL query: recursive descent, `or` binds least. */
import type { Cursor } from './cursor.ts';
import type {
  ArithmeticOperator,
  CompareExpression,
  Expression,
  FieldExpression,
  ListTest,
  PathPart,
} from './syntax.ts';

const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', '=', ':', '<', '<=', '>', '>=']);
const KEYWORDS: ReadonlySet<string> = new Set([
  'and',
  'or',
  'not',
  'in',
  'like',
  'regex',
  'where',
  'by',
  'with',
  'sequence',
  'join',
  'until',
  'of',
]);

export function parseCondition(cursor: Cursor): Expression {
  return cursor.nested(() => chain(cursor, 'or', () => chain(cursor, 'and', () => parseNot(cursor))));
}

function chain(cursor: Cursor, kind: 'and' | 'or', read: () => Expression): Expression {
  const { at } = cursor.next;
  const items = [read()];
  while (cursor.accept(kind)) items.push(read());
  return items.length === 1 ? (items[0] as Expression) : { kind, items, at };
}

function parseNot(cursor: Cursor): Expression {
  const { at } = cursor.next;
  if (!cursor.accept('not')) return parseTest(cursor);
  return cursor.nested(() => ({ kind: 'not', value: parseNot(cursor), at }));
}

function parseTest(cursor: Cursor): Expression {
  const value = parseValue(cursor);
  const { kind, text, at } = cursor.next;
  if (kind === 'symbol' && COMPARISONS.has(text)) return parseComparison(cursor, value);
  if (kind !== 'name') return value;
  const isNegated = text === 'not' && cursor.peek(1).text === 'in';
  if (isNegated) cursor.take();
  const operator = cursor.next.text;
  if (operator !== 'in' && operator !== 'like' && operator !== 'regex') return value;
  cursor.take();
  const isInsensitive = cursor.accept('~');
  return { kind: 'list', operator, isInsensitive, isNegated, value, items: parseItems(cursor, operator), at };
}

function parseItems(cursor: Cursor, operator: ListTest['operator']): Expression[] {
  if (operator === 'in' || cursor.at('(')) {
    cursor.expect('(');
    const items = cursor.list(() => parseValue(cursor));
    cursor.expect(')');
    return items;
  }
  return [parseValue(cursor)];
}

function parseComparison(cursor: Cursor, left: Expression): Expression {
  const { text, at } = cursor.take();
  if (text === '=') cursor.isEndgame = true;
  if (text === ':') {
    cursor.accept('~');
    return {
      kind: 'list',
      operator: ':',
      isInsensitive: true,
      isNegated: false,
      value: left,
      items: parseItems(cursor, ':'),
      at,
    };
  }
  const right = parseValue(cursor);
  const { next } = cursor;
  if (next.kind === 'symbol' && COMPARISONS.has(next.text))
    throw cursor.fault('comparisons cannot be chained, write and');
  return { kind: 'compare', operator: text as CompareExpression['operator'], left, right, at };
}

/** A value: sums, products, signs, then what they are made of. */
export function parseValue(cursor: Cursor): Expression {
  return cursor.nested(() =>
    arithmetic(cursor, ['+', '-'], () => arithmetic(cursor, ['*', '/', '%'], () => parseSigned(cursor))),
  );
}

function arithmetic(
  cursor: Cursor,
  operators: readonly ArithmeticOperator[],
  read: () => Expression,
): Expression {
  let left = read();
  for (;;) {
    const operator = operators.find((one) => cursor.at(one));
    if (operator === undefined) return left;
    const { at } = cursor.take();
    left = { kind: 'arithmetic', operator, left, right: read(), at };
  }
}

function parseSigned(cursor: Cursor): Expression {
  const { at } = cursor.next;
  if (cursor.accept('+')) return cursor.nested(() => parseSigned(cursor));
  if (!cursor.accept('-')) return parsePrimary(cursor);
  return cursor.nested(() => {
    const right = parseSigned(cursor);
    if (right.kind === 'literal' && typeof right.value === 'number')
      return { kind: 'literal', value: -right.value, at };
    return { kind: 'arithmetic', operator: '-', left: { kind: 'literal', value: 0, at }, right, at };
  });
}

function parsePrimary(cursor: Cursor): Expression {
  const { kind, text, at, isSingleQuoted } = cursor.next;
  if (cursor.accept('(')) {
    const inner = parseCondition(cursor);
    cursor.expect(')');
    return inner;
  }
  if (kind === 'number') {
    cursor.take();
    return { kind: 'literal', value: Number(text), at };
  }
  if (kind === 'string') {
    if (isSingleQuoted) cursor.isEndgame = true;
    cursor.take();
    return { kind: 'literal', value: text, at };
  }
  return parseNamed(cursor);
}

const CONSTANTS: Readonly<Record<string, true | false | 'null'>> = { true: true, false: false, null: 'null' };

function parseNamed(cursor: Cursor): Expression {
  const { kind, text, at } = cursor.next;
  if (kind === 'name') {
    const constant = Object.hasOwn(CONSTANTS, text) ? CONSTANTS[text] : undefined;
    if (constant !== undefined) {
      cursor.take();
      return { kind: 'literal', value: constant === 'null' ? null : constant, at };
    }
    const second = cursor.peek(1).text;
    if (second === '(' || (second === '~' && cursor.peek(2).text === '(')) return parseCall(cursor);
    if (second === 'of' && cursor.peek(2).text === '[')
      throw cursor.fault(`a query in a query (${text} of […]) is not supported: a field is expected`);
  }
  return parseField(cursor);
}

function parseCall(cursor: Cursor): Expression {
  const { text: name, at } = cursor.take();
  const isInsensitive = cursor.accept('~');
  cursor.expect('(');
  const items = cursor.at(')') ? [] : cursor.list(() => parseCondition(cursor));
  cursor.expect(')');
  return { kind: 'call', name, isInsensitive, items, at };
}

/** A field: `process.name`, `?maybe.there`, `` `odd-name`.x ``, `args[0]`. */
export function parseField(cursor: Cursor): FieldExpression {
  const { at } = cursor.next;
  const isOptional = cursor.accept('?');
  const path: PathPart[] = [fieldName(cursor, true)];
  for (;;) {
    if (cursor.accept('.')) path.push(fieldName(cursor, false));
    else if (cursor.at('[') && cursor.peek(1).kind === 'number' && cursor.peek(2).text === ']')
      path.push(position(cursor));
    else return { kind: 'field', path, isOptional, at };
  }
}

function fieldName(cursor: Cursor, isFirst: boolean): string {
  const { kind, text } = cursor.next;
  const isName = kind === 'quoted_name' || (kind === 'name' && !(isFirst && KEYWORDS.has(text)));
  if (!isName) throw cursor.fault('a field or value is expected');
  return cursor.take().text;
}

function position(cursor: Cursor): number {
  cursor.expect('[');
  const text = cursor.take().text;
  cursor.expect(']');
  return Number(text);
}
