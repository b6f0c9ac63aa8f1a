/** Tags of a rule: ids of public taxonomies behind a namespace (`attack.T1567`), free words without one. */
import { ATLAS_IDS } from './atlas.ts';
import { ATTACK_IDS } from './attack.ts';
import { OWASP_IDS } from './owasp.ts';
import { SAF_IDS } from './saf.ts';

export interface TagFault {
  readonly message: string;
  readonly hint: string;
}

const NAMESPACES: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['atlas', new Set(ATLAS_IDS)],
  ['attack', new Set(ATTACK_IDS)],
  ['owasp', new Set(OWASP_IDS)],
  ['saf', new Set(SAF_IDS)],
]);

const FREE_TAG = /^[a-z0-9-]+$/;

/** Edit distance (Levenshtein), one row of its table at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** The id that is least far from what was written; of several the one that begins most like it. */
function nearest(written: string, ids: ReadonlySet<string>): string {
  // Nobody means an id by a long text, and the distance costs the product of both lengths.
  const text = written.slice(0, 32).toUpperCase();
  let best = '';
  let bestScore = Number.POSITIVE_INFINITY;
  for (const id of ids) {
    const score = distance(text, id) - commonPrefix(text, id) / 64;
    if (score < bestScore) [best, bestScore] = [id, score];
  }
  return best;
}

/** What is wrong with a tag, undefined when nothing is. Ids count as written in their taxonomy, case included. */
export function checkTag(tag: string): TagFault | undefined {
  const dot = tag.indexOf('.');
  if (dot < 0) {
    if (FREE_TAG.test(tag)) return undefined;
    return { message: `${tag} is no tag`, hint: 'write lower-case letters, digits and dashes' };
  }
  const namespace = tag.slice(0, dot);
  const id = tag.slice(dot + 1);
  const ids = NAMESPACES.get(namespace);
  if (ids === undefined) {
    const known = [...NAMESPACES.keys()].join(', ');
    return {
      message: `there is no tag namespace ${namespace}`,
      hint: `namespaces are ${known}; other tags have no dot`,
    };
  }
  if (ids.has(id)) return undefined;
  return {
    message: `${namespace} has no id ${id}`,
    hint: `the nearest one is ${namespace}.${nearest(id, ids)}`,
  };
}
