/** The detection of a Sigma rule → the alternatives of one selection of ours. */
import type { Scalar } from '../compile/predicate.ts';
import { keyOf, type Atom } from './atom.ts';
import { all, any, MAX_TERMS, termsOf, type Expression, type Literal, type Term } from './boolean.ts';
import { parseSigmaCondition, type Names } from './condition.ts';
import { itemExpression } from './item.ts';
import { refuse, type Place } from './refusal.ts';

/** Lines of a selection: all hold. */
export type SelectionMap = Readonly<Record<string, Scalar | readonly Scalar[]>>;

function mapExpression(map: object, at: Place): Expression<Atom> {
  const items = Object.entries(map);
  if (items.length === 0) refuse(at, 'is empty');
  return all(items.map(([key, raw]) => itemExpression(key, raw, [...at, key])));
}

/** A search: a map (all lines), or a list of maps (any of them). */
function searchExpression(raw: unknown, at: Place): Expression<Atom> {
  if (Array.isArray(raw)) {
    if (raw.length === 0) refuse(at, 'is empty');
    return any(raw.map((item: unknown, index) => searchMap(item, [...at, index])));
  }
  return searchMap(raw, at);
}

function searchMap(raw: unknown, at: Place): Expression<Atom> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    return refuse(at, 'keywords search the whole log line, and a call has none; name a field');
  return mapExpression(raw, at);
}

/** `name*` as a test; `them` takes every name that does not begin with `_`. */
function patternTest(pattern: string): (name: string) => boolean {
  if (pattern.toLowerCase() === 'them') return (name) => !name.startsWith('_');
  const parts = pattern.split('*');
  const [head = ''] = parts;
  if (parts.length === 1) return (name) => name === pattern;
  return (name) => {
    let from = head.length;
    if (!name.startsWith(head)) return false;
    for (const part of parts.slice(1, -1)) {
      const found = name.indexOf(part, from);
      if (found < 0) return false;
      from = found + part.length;
    }
    const tail = parts.at(-1) ?? '';
    return name.length - tail.length >= from && name.endsWith(tail);
  };
}

function namesOf(searches: ReadonlyMap<string, Expression<Atom>>): Names<Atom> {
  return {
    byName: (name) => searches.get(name),
    byPattern: (pattern) => {
      const fits = patternTest(pattern);
      return [...searches].flatMap(([name, expression]) => (fits(name) ? [expression] : []));
    },
  };
}

function conditionsOf(raw: unknown, at: Place): readonly string[] {
  const list: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
  if (list.length === 0 || !list.every((one): one is string => typeof one === 'string'))
    return refuse(at, 'must be a condition or a list of them');
  return list;
}

/** Alternatives of the selection, at least one. Refuses what cannot be said. */
export function alternativesOf(detection: Readonly<Record<string, unknown>>): SelectionMap[] {
  const at = ['detection'];
  const { condition, timeframe, ...raw } = detection;
  if (timeframe !== undefined)
    refuse([...at, 'timeframe'], 'ended with Sigma version 2; write a correlation rule');
  const searches = new Map(
    Object.entries(raw).map(([name, search]) => [name, searchExpression(search, [...at, name])]),
  );
  const place = [...at, 'condition'];
  const parsed = conditionsOf(condition, place).map((text) => {
    const outcome = parseSigmaCondition(text, namesOf(searches));
    return outcome.kind === 'expression' ? outcome.expression : refuse(place, outcome.message);
  });
  const terms = termsOf(any(parsed));
  if (terms === undefined)
    return refuse(place, `has more than ${MAX_TERMS} alternatives once it is multiplied out`);
  return terms.map(selectionOf);
}

/**
 * A conjunction as lines of a selection. Lines of one field and operator become one line where that says the same; else
 * the later ones carry `in`, which changes nothing but tells them apart.
 */
function selectionOf(term: Term<Atom>): SelectionMap {
  const lines = new Map<string, readonly Scalar[]>();
  for (const literal of term) addLine(lines, plain(literal));
  return Object.fromEntries(
    [...lines].map(([key, values]) => [key, values.length === 1 ? (values[0] as Scalar) : values]),
  );
}

/** What is not there needs no negation: `exists: false`. */
function plain(literal: Literal<Atom>): Literal<Atom> {
  const { leaf: atom, negated } = literal;
  if (!negated || atom.modifiers !== 'exists') return literal;
  return { leaf: { ...atom, values: atom.values.map((value) => value !== true) }, negated: false };
}

function addLine(lines: Map<string, readonly Scalar[]>, { leaf: atom, negated }: Literal<Atom>): void {
  const { field, values } = atom;
  const suffix = negated ? '|not' : '';
  let key = keyOf(field, atom.modifiers) + suffix;
  for (let held = lines.get(key); held !== undefined; held = lines.get(key)) {
    if (isSame(held, values)) return;
    // Neither of two lists, and all of two lists, are one list.
    if (negated !== atom.modifiers.endsWith('all') && canMerge(atom.modifiers)) {
      lines.set(key, [...new Set([...held, ...values])]);
      return;
    }
    key = `${field}|in${key.slice(field.length)}`;
  }
  lines.set(key, values);
}

const isSame = (a: readonly Scalar[], b: readonly Scalar[]): boolean =>
  a.length === b.length && a.every((value) => b.includes(value));
/** Numbers and presence compare with one value that decides. */
const canMerge = (modifiers: string): boolean => !/^(exists|gte?|lte?)/.test(modifiers);
