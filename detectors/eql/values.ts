/** Values of events, and how EQL compares them. Events are whatever a file holds: own keys only, nothing is trusted. */
import type { PathPart } from './syntax.ts';

export type Value = string | number | boolean | null | readonly Value[];
export type EventObject = Readonly<Record<string, unknown>>;

/** Elements of a list that are looked at; a longer one is cut. */
const MAX_LIST = 1024;

const isObject = (value: unknown): value is EventObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Scalars and lists of them; an object is no value. */
function asValue(raw: unknown): Value {
  if (typeof raw === 'string' || typeof raw === 'number' || typeof raw === 'boolean') return raw;
  if (!Array.isArray(raw)) return null;
  return raw.slice(0, MAX_LIST).map((item) => asValue(item));
}

/** Reads a path: nested (`{a: {b: 1}}`), dotted (`{"a.b": 1}`), or a mix; lists are walked into. */
export function readPath(event: EventObject, path: readonly PathPart[]): Value {
  return asValue(walk(event, path, 0));
}

function walk(value: unknown, path: readonly PathPart[], at: number): unknown {
  const part = path[at];
  if (part === undefined) return value;
  if (Array.isArray(value)) return walkList(value, path, at);
  if (!isObject(value) || typeof part === 'number') return undefined;
  let name = '';
  for (let end = at; end < path.length && typeof path[end] === 'string'; end++) {
    name = end === at ? part : `${name}.${path[end]}`;
    if (!Object.hasOwn(value, name)) continue;
    const found = walk(value[name], path, end + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function walkList(list: readonly unknown[], path: readonly PathPart[], at: number): unknown {
  const part = path[at];
  if (typeof part === 'number') return walk(list[part], path, at + 1);
  const found = list.slice(0, MAX_LIST).flatMap((item) => {
    const below = walk(item, path, at);
    return below === undefined ? [] : [below];
  });
  return found.length === 0 ? undefined : found.flat();
}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

/** Does the test hold for the value, or for any element of a list? */
export function anyOf(value: Value, test: (item: Value) => boolean): boolean {
  return isList(value) ? value.some((item) => anyOf(item, test)) : test(value);
}

export const fold = (value: Value): Value => (typeof value === 'string' ? value.toLowerCase() : value);

/** Order of two values of one type; undefined where EQL has none. */
export function order(left: Value, right: Value): number | undefined {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (typeof left !== 'string' || typeof right !== 'string') return undefined;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** EQL's three values as a condition: only true is true. */
export const isTrue = (value: Value): boolean => value === true || (isList(value) && value.includes(true));
