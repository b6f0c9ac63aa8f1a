/** group-by and aliases → our key. Events that lack a value of the key belong to no group. */
import { checkCarried } from './carried.ts';
import type { Member, NamedMember } from './correlation.ts';
import type { CorrelationRule } from './document.ts';
import { fieldOf } from './field-names.ts';
import { wordOf } from './metadata.ts';
import { refuse } from './refusal.ts';

type Correlation = CorrelationRule['correlation'];
export type KeyObject = string | Readonly<Record<string, string | Readonly<Record<string, string>>>>;

const at = ['correlation', 'aliases'];

/** Field that an alias means in a rule. */
function aliasedField(alias: string, fields: Readonly<Record<string, string>>, member: Member): string {
  const name = [member.reference, ...member.names].find((one) => Object.hasOwn(fields, one));
  const field = name === undefined ? undefined : fields[name];
  if (field === undefined) return refuse([...at, alias], `has no field for rule ${member.reference}`);
  const place = [...at, alias, name ?? ''];
  return checkCarried(fieldOf(field, place), member, place);
}

/** Of several rules that are counted together an alias must mean the same field: they are one selection of ours. */
function commonField(
  alias: string,
  fields: Readonly<Record<string, string>>,
  sources: readonly Member[],
): string {
  const [first = '', ...others] = new Set(sources.map((source) => aliasedField(alias, fields, source)));
  if (others.length > 0) refuse([...at, alias], 'means different fields in rules that are counted together');
  return first;
}

function plainField(name: string, members: readonly Member[]): string {
  const place = ['correlation', 'group-by'];
  const field = fieldOf(name, place);
  for (const member of members) checkCarried(field, member, place);
  return field;
}

/**
 * The key of a rule over `members`. `sources` are the rules that the one member was put together from, where it was.
 * Without group-by everything of a tenant belongs together.
 */
export function keyOfGroup(
  correlation: Correlation,
  members: readonly NamedMember[],
  sources?: readonly Member[],
): KeyObject {
  const names = correlation['group-by'] ?? [];
  const aliases = correlation.aliases ?? {};
  if (names.length === 0) return 'tenant';
  const key = new Map<string, string | Readonly<Record<string, string>>>();
  for (const name of names) {
    const word = wordOf(name, new Set(key.keys()));
    const fields = Object.hasOwn(aliases, name) ? aliases[name] : undefined;
    if (fields === undefined) key.set(word, plainField(name, members));
    else {
      const field = (member: NamedMember): string =>
        sources === undefined ? aliasedField(name, fields, member) : commonField(name, fields, sources);
      key.set(word, Object.fromEntries(members.map((member) => [member.word, field(member)])));
    }
  }
  return Object.fromEntries(key);
}
