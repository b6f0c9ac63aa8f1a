/** The rules that keep a state of their own for each key: which of them an event concerns, and by which steps. */
import type { CompiledRule, Selection } from '../compile/rule.ts';
import { keyName } from './key.ts';
import type { RulePlan } from './plan.ts';

/** What an event of a selection means to a rule. */
interface Part {
  readonly candidate: Candidate;
  stepBits: number;
  guardBits: number;
  /** Values are followed from or to its bodies. */
  followed: boolean;
}
/** A rule that keeps a state of its own for each key. */
export interface Candidate {
  readonly plan: RulePlan;
  readonly exceptions: readonly { readonly name: string; readonly selection: number }[];
  readonly guarded: boolean;
  /** Number of the key's fields where all steps and guards share them, -1 where the key depends on the step. */
  readonly keyNumber: number;
  readonly waitMs: number;
  /** Of the event at hand. */
  stepMask: number;
  guardMask: number;
}

export class Candidates {
  /** By number of the rule; undefined where it is simple. */
  private readonly byRule: (Candidate | undefined)[] = [];
  /** By number of a selection: the rules that it is a part of. */
  private readonly parts: Part[][] = [];
  private readonly touched: Candidate[] = [];

  get isEmpty(): boolean {
    return this.byRule.length === 0;
  }

  of(rule: number): Candidate | undefined {
    return this.byRule[rule];
  }

  /** Takes in a rule; `numberOf` gives the engine's number of a selection. */
  add(
    plan: RulePlan,
    { keyNumber, waitMs }: Pick<Candidate, 'keyNumber' | 'waitMs'>,
    numberOf: (selection: Selection) => number,
  ): void {
    const { rule } = plan;
    const candidate: Candidate = {
      plan,
      exceptions: rule.exceptions.map(({ name, selection }) => ({ name, selection: numberOf(selection) })),
      guarded: rule.guards.length > 0,
      keyNumber,
      waitMs,
      stepMask: 0,
      guardMask: 0,
    };
    this.byRule[plan.index] = candidate;
    for (const step of rule.steps) {
      const part = this.partOf(numberOf(step.selection), candidate);
      part.stepBits |= 1 << step.index;
      part.followed ||= plan.askedOf.some(
        (bits, at) => plan.isFlow[at] === true && (bits & (1 << step.index)) !== 0,
      );
    }
    rule.guards.forEach((guard, at) => {
      this.partOf(numberOf(guard.selection), candidate).guardBits |= 1 << at;
    });
  }

  /**
   * The rules that an event of these selections concerns, with their masks, in the order of the rules whatever the order
   * of the selections. Of a part of a long body (`isPart`) only what reads bodies or follows values from them hears. The
   * list is used again for the next event.
   */
  gather(
    selections: readonly number[],
    isPart: boolean,
    readsBody: (selection: number) => boolean,
  ): readonly Candidate[] {
    const { touched } = this;
    touched.length = 0;
    for (const selection of selections) {
      const parts = this.parts[selection];
      if (parts === undefined) continue;
      for (const { candidate, stepBits, guardBits, followed } of parts) {
        if (isPart && !followed && !readsBody(selection)) continue;
        if (candidate.stepMask === 0 && candidate.guardMask === 0) touched.push(candidate);
        candidate.stepMask |= stepBits;
        candidate.guardMask |= guardBits;
      }
    }
    if (touched.length > 1) touched.sort((a, b) => a.plan.index - b.plan.index);
    return touched;
  }

  private partOf(selection: number, candidate: Candidate): Part {
    const parts = (this.parts[selection] ??= []);
    const known = parts.find((part) => part.candidate === candidate);
    if (known !== undefined) return known;
    const made: Part = { candidate, stepBits: 0, guardBits: 0, followed: false };
    parts.push(made);
    return made;
  }
}

/** Number of the fields that make the rule's key, where every step and guard takes the same; else -1. */
export function keyNumberOf(rule: CompiledRule, numbers: Map<string, number>): number {
  const name = keyName(rule);
  if (name === undefined) return -1;
  const known = numbers.get(name) ?? numbers.size;
  numbers.set(name, known);
  return known;
}
