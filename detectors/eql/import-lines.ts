/** Lines of a selection (`field|modifier: values`) and their combinations: any of several maps, in each all lines hold. */
import { ImportRefusal } from './import-refusal.ts';

export type Scalar = string | number | boolean;

export interface Line {
  readonly key: string;
  readonly values: readonly Scalar[];
}

/** All lines hold. */
export type Alternative = ReadonlyMap<string, readonly Scalar[]>;

const MAX_ALTERNATIVES = 64;

export const ALWAYS: readonly Alternative[] = [new Map()];
export const NEVER: readonly Alternative[] = [];

export const oneLine = (line: Line): readonly Alternative[] => [new Map([[line.key, line.values]])];

export function anyOfThem(parts: readonly (readonly Alternative[])[]): readonly Alternative[] {
  const all = parts.flat();
  // One that always holds makes the others say nothing.
  const always = all.find((one) => one.size === 0);
  return always === undefined ? bounded(all) : [always];
}

export function allOfThem(parts: readonly (readonly Alternative[])[]): readonly Alternative[] {
  return parts.reduce<readonly Alternative[]>(
    (heads, tails) => bounded(heads.flatMap((head) => tails.flatMap((tail) => merge(head, tail) ?? []))),
    ALWAYS,
  );
}

function bounded(all: readonly Alternative[]): readonly Alternative[] {
  if (all.length > MAX_ALTERNATIVES)
    throw new ImportRefusal(
      'condition',
      `it makes more than ${MAX_ALTERNATIVES} alternatives: split the rule`,
    );
  return all;
}

/** Both hold; undefined where they cannot. */
function merge(head: Alternative, tail: Alternative): Alternative | undefined {
  const merged = new Map(head);
  for (const [key, values] of tail) {
    const known = merged.get(key);
    const both = known === undefined ? { key, values } : bothLines(key, known, values);
    if (both === undefined) return undefined;
    if (both.key !== key) merged.delete(key);
    merged.set(both.key, both.values);
  }
  return merged;
}

const TEXT_TEST = /\|(contains|startswith|endswith|re)(\|cased)?$/;

/** Two lines of one field and operator, as one line. */
function bothLines(key: string, left: readonly Scalar[], right: readonly Scalar[]): Line | undefined {
  if (/\|not(\||$)/.test(key)) return { key, values: [...new Set([...left, ...right])] };
  if (!key.includes('|') || key.endsWith('|cased')) {
    if (!TEXT_TEST.test(key)) {
      const values = left.filter((value) => right.includes(value));
      return values.length === 0 ? undefined : { key, values };
    }
  }
  if (TEXT_TEST.test(key) && left.length === 1 && right.length === 1)
    return left[0] === right[0] ? { key, values: left } : { key: `${key}|all`, values: [...left, ...right] };
  throw new ImportRefusal(key, 'it is compared twice in one condition, which a selection cannot say');
}
