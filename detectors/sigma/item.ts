/** One line of a Sigma selection, `Field|modifier: values` → an expression over conditions of our language. */
import type { Scalar } from '../compile/predicate.ts';
import { atomAt, type Atom } from './atom.ts';
import { all, any, not, type Expression } from './boolean.ts';
import { fieldOf } from './field-names.ts';
import { readModifiers, type Modifiers, type ValueKind } from './modifiers.ts';
import { refuse, type Place } from './refusal.ts';
import { textMatchOf } from './wildcards.ts';

type Value = Scalar | null;

function valuesOf(raw: unknown, at: Place): Value[] {
  const values: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
  if (values.length === 0) refuse(at, 'lists no value');
  return values.map((value) => {
    const isScalar = value === null || ['string', 'number', 'boolean'].includes(typeof value);
    if (!isScalar || (typeof value === 'number' && !Number.isFinite(value)))
      refuse(at, 'takes texts, numbers, booleans and null');
    return value as Value;
  });
}

/** Expression of `key: raw`, where key is a field with its modifiers. */
export function itemExpression(key: string, raw: unknown, at: Place): Expression<Atom> {
  const [name = '', ...names] = key.split('|');
  if (name === '') refuse(at, 'keywords search the whole log line, and a call has none; name a field');
  const field = fieldOf(name, at);
  const modifiers = readModifiers(names, at);
  const values = valuesOf(raw, at);
  if (modifiers.negated && values.length > 1)
    refuse(at, 'neq with several values may mean any or none of them');
  const atoms = values.map((value) => valueAtom({ field, modifiers, at }, value));
  const merged = mergeValues(atoms, modifiers.all && values.length > 1, at);
  return modifiers.negated ? not(merged) : merged;
}

interface OneValue {
  readonly field: string;
  readonly modifiers: Modifiers;
  readonly at: Place;
}
const atomOf = (field: string, modifiers: string, value: Scalar): Atom => ({
  field,
  modifiers,
  values: [value],
});

const joined = (...names: readonly string[]): string => names.filter((name) => name !== '').join('|');

type Reader = (one: OneValue, value: Scalar) => Atom;
const asText: Reader = ({ field, modifiers }, value) => {
  const { kind } = modifiers;
  const cased = modifiers.cased ? 'cased' : '';
  if (typeof value !== 'string' && kind === 'text') return atomOf(field, cased, value);
  const around = kind === 'contains' || kind === 'startswith' || kind === 'endswith' ? kind : undefined;
  const match = textMatchOf(String(value), around);
  if (match.operator === 'exists') return atomOf(field, 'exists', true);
  return atomOf(field, joined(match.operator === 'eq' ? '' : match.operator, cased), match.value);
};
const asNumber: Reader = ({ field, modifiers, at }, value) =>
  atomOf(field, modifiers.kind, numberOf(value, at));
const asItIs: Reader = ({ field, modifiers }, value) => atomOf(field, modifiers.kind, value);
const asField: Reader = ({ field, modifiers, at }, value) =>
  atomOf(field, modifiers.cased ? 'cased' : '', `$self.${fieldOf(String(value), at)}`);

const READERS: Readonly<Record<ValueKind, Reader>> = {
  text: asText,
  contains: asText,
  startswith: asText,
  endswith: asText,
  re: patternPart,
  gt: asNumber,
  gte: asNumber,
  lt: asNumber,
  lte: asNumber,
  cidr: asItIs,
  exists: asItIs,
  fieldref: asField,
};

function valueAtom(one: OneValue, value: Value): Atom {
  if (value !== null) return READERS[one.modifiers.kind](one, value);
  if (one.modifiers.kind !== 'text') refuse(one.at, `null does not fit ${one.modifiers.kind}`);
  return atomOf(one.field, 'exists', false);
}

/** Sigma's patterns are case-sensitive unless `i` says otherwise, ours the other way round. */
function patternPart({ field, modifiers, at }: OneValue, value: Scalar): Atom {
  if (typeof value !== 'string') return refuse(at, 're takes texts');
  const inline = [...new Set(modifiers.flags)].filter((flag) => flag !== 'i').join('');
  const pattern = inline === '' ? value : `(?${inline})${value}`;
  if (pattern.startsWith('$')) return refuse(at, 'a pattern that begins with $ fits the end of a text only');
  const own = modifiers.flags.includes('i') ? 're' : 're|cased';
  return atomOf(field, own, pattern);
}

function numberOf(value: Scalar, at: Place): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  return refuse(at, 'compares numbers');
}

const TEXT_MODIFIERS = new Set(['', 'contains', 'startswith', 'endswith', 're']);

/** Values with one operator become one condition: a list is any of them, with `all` every one. */
function mergeValues(atoms: readonly Atom[], wantsAll: boolean, at: Place): Expression<Atom> {
  const groups = new Map<string, Atom[]>();
  for (const atom of atoms) groups.set(atom.modifiers, [...(groups.get(atom.modifiers) ?? []), atom]);
  const merged = [...groups.values()].map((group) => mergeGroup(group, wantsAll, at));
  const [only] = merged;
  if (merged.length === 1 && only !== undefined) return only;
  return wantsAll ? all(merged) : any(merged);
}

function mergeGroup(group: readonly Atom[], wantsAll: boolean, at: Place): Expression<Atom> {
  const [first] = group as readonly [Atom, ...Atom[]];
  const { modifiers } = first;
  const values = [...new Set(group.flatMap((atom) => atom.values))];
  if (modifiers === 'exists' && values.length > 1) refuse(at, 'exists and does not exist at once');
  const isMany = wantsAll && values.length > 1;
  if (isMany && !TEXT_MODIFIERS.has(modifiers.replace(/\|?cased$/, '')))
    refuse(at, `all does not fit ${modifiers}`);
  return atomAt({ ...first, modifiers: isMany ? joined(modifiers, 'all') : modifiers, values }, at);
}
