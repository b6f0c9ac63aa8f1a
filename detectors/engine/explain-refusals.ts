/** Calls that fit a step of a rule and yet served none of its prefixes, each with the reason of the nearest prefix. */
import { durationWords, guardWords, joinWords } from '../compile/words.ts';
import { START, type Step } from '../compile/rule.ts';
import { explainedCall } from './explain-match.ts';
import type { ExplainedRefusal } from './explanation.ts';
import { joinHolds, refusalOf, type Entry, type Node, type Prefixes, type Refusal } from './prefixes.ts';
import { guardsOfSteps, type KeyState } from './state.ts';

/** The newest calls of a key that are told of. */
const MAX_REFUSED = 16;

interface Seen {
  readonly completed: boolean;
  /** Bits of the guards that keep the entry from a step. */
  readonly forbidden: number;
}

export class Refusals {
  private readonly state: KeyState;
  private readonly guardBits: readonly number[];
  private readonly refused: ExplainedRefusal[] = [];

  constructor(state: KeyState) {
    this.state = state;
    this.guardBits = guardsOfSteps(state.plan);
  }

  list(): readonly ExplainedRefusal[] {
    return this.refused.slice(-MAX_REFUSED);
  }

  /** An entry that has acted; `before` is what it found. */
  see(entry: Entry, before: Prefixes, { completed, forbidden }: Seen): void {
    if (completed || entry.stepMask === 0) return;
    const own: ExplainedRefusal[] = [];
    for (const step of this.state.plan.rule.steps) {
      if ((entry.stepMask & (1 << step.index)) === 0) continue;
      const refusal = this.ofGuard(entry, step, forbidden) ?? this.ofStep(entry, step, before);
      // It served as one step at least.
      if (refusal === undefined) return;
      own.push(refusal);
    }
    this.refused.push(...own);
  }

  private ofGuard(entry: Entry, step: Step, forbidden: number): ExplainedRefusal | undefined {
    const { rule } = this.state.plan;
    const bits = forbidden & (this.guardBits[step.index] ?? 0);
    const guard = rule.guards.find((_, index) => (bits & (1 << index)) !== 0);
    if (guard === undefined) return undefined;
    return { call: explainedCall(step.name, entry), reason: 'guard', detail: guardWords(rule, guard) };
  }

  private ofStep(entry: Entry, step: Step, before: Prefixes): ExplainedRefusal | undefined {
    const { rule } = this.state.plan;
    let nearest: { readonly node: Node; readonly reason: Refusal } | undefined;
    for (const { from, step: index } of rule.automaton.transitions) {
      if (index !== step.index) continue;
      if (from === START) return undefined;
      for (const node of heldIn(before, from)) {
        const reason = refusalOf({ plan: this.state.plan, entry, timeMs: entry.timeMs }, node, step);
        if (reason === null) return undefined;
        if (nearest === undefined || node.startMs > nearest.node.startMs) nearest = { node, reason };
      }
    }
    const call = explainedCall(step.name, entry);
    if (nearest === undefined) return { call, reason: 'nothing_before', detail: 'no step before it is met' };
    return { call, reason: nearest.reason, detail: this.detail(entry, step, nearest) };
  }

  private detail(
    entry: Entry,
    step: Step,
    { node, reason }: { readonly node: Node; readonly reason: Refusal },
  ): string {
    const { plan } = this.state;
    switch (reason) {
      case 'window':
        return `${durationWords(entry.timeMs - node.startMs)} after the first call, within is ${durationWords(plan.rule.withinMs)}`;
      case 'gap':
        return `${durationWords(entry.timeMs - node.lastMs)} after the call before, within is ${durationWords(step.gapMs)}`;
      case 'same_call':
        return 'the call serves another step';
      case 'join': {
        const planned = plan.joins[step.index] ?? [];
        const failed = step.joins.filter((_, at) => {
          const join = planned[at];
          return join !== undefined && !joinHolds(join, node, entry);
        });
        return `does not hold: ${failed.map((join) => joinWords(plan.rule, step.name, join)).join(', ')}`;
      }
    }
  }
}

function heldIn(prefixes: Prefixes, state: number): readonly Node[] {
  const held = prefixes[state];
  if (held === null || held === undefined) return [];
  return held instanceof Map ? [...held.values()].flat() : [held];
}
