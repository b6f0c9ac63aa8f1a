/** EQL's functions. Null in, null out; what is not here is refused by name. */
import { isInNetworks, parseNetwork } from '../compile/cidr.ts';
import { EqlError } from './error.ts';
import type { CallExpression, Dialect } from './syntax.ts';
import { regexTest, wholeText, wildcardTest } from './text-match.ts';
import { anyOf, fold, isList, type Value } from './values.ts';

type Apply = (items: readonly Value[]) => Value;

interface Signature {
  readonly min: number;
  readonly max: number;
  readonly make: (call: CallContext) => Apply;
}

interface CallContext {
  readonly isInsensitive: boolean;
  readonly dialect: Dialect;
  readonly at: number;
  /** Arguments that are texts in the query; patterns are compiled once. */
  readonly literals: readonly (string | undefined)[];
}

type Text = (items: readonly string[], start: number | undefined) => Value;

/** Texts in; with insensitivity all in lower case. */
const onTexts =
  (count: number, apply: Text) =>
  ({ isInsensitive }: CallContext): Apply =>
  (items) => {
    const texts = items.slice(0, count);
    if (!texts.every((item) => typeof item === 'string')) return null;
    const start = items[count];
    const folded = isInsensitive ? texts.map((item) => item.toLowerCase()) : texts;
    return apply(folded, typeof start === 'number' ? start : undefined);
  };

const onNumbers =
  (apply: (left: number, right: number, dialect: Dialect) => number) =>
  ({ dialect }: CallContext): Apply =>
  ([left = null, right = null]) => {
    if (typeof left !== 'number' || typeof right !== 'number') return null;
    const result = apply(left, right, dialect);
    return Number.isFinite(result) ? result : null;
  };

/** Whole numbers divide to a whole number in Elasticsearch, as in Java. */
function divide(left: number, right: number, dialect: Dialect): number {
  const result = left / right;
  return dialect === 'elasticsearch' && Number.isInteger(left) && Number.isInteger(right)
    ? Math.trunc(result)
    : result;
}

function length([value = null]: readonly Value[]): Value {
  if (typeof value === 'string') return value.length;
  return isList(value) ? value.length : null;
}

function toNumber([text = null, base = null]: readonly Value[]): Value {
  if (typeof text === 'number') return text;
  return typeof text === 'string' ? parseNumber(text.trim(), base) : null;
}

