/**
 * Simple rules: a plain sequence inside a window, without comparisons, gaps, guards or exceptions. For them the latest
 * start of each state is all there is to know, and the first step's is simply the newest event that fits its selection.
 * Rules of one key share it, and one row of state; here is worked out, for each selection, what an event of it touches.
 */
import type { CompiledRule, Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { keyTextOf } from './key.ts';
import { NONE } from './simple-memory.ts';
import type { RulePlan } from './plan.ts';
import type { SimpleRow } from './simple-row.ts';

/** An event standing for a step of a rule. */
export interface Touch {
  readonly plan: RulePlan;
  /** Position of the rule in its group. */
  readonly rule: number;
  readonly step: number;
  /** State that it extends: the newest event of a first step, or a prefix. NONE where it is the only step. */
  readonly from: number;
  readonly fromFirst: boolean;
  /** State that it leads to; NONE where it completes the rule. */
  readonly to: number;
  readonly withinMs: number;
}

/** The same before it is known how many first steps there are: prefixes are numbered after them. */
interface Part extends Omit<Touch, 'from' | 'to'> {
  readonly first: number;
  readonly fromPrefix: number;
  readonly toPrefix: number;
}

/** All that an event touches, by the selections that it fits. */
export interface Touches {
  /** Numbers of the selections, as the engine has them. */
  readonly selections: readonly number[];
  /** Later steps before earlier ones: a call serves one step of an assignment. */
  readonly later: readonly Touch[];
  /** States of the selections that are some rule's first step. */
  readonly firsts: readonly number[];
  /** How long the newest event of a first step matters, ms. */
  readonly horizonMs: number;
}

const NOTHING = Symbol('nothing');

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
  /** The tenant asked for last, undefined once its rows may be others, and its rows. */
  private lastTenant: string | undefined;
  private lastRows: Map<string, SimpleRow> | undefined;
  /** By state their numbers in the engine: selections that are first steps, the newest event of each is a state. */
  readonly firstSelections: number[] = [];
  /** States beyond, numbered after those: prefixes of a rule that end in its step `state`. */
  readonly prefixes: { readonly plan: RulePlan; readonly rule: number; readonly state: number }[] = [];
  private readonly partsOf = new Map<number, Part[]>();
  private readonly horizons: number[] = [];
  /** By rule the number of its first step's selection. */
  private readonly firstOfRule: number[] = [];
  private readonly combined = new Map<string, Touches>();
  /** The same by the list itself: lists that the index gives again and again. */
  private readonly byList = new WeakMap<readonly number[], Touches | typeof NOTHING>();

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
    if (tenant !== this.lastTenant) {
      this.lastTenant = tenant;
      this.lastRows = this.rows.get(tenant);
    }
    return this.lastRows?.get(name);
  }

  hold(row: SimpleRow): void {
    const own = this.rows.get(row.tenant);
    this.lastTenant = undefined;
    if (own === undefined) this.rows.set(row.tenant, new Map([[row.name, row]]));
    else own.set(row.name, row);
  }

  drop(row: SimpleRow): void {
    const own = this.rows.get(row.tenant);
    if (own?.delete(row.name) !== true || own.size > 0) return;
    this.rows.delete(row.tenant);
    this.lastTenant = undefined;
  }

  *allRows(): Generator<SimpleRow> {
    for (const own of this.rows.values()) yield* own.values();
  }

  isFirst(state: number): boolean {
    return state < this.firstSelections.length;
  }

  /** How long after its start a state matters, ms. */
  horizonOf(state: number): number {
    if (this.isFirst(state)) return this.horizons[state] ?? 0;
    return this.prefixes[state - this.firstSelections.length]?.plan.rule.withinMs ?? 0;
  }

  /** State of the prefixes of a rule (by hash) that end in a step; undefined where there is none. */
  prefixState(hash: string, step: number): number | undefined {
    const at = this.prefixes.findIndex(({ plan, state }) => plan.rule.hash === hash && state === step);
    return at < 0 ? undefined : this.firstSelections.length + at;
  }

  /** Ids of the rules that an event stands for a step of. */
  rulesOf({ later, firsts }: Touches): ReadonlySet<string> {
    return new Set([...later.map(({ plan }) => plan.rule.id), ...this.rulesFrom(firsts)]);
  }

  /** Ids of the rules that begin with these states. */
  rulesFrom(firsts: readonly number[]): string[] {
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
    let before = NONE;
    steps.forEach((step, index) => {
      const completes = index === steps.length - 1;
      if (index === 0 && !completes) return;
      const toPrefix = completes ? NONE : this.prefixes.push({ plan, rule, state: index }) - 1;
      const parts = { fromFirst: index === 1, first, fromPrefix: before, toPrefix };
      before = toPrefix;
      const number = numberOf(step);
      const part: Part = { plan, rule, step: index, withinMs, ...parts };
      this.partsOf.set(number, [...(this.partsOf.get(number) ?? []), part]);
    });
  }

  /** What an event that fits these selections touches; undefined when nothing. */
  touches(selections: readonly number[]): Touches | undefined {
    let known = this.byList.get(selections);
    if (known === undefined) {
      known = this.combination(selections) ?? NOTHING;
      this.byList.set(selections, known);
    }
    return known === NOTHING ? undefined : known;
  }

  private combination(selections: readonly number[]): Touches | undefined {
    const own = selections.filter(
      (number) => this.partsOf.has(number) || this.firstSelections.includes(number),
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
      .flatMap((number) => this.partsOf.get(number) ?? [])
      .toSorted((a, b) => a.rule - b.rule || b.step - a.step)
      .map((part) => this.touchOf(part));
    const firsts = selections.flatMap((number) => {
      const first = this.firstSelections.indexOf(number);
      return first < 0 || this.horizons[first] === 0 ? [] : [first];
    });
    const horizonMs = Math.max(0, ...firsts.map((first) => this.horizons[first] ?? 0));
    return { selections, later, firsts, horizonMs };
  }

  private touchOf({ first, fromPrefix, toPrefix, ...part }: Part): Touch {
    const stateOf = (prefix: number): number =>
      prefix === NONE ? NONE : this.firstSelections.length + prefix;
    return { ...part, from: part.fromFirst ? first : stateOf(fromPrefix), to: stateOf(toPrefix) };
  }

  private firstNumber(selection: number, withinMs: number): number {
    const known = this.firstSelections.indexOf(selection);
    const at = known >= 0 ? known : this.firstSelections.push(selection) - 1;
    this.horizons[at] = Math.max(this.horizons[at] ?? 0, withinMs);
    return at;
  }
}
