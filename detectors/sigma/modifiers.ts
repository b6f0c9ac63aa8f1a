/** The modifiers behind a field name (Sigma modifiers appendix 2.1.0): what we know of them, and why not the others. */
import { refuse, type Place } from './refusal.ts';

const KINDS = [
  'contains',
  'startswith',
  'endswith',
  're',
  'cidr',
  'gt',
  'gte',
  'lt',
  'lte',
  'exists',
  'fieldref',
] as const;
export type ValueKind = 'text' | (typeof KINDS)[number];

export interface Modifiers {
  readonly kind: ValueKind;
  readonly all: boolean;
  readonly cased: boolean;
  readonly negated: boolean;
  /** Flags of `re`: i, m, s. */
  readonly flags: string;
}

const REFUSED: Readonly<Record<string, string>> = {
  base64: 'searches one encoding of a value; a flow condition finds values in any',
  base64offset: 'searches one encoding of a value; a flow condition finds values in any',
  utf16: 'encodes values as bytes, and arguments of calls are text',
  utf16le: 'encodes values as bytes, and arguments of calls are text',
  utf16be: 'encodes values as bytes, and arguments of calls are text',
  wide: 'encodes values as bytes, and arguments of calls are text',
  windash: 'means the command lines of Windows; write the variants out as a list',
  expand: 'needs placeholders of a pipeline; write the values out, or use a $list of ours',
  minute: 'reads the clock; our selections do not',
  hour: 'reads the clock; our selections do not',
  day: 'reads the clock; our selections do not',
  week: 'reads the clock; our selections do not',
  month: 'reads the clock; our selections do not',
  year: 'reads the clock; our selections do not',
};

const isKind = (name: string): name is (typeof KINDS)[number] => (KINDS as readonly string[]).includes(name);

/** Reads the modifiers of a line; refuses what has no meaning in our language or beside the others. */
export function readModifiers(names: readonly string[], at: Place): Modifiers {
  for (const name of names) {
    const why = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (why !== undefined) refuse(at, `modifier ${name} ${why}`);
  }
  const kinds = names.filter(isKind);
  const flags = names.filter((name) => ['i', 'm', 's'].includes(name));
  const known = ['all', 'cased', 'neq'];
  const unknown = names.find((name) => !isKind(name) && !flags.includes(name) && !known.includes(name));
  if (unknown !== undefined) refuse(at, `there is no modifier ${unknown}`);
  const kind = kindOf(kinds, at);
  if (flags.length > 0 && kind !== 're') refuse(at, 'i, m and s belong to re');
  return {
    kind,
    all: names.includes('all'),
    cased: names.includes('cased'),
    negated: names.includes('neq'),
    flags: flags.join(''),
  };
}

function kindOf(kinds: readonly (typeof KINDS)[number][], at: Place): ValueKind {
  const [first = 'text', ...others] = kinds;
  if (others.length > 0) refuse(at, `${kinds.join(' and ')} do not fit each other`);
  return first;
}
