/** One condition of our language on its way: a field, an operator and values, without negation. */
import { parseCondition, type Scalar } from '../compile/predicate.ts';
import { leaf, type Expression } from './boolean.ts';
import { refuse, type Place } from './refusal.ts';

export interface Atom {
  readonly field: string;
  /** Modifiers of our language that follow the field, `not` left out: `contains`, `re|cased`, `''`. */
  readonly modifiers: string;
  readonly values: readonly Scalar[];
}

const NO_LISTS: ReadonlyMap<string, readonly string[]> = new Map();
/** Longest text and list that a rule may hold (schemas/rule/v1.ts). */
const MAX_VALUE_CHARACTERS = 1_024;
const MAX_VALUES = 1_024;
const MAX_FIELD_CHARACTERS = 128;

export const keyOf = (field: string, modifiers: string): string =>
  modifiers === '' ? field : `${field}|${modifiers}`;

/** The atom as an expression; refuses what our language would refuse. */
export function atomAt(atom: Atom, at: Place): Expression<Atom> {
  if (atom.field.length > MAX_FIELD_CHARACTERS) refuse(at, 'has too long a name');
  if (atom.values.length > MAX_VALUES) refuse(at, `lists more than ${MAX_VALUES} values`);
  if (atom.values.some((value) => typeof value === 'string' && value.length > MAX_VALUE_CHARACTERS))
    refuse(at, `holds a value longer than ${MAX_VALUE_CHARACTERS} characters`);
  const outcome = parseCondition(keyOf(atom.field, atom.modifiers), atom.values, NO_LISTS);
  if (outcome.kind === 'fault') refuse(at, `${outcome.message} (${outcome.hint})`);
  return leaf(atom);
}
