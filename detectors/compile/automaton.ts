/** How the elements of a rule may follow each other: its states and the transitions between them. */
import type { Automaton, Join, Step, Transition } from './rule.ts';
import { START } from './rule.ts';

type Bare = Omit<Transition, 'bucketJoin'>;

/** State j of a sequence: a run ends at element j. Optional elements in between may be passed over. */
function chain(steps: readonly Step[]): Bare[] {
  return steps.flatMap((step, to) => {
    const transitions: Bare[] = [];
    for (let from = to - 1; from >= START; from--) {
      transitions.push({ from, to, step: step.index });
      if (steps[from]?.optional !== true) break;
    }
    return transitions;
  });
}

/** State mask - 1 of a set: the elements of the mask have been seen. */
function lattice(count: number): Bare[] {
  const transitions: Bare[] = [];
  for (let mask = 0; mask < 1 << count; mask++) {
    for (let step = 0; step < count; step++) {
      const bit = 1 << step;
      if ((mask & bit) === 0) transitions.push({ from: mask - 1, to: (mask | bit) - 1, step });
    }
  }
  return transitions;
}

interface Shape {
  readonly steps: readonly Step[];
  readonly isSet: boolean;
  readonly transitions: readonly Bare[];
}

/** Whether element `step` may stand in a run of this state. */
function mayHold(shape: Shape, state: number, step: number): boolean {
  return shape.isSet ? ((state + 1) & (1 << step)) !== 0 : step <= state;
}

function signatureOf(shape: Shape, state: number): (readonly [number, string])[] {
  const places = new Map<string, readonly [number, string]>();
  for (const later of shape.steps) {
    if (mayHold(shape, state, later.index)) continue;
    for (const join of later.joins) {
      if (mayHold(shape, state, join.other)) {
        places.set(`${join.other} ${join.otherField}`, [join.other, join.otherField]);
      }
    }
  }
  return [...places.values()];
}

function bucketOf(shape: Shape, state: number): { join: Join; index: number } | undefined {
  const leaving = shape.transitions.filter((transition) => transition.from === state);
  const step = leaving.length === 1 ? shape.steps[leaving[0]?.step ?? -1] : undefined;
  // The value must be there in every run of the state.
  const index =
    step?.joins.findIndex(
      (join) =>
        join.operator === '==' &&
        mayHold(shape, state, join.other) &&
        shape.steps[join.other]?.optional === false,
    ) ?? -1;
  const join = step?.joins[index];
  return join === undefined ? undefined : { join, index };
}

/** The automaton of a rule's elements. */
export function buildAutomaton(steps: readonly Step[], body: 'sequence' | 'all_of' | 'any_of'): Automaton {
  const isSet = body === 'all_of';
  const transitions = isSet ? lattice(steps.length) : chain(body === 'any_of' ? [] : steps);
  const shape: Shape = { steps, isSet, transitions };
  const states = isSet ? (1 << steps.length) - 1 : steps.length;
  const all = Array.from({ length: states }, (_, state) => state);
  const buckets = all.map((state) => bucketOf(shape, state));
  return {
    states,
    transitions: transitions
      .map((transition) => ({ ...transition, bucketJoin: buckets[transition.from]?.index ?? -1 }))
      .toSorted((a, b) => b.from - a.from || b.to - a.to),
    signatures: all.map((state) => signatureOf(shape, state)),
    gapMatters: all.map((state) =>
      transitions.some(({ from, step }) => from === state && steps[step]?.gapMs !== Number.POSITIVE_INFINITY),
    ),
    buckets: buckets.map((bucket) =>
      bucket === undefined ? undefined : ([bucket.join.other, bucket.join.otherField] as const),
    ),
  };
}
