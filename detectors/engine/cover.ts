/**
 * Which run of a full list can go and nothing is lost: one that later calls can only complete where others that started
 * later are completed by the same call. Runs that are equal in all that later elements compare are one run already; here
 * are those that differ and are covered all the same.
 */
import type { CompiledRule, Join } from '../compile/rule.ts';
import { chainOf, placeValue, textOf } from './chain.ts';
import type { FieldPlace } from './plan.ts';
import type { FieldValue, Node } from './prefixes.ts';

/** What later elements ask of a value: to be equal (or shared), to be another one, or to lie below or above theirs. */
type Relation = 'equal' | 'other' | 'below' | 'above';

interface ComparedPlace {
  readonly place: FieldPlace;
  readonly relation: Relation;
  /** How many comparisons later elements make with it. */
  readonly comparisons: number;
}

/** Of one state. */
export interface Covering {
  readonly places: readonly ComparedPlace[];
  /** Elements that may still come. */
  readonly later: number;
  /** Longest time until the next element, ms. */
  readonly maxGapMs: number;
  readonly gapMatters: boolean;
  readonly distinctCalls: boolean;
  /** Runs that differ may cover each other: equal ones are one run already. */
  readonly isPossible: boolean;
}

function relationOf(joins: readonly Join[]): Relation {
  const relations = new Set(joins.map(oneRelation));
  const [only] = relations;
  return relations.size === 1 && only !== undefined ? only : 'equal';
}

function oneRelation({ operator, swapped }: Join): Relation {
  switch (operator) {
    case '==':
    case 'flows':
      return 'equal';
    case '!=':
      return 'other';
    case '<':
    case '<=':
      return swapped ? 'above' : 'below';
    case '>':
    case '>=':
      return swapped ? 'below' : 'above';
  }
}

/** Runs that a run is held against, the newest: whoever writes events decides how many there are. */
const MAX_OTHERS = 512;

/** By state. */
export function coveringsOf(rule: CompiledRule): readonly Covering[] {
  const { automaton, steps, body } = rule;
  return automaton.signatures.map((places, state) => {
    const isHeld = (step: number): boolean =>
      body === 'all_of' ? ((state + 1) & (1 << step)) !== 0 : step <= state;
    const later = steps.filter(({ index }) => !isHeld(index));
    const next = automaton.transitions.filter(({ from }) => from === state);
    const compared = places.map(([step, field]): ComparedPlace => {
      const joins = later.flatMap((each) =>
        each.joins.filter((join) => join.other === step && join.otherField === field),
      );
      const place = [step, rule.valueFields.indexOf(field)] as const;
      return { place, relation: relationOf(joins), comparisons: joins.length };
    });
    return {
      places: compared,
      later: later.length,
      maxGapMs: Math.max(...next.map(({ step }) => steps[step]?.gapMs ?? Number.POSITIVE_INFINITY)),
      gapMatters: automaton.gapMatters[state] === true,
      distinctCalls: rule.distinctCalls,
      isPossible: rule.distinctCalls || compared.some(({ relation }) => relation !== 'equal'),
    };
  });
}

/** Whether the others of a list complete whatever `node` could. Only runs that started later cover: what is told cites the latest start. */
export function isCovered(covering: Covering, node: Node, list: readonly Node[]): boolean {
  const cover = new Cover(covering, node);
  return list
    .slice(-MAX_OTHERS)
    .some((other) => outlives(other, node, covering.gapMatters) && cover.isWholeWith(other));
}

const outlives = (other: Node, node: Node, gapMatters: boolean): boolean =>
  other.startMs > node.startMs && (!gapMatters || other.lastMs >= node.lastMs);

/** Others that stand for a run, until together they stand for all that it can become. */
class Cover {
  readonly #covering: Covering;
  readonly #values: readonly (FieldValue | null | undefined)[];
  readonly #calls: readonly string[];
  /** Calls of others so far, of which no two share one; how many others. */
  readonly #seenCalls = new Set<string>();
  #apart = 0;
  /** By place the values of others that differ from the run in that place alone. */
  readonly #seenValues: (Set<string> | undefined)[] = [];

  constructor(covering: Covering, node: Node) {
    this.#covering = covering;
    this.#values = covering.places.map(({ place }) => placeValue(node, place));
    this.#calls = covering.distinctCalls ? callsOf(node) : [];
  }

  isWholeWith(other: Node): boolean {
    const values = this.#covering.places.map(({ place }) => placeValue(other, place));
    const differing = values.flatMap((value, at) => (this.#standsFor(value, at) ? [] : [at]));
    if (differing.length === 0) return this.#callsLeft(other);
    const [at] = differing;
    if (differing.length > 1 || at === undefined || this.#covering.distinctCalls) return false;
    return this.#isAnyOther(at, values[at]);
  }

  /** Each later element is one call, and forbids at most one of the others: one more than elements is always left. */
  #callsLeft(other: Node): boolean {
    if (!this.#covering.distinctCalls) return true;
    const calls = callsOf(other);
    if (calls.every((call) => this.#calls.includes(call))) return true;
    if (calls.some((call) => this.#seenCalls.has(call))) return false;
    for (const call of calls) this.#seenCalls.add(call);
    return ++this.#apart > this.#covering.later;
  }

  /** Each comparison excludes one value: one more than comparisons always holds another. */
  #isAnyOther(at: number, value: FieldValue | null | undefined): boolean {
    const { relation, comparisons } = this.#covering.places[at] as ComparedPlace;
    const text = textOf(value);
    if (relation !== 'other' || text === null || value === undefined) return false;
    const seen = (this.#seenValues[at] ??= new Set());
    seen.add(text);
    return seen.size > comparisons;
  }

  #standsFor(value: FieldValue | null | undefined, at: number): boolean {
    const own = this.#values[at];
    if (value === undefined || own === undefined) return value === own;
    const [text, ownText] = [textOf(value), textOf(own)];
    if (text === ownText) return true;
    if (text === null || ownText === null || text.trim() === '' || ownText.trim() === '') return false;
    const { relation } = this.#covering.places[at] as ComparedPlace;
    if (relation === 'below') return Number(text) <= Number(ownText);
    return relation === 'above' && Number(text) >= Number(ownText);
  }
}

const callsOf = (node: Node): string[] => chainOf(node).map(({ entry }) => entry.callKey);