function parseNumber(text: string, base: Value): Value {
  if (base === 16 || (base === null && /^0x/i.test(text)))
    return /^(0x)?[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : null;
  if (base === null || base === 10) return text === '' ? null : finite(Number(text));
  return typeof base === 'number' && /^[0-9a-z]+$/i.test(text) ? finite(Number.parseInt(text, base)) : null;
}

const finite = (value: number): Value => (Number.isFinite(value) ? value : null);

function toText([value = null]: readonly Value[]): Value {
  return value === null || isList(value) ? null : String(value);
}

function substring([text = null, start = null, end = null]: readonly Value[]): Value {
  if (typeof text !== 'string' || typeof start !== 'number') return null;
  return text.slice(start, typeof end === 'number' ? end : undefined);
}

/** What stands between two marks: the shortest stretch, or with the fourth argument the longest. */
function between({ isInsensitive }: CallContext): Apply {
  return ([text, left, right, greedy]) => {
    if (typeof text !== 'string' || typeof left !== 'string' || typeof right !== 'string') return null;
    const searched = isInsensitive ? text.toLowerCase() : text;
    const [from, to] = isInsensitive ? [left.toLowerCase(), right.toLowerCase()] : [left, right];
    const begin = searched.indexOf(from);
    if (begin < 0) return '';
    const inside = begin + from.length;
    const end = greedy === true ? searched.lastIndexOf(to) : searched.indexOf(to, inside);
    return end < inside ? '' : text.slice(inside, end);
  };
}

function cidrMatch({ literals, at }: CallContext): Apply {
  const networks = literals.slice(1).map((text) => {
    const network = text === undefined ? undefined : parseNetwork(text);
    if (network === undefined) throw new EqlError('cidrMatch takes networks, as "10.0.0.0/8"', at);
    return network;
  });
  return ([address = null]) =>
    address === null
      ? null
      : anyOf(address, (item) => typeof item === 'string' && isInNetworks(item, networks));
}

type PatternTest = (text: string) => boolean;

const onPatterns =
  (compile: (pattern: string, context: CallContext) => PatternTest) =>
  (context: CallContext): Apply => {
    const tests = context.literals.slice(1).map((pattern) => {
      if (pattern === undefined) throw new EqlError('patterns are texts in the query', context.at);
      return compile(pattern, context);
    });
    return ([text = null]) =>
      text === null
        ? null
        : anyOf(text, (item) => typeof item === 'string' && tests.some((test) => test(item)));
  };

const wildcard = onPatterns((pattern, { isInsensitive, dialect, at }) =>
  wildcardTest(pattern, { isInsensitive, hasSingle: dialect === 'elasticsearch' }, at),
);
/** The older dialect's match holds from the beginning of the text on, not to its end. */
const match = onPatterns((pattern, { isInsensitive, dialect, at }) =>
  regexTest(dialect === 'endgame' ? String.raw`\A(?:${pattern})` : wholeText(pattern), isInsensitive, at),
);

const arrayContains =
  (): Apply =>
  ([list = null, ...wanted]) =>
    list === null ? null : anyOf(list, (item) => wanted.some((one) => fold(one) === fold(item)));

const concat = (): Apply => (items) =>
  items.some((item) => item === null || isList(item)) ? null : items.map(String).join('');

const signature = (min: number, max: number, make: Signature['make']): Signature => ({ min, max, make });
const binary = (make: Signature['make']): Signature => signature(2, 2, make);

const FUNCTIONS: Readonly<Record<string, Signature>> = {
  add: binary(onNumbers((left, right) => left + right)),
  subtract: binary(onNumbers((left, right) => left - right)),
  multiply: binary(onNumbers((left, right) => left * right)),
  divide: binary(onNumbers(divide)),
  modulo: binary(onNumbers((left, right) => left % right)),
  startsWith: binary(onTexts(2, ([text = '', part = '']) => text.startsWith(part))),
  endsWith: binary(onTexts(2, ([text = '', part = '']) => text.endsWith(part))),
  stringContains: binary(onTexts(2, ([text = '', part = '']) => text.includes(part))),
  indexOf: signature(
    2,
    3,
    onTexts(2, ([text = '', part = ''], start) => {
      const found = text.indexOf(part, start);
      return found < 0 ? null : found;
    }),
  ),
  between: signature(3, 5, between),
  substring: signature(2, 3, () => substring),
  concat: signature(1, 64, concat),
  length: signature(1, 1, () => length),
  number: signature(1, 2, () => toNumber),
  string: signature(1, 1, () => toText),
  cidrMatch: signature(2, 1024, cidrMatch),
  wildcard: signature(2, 1024, wildcard),
  match: signature(2, 1024, match),
  arrayContains: signature(2, 1024, arrayContains),
};

const OPERATOR_FUNCTIONS = {
  '+': 'add',
  '-': 'subtract',
  '*': 'multiply',
  '/': 'divide',
  '%': 'modulo',
} as const;

export const functionOfOperator = (operator: keyof typeof OPERATOR_FUNCTIONS): string =>
  OPERATOR_FUNCTIONS[operator];

/** The function of a call. Throws EqlError for an unknown name or a wrong number of arguments. */
export function makeFunction({ name, items, isInsensitive, at }: CallExpression, dialect: Dialect): Apply {
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (known === undefined)
    throw new EqlError(`the function ${name} is not supported: ${Object.keys(FUNCTIONS).join(', ')} are`, at);
  if (items.length < known.min || items.length > known.max)
    throw new EqlError(`${name} takes ${known.min} to ${known.max} arguments, not ${items.length}`, at);
  const literals = items.map((item) =>
    item.kind === 'literal' && typeof item.value === 'string' ? item.value : undefined,
  );
  // The older dialect never looks at case.
  return known.make({ isInsensitive: isInsensitive || dialect === 'endgame', dialect, at, literals });
}
