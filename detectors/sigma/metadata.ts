/** What a rule says about itself: id, title, level, tags. None of it decides what matches, so nothing of it is refused but names that clash. */
import { checkTag } from '../tags/check.ts';
import type { CorrelationRule, EventRule } from './document.ts';
import { refuse } from './refusal.ts';

export interface Metadata {
  readonly id: string;
  readonly title: string;
  readonly description?: string;
  readonly status?: string;
  readonly references?: readonly string[];
  readonly false_positives?: readonly string[];
  readonly level: string;
  readonly tags?: readonly string[];
}

const MAX_ID_CHARACTERS = 120;

const slug = (text: string, keep: RegExp): string =>
  text
    .toLowerCase()
    .replaceAll(keep, '-')
    .replaceAll(/-{2,}/g, '-')
    .replaceAll(/^[-.]+|[-.]+$/g, '');

/** `sigma.` and the rule's id, else its name, else its title: the same file gives the same id every time. */
export function idOf(rule: EventRule | CorrelationRule): string {
  const own = slug(rule.id ?? rule.name ?? rule.title, /[^a-z0-9_.-]+/g).slice(0, MAX_ID_CHARACTERS);
  return own === ''
    ? refuse(['title'], 'has no letter to make an id of; give the rule an id')
    : `sigma.${own}`;
}

/** A word that names a selection or a key. */
export function wordOf(text: string, taken: ReadonlySet<string>): string {
  const base = text.replaceAll(/[^A-Za-z0-9_]+/g, '_').slice(0, 56);
  // A key called tenant means all of a tenant (schemas/rule/v1.ts).
  const word = /^[A-Za-z_]/.test(base) && base !== 'tenant' ? base : `_${base}`;
  for (let number = 2, name = word; ; number++) {
    if (!taken.has(name)) return name;
    name = `${word}_${number}`;
  }
}

const IDS: Readonly<Record<string, (id: string) => string>> = {
  attack: (id) => id.toUpperCase(),
  atlas: (id) => id.toUpperCase(),
  owasp: (id) => id.toUpperCase(),
  saf: (id) => id.toUpperCase().replace(/^SAF-/, ''),
};

/** Sigma writes ids in lower case (`attack.t1567`); what is in none of our id lists becomes a free tag. */
function tagOf(tag: string): string[] {
  const dot = tag.indexOf('.');
  const namespace = tag.slice(0, Math.max(dot, 0)).toLowerCase();
  const own = Object.hasOwn(IDS, namespace) ? IDS[namespace] : undefined;
  const listed = own === undefined ? '' : `${namespace}.${own(tag.slice(dot + 1))}`;
  if (listed !== '' && checkTag(listed) === undefined) return [listed];
  const free = slug(tag, /[^a-z0-9-]+/g);
  return free === '' ? [] : [free];
}

const MAX_TEXTS = 32;
const cut = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;
const cutAll = (texts: readonly string[]): string[] =>
  texts.slice(0, MAX_TEXTS).map((text) => cut(text, 512));

/** Where the rule came from stands in it, as licences of rule collections ask for. */
function descriptionOf(rule: EventRule | CorrelationRule): string {
  const author = rule.author === undefined ? '' : ` by ${rule.author}`;
  const origin = `Sigma rule ${rule.id ?? rule.name ?? 'without id'}${author}.`;
  const own = rule.description?.trim() ?? '';
  return own === '' ? cut(origin, 4_096) : `${cut(own, 3_000)}\n\n${cut(origin, 1_024)}`;
}

export function metadataOf(rule: EventRule | CorrelationRule): Metadata {
  if (rule.status === 'unsupported') refuse(['status'], 'the rule says of itself that it cannot be used');
  if (rule.taxonomy !== undefined && rule.taxonomy !== 'sigma')
    refuse(['taxonomy'], `names of fields follow ${rule.taxonomy}, which is not known here`);
  return {
    id: idOf(rule),
    title: rule.title,
    description: descriptionOf(rule),
    ...(rule.status === undefined ? {} : { status: rule.status }),
    ...(rule.references === undefined ? {} : { references: cutAll(rule.references) }),
    ...(rule.falsepositives === undefined ? {} : { false_positives: cutAll(rule.falsepositives) }),
    // Sigma lets a rule have no level; ours must have one.
    level: rule.level ?? 'medium',
    ...(rule.tags === undefined ? {} : { tags: [...new Set(rule.tags.flatMap(tagOf))] }),
  };
}
