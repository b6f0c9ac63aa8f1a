/**
 * Simple rules: a plain sequence inside a window, without comparisons, gaps, guards or exceptions. For them the latest
 * start of each state is all there is to know, and the first step's is simply the newest event that fits its selection.
 * Rules of one key share it, and one row of state; here is worked out, for each selection, what an event of it touches.
 */
import type { CompiledRule, Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { keyTextOf } from './key.ts';
import type { RulePlan } from './plan.ts';
import type { SimpleRow } from './simple-row.ts';

/** An event standing for a step of a rule. */
export interface Touch {
  readonly plan: RulePlan;
  /** Position of the rule in its group. */
  readonly rule: number;
  readonly step: number;
  /** Number of the selection whose newest event is the first step, where this is the second; else -1. */
  readonly afterFirst: number;
  /** State that it extends and state that it leads to; -1 where there is none. */
  readonly from: number;
  readonly to: number;
  readonly withinMs: number;
}

/** All that an event touches, by the selections that it fits. */
export interface Touches {
  /** Numbers of the selections, as the engine has them. */
  readonly selections: readonly number[];
  /** Later steps before earlier ones: a call serves one step of an assignment. */
  readonly later: readonly Touch[];
  /** Selections that are some rule's first step, as numbers of the group. */
  readonly firsts: readonly number[];
  /** How long the newest event of a first step matters, ms. */
  readonly horizonMs: number;
}

/** Combinations of selections that are kept; which ones occur is up to whoever writes events. */
const MAX_COMBINATIONS = 4_096;

export function isSimple(rule: CompiledRule, plan: RulePlan): boolean {
  return (
    rule.body === 'sequence' &&
    plan.single &&
    !plan.comparing &&
    rule.guards.length === 0 &&
    rule.exceptions.length === 0 &&
    rule.steps.every((step) => !step.optional)
  );
}

export class SimpleGroup {
  /** What the key of its rules reads. */
  readonly name: string;
  readonly plans: RulePlan[] = [];
  /** One of its rules: for their key all are the same. */
  readonly rule: CompiledRule;
  /** By tenant, then by name: the value of the key where it has one field, else the text of all. */
  private readonly rows = new Map<string, Map<string, SimpleRow>>();
  /** Selections that are first steps, by their number here: their numbers in the engine. */
  readonly firstSelections: number[] = [];
  readonly states: { readonly plan: RulePlan; readonly rule: number; readonly state: number }[] = [];
  private readonly touchesOf = new Map<number, Touch[]>();
  private readonly horizons: number[] = [];
  /** By rule the number of its first step's selection. */
  private readonly firstOfRule: number[] = [];
  private readonly combined = new Map<string, Touches>();

  /** The one field of the key where it has one; such a key needs no text made of it. */
  private readonly onlyField: string | undefined;

  constructor(name: string, rule: CompiledRule) {
    this.name = name;
    this.rule = rule;
    const [part] = rule.key;
    const entry = part?.fields.get(rule.steps[0]?.keyName ?? '');
    this.onlyField = rule.key.length === 1 && entry?.optional === false ? entry.field : undefined;
  }

  /** Name of the call's row; null where the key lacks a value. */
  nameOf(call: Call): string | null {
    return this.onlyField === undefined ? this.keyTextOf(call) : call.value(this.onlyField);
  }

  keyTextOf(call: Call): string | null {
    return keyTextOf(this.rule, call, this.rule.steps[0]?.keyName ?? '');
  }

  row(tenant: string, name: string): SimpleRow | undefined {
    return this.rows.get(tenant)?.get(name);
  }

  hold(row: SimpleRow): void {
    const own = this.rows.get(row.tenant);
    if (own === undefined) this.rows.set(row.tenant, new Map([[row.name, row]]));
    else own.set(row.name, row);
  }

  drop(row: SimpleRow): void {
    const own = this.rows.get(row.tenant);
    if (own?.delete(row.name) === true && own.size === 0) this.rows.delete(row.tenant);
  }

  /** How long the newest event of a first step matters, ms. */
  horizonOf(first: number): number {
    return this.horizons[first] ?? 0;
  }

  /** Ids of the rules that an event stands for a step of. */
  rulesOf({ later, firsts }: Touches): ReadonlySet<string> {
    return new Set([...later.map(({ plan }) => plan.rule.id), ...this.rulesFrom(firsts)]);
  }

  /** Ids of the rules that a row has begun. */
  rulesHeld(row: SimpleRow): ReadonlySet<string> {
    return new Set(this.rulesFrom(row.byAppend.firstNumbers));
  }

  private rulesFrom(firsts: readonly number[]): string[] {
    return this.plans.flatMap((plan, rule) =>
      firsts.includes(this.firstOfRule[rule] ?? -1) ? [plan.rule.id] : [],
    );
  }

  /** Takes in a rule; `numberOf` gives the engine's number of a selection. */
  add(plan: RulePlan, numberOf: (step: Step) => number): void {
    const rule = this.plans.push(plan) - 1;
    const { steps, withinMs } = plan.rule;
    const first = this.firstNumber(numberOf(steps[0] as Step), steps.length > 1 ? withinMs : 0);
    this.firstOfRule[rule] = first;
    let before = -1;
    steps.forEach((step, index) => {
      const completes = index === steps.length - 1;
      if (index === 0 && !completes) return;
      const to = completes ? -1 : this.states.push({ plan, rule, state: index }) - 1;
      const afterFirst = index === 1 ? first : -1;
      const touch: Touch = { plan, rule, step: index, afterFirst, from: before, to, withinMs };
      before = to;
      const number = numberOf(step);
      this.touchesOf.set(number, [...(this.touchesOf.get(number) ?? []), touch]);
    });
  }

  /** What an event that fits these selections touches; undefined when nothing. */
  touches(selections: readonly number[]): Touches | undefined {
    const own = selections.filter(
      (number) => this.touchesOf.has(number) || this.firstSelections.includes(number),
    );
    if (own.length === 0) return undefined;
    const name = own.join(',');
    const known = this.combined.get(name);
    if (known !== undefined) return known;
    const made = this.combine(own);
    if (this.combined.size < MAX_COMBINATIONS) this.combined.set(name, made);
    return made;
  }

  private combine(selections: readonly number[]): Touches {
    const later = selections
      .flatMap((number) => this.touchesOf.get(number) ?? [])
      .toSorted((a, b) => a.rule - b.rule || b.step - a.step);
    const firsts = selections.flatMap((number) => {
      const first = this.firstSelections.indexOf(number);
      return first < 0 || this.horizons[first] === 0 ? [] : [first];
    });
    const horizonMs = Math.max(0, ...firsts.map((first) => this.horizons[first] ?? 0));
    return { selections, later, firsts, horizonMs };
  }

  private firstNumber(selection: number, withinMs: number): number {
    const known = this.firstSelections.indexOf(selection);
    const at = known >= 0 ? known : this.firstSelections.push(selection) - 1;
    this.horizons[at] = Math.max(this.horizons[at] ?? 0, withinMs);
    return at;
  }
}
