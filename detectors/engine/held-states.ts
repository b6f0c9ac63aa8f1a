/**
 * All states that an engine holds, of single rules and rows of simple ones: counted against the budget, let go when they
 * expire or room is needed, and the timers that point to them.
 */
import { Budget } from './budget.ts';
import type { Candidate } from './candidates.ts';
import { KeyStates } from './key-states.ts';
import type { RulePlan } from './plan.ts';
import type { SimpleRow } from './simple-row.ts';
import { rowExpiresAtMs, rulesHeld, type SimpleRules } from './simple-rules.ts';
import { expiresAtMs, type KeyState } from './state.ts';
import { ExpiryWheel, TimerHeap } from './timers.ts';

export interface HeldOptions {
  readonly lateWaitMs: number;
  readonly maxStates: number;
  readonly maxStatesPerTenant: number;
  readonly inspected?: boolean;
}

/** What the states belong to. */
export interface HeldBy {
  readonly simple: SimpleRules;
  readonly candidateOf: (state: KeyState) => Candidate;
  /** A state of this rule and tenant had to go for another. */
  readonly onEvicted: (ruleId: string, tenant: string) => void;
}

export class HeldStates {
  readonly budget: Budget<KeyState | SimpleRow>;
  readonly due = new TimerHeap<KeyState>();
  private readonly options: HeldOptions;
  private readonly by: HeldBy;
  private readonly keyed = new KeyStates();
  private readonly expiry = new ExpiryWheel<KeyState | SimpleRow>();
  /** States given up since timers were last cleared, whose timers may still stand in `due`. */
  private timersOfDropped = 0;

  constructor(options: HeldOptions, by: HeldBy) {
    this.options = options;
    this.by = by;
    this.budget = new Budget(options.maxStates, options.maxStatesPerTenant);
  }

  /** The state of a rule for a key; undefined where there is none. */
  find(plan: RulePlan, tenant: string, keyText: string): KeyState | undefined {
    return this.keyed.find(plan, tenant, keyText);
  }

  /** A new state of a rule for a key. */
  open(
    plan: RulePlan,
    {
      tenant,
      keyText,
      watermarkMs,
    }: { readonly tenant: string; readonly keyText: string; readonly watermarkMs: number },
  ): KeyState {
    const state = this.keyed.add(plan, tenant, keyText);
    state.usedMs = watermarkMs;
    this.admit(state);
    return state;
  }

  /** Takes a state of a snapshot in. */
  adopt(state: KeyState): void {
    this.keyed.hold(state);
    this.admit(state);
  }

  /** Counts a new state in, and the least advanced one of the tenant that uses most out where the budget is spent. */
  admit(held: KeyState | SimpleRow): void {
    const evicted = this.budget.add(held);
    if (evicted !== undefined) {
      // What it holds is asked before it is given back.
      const ids = 'group' in evicted ? rulesHeld(evicted, this.by.simple.memory) : [evicted.plan.rule.id];
      this.drop(evicted);
      this.forget(evicted);
      for (const id of ids) this.by.onEvicted(id, evicted.tenant);
    }
    this.expiry.add(this.expiresMs(held), held);
  }

  /** Lets go of all that has expired by this watermark. */
  expire(watermarkMs: number): void {
    this.expiry.advance(watermarkMs, (held) => this.look(held));
  }

  /** True while the state is held, and not another of the same rule and key. */
  isLive(held: KeyState | SimpleRow): boolean {
    if ('group' in held) return held.group.row(held.tenant, held.name) === held;
    return this.keyed.has(held);
  }

  private drop(held: KeyState | SimpleRow): void {
    if ('group' in held) this.by.simple.drop(held);
    else this.keyed.drop(held);
  }

  /** Lets go of what still points to a state that was given up. */
  private forget(held: KeyState | SimpleRow): void {
    this.expiry.remove(held);
    if ('group' in held || !this.by.candidateOf(held).guarded) return;
    if (++this.timersOfDropped <= this.budget.size) return;
    this.timersOfDropped = 0;
    this.due.retain((state) => this.isLive(state));
  }

  private expiresMs(held: KeyState | SimpleRow): number {
    if ('group' in held) return rowExpiresAtMs(held, this.options.lateWaitMs);
    return expiresAtMs(held, this.by.candidateOf(held).waitMs);
  }

  /** A state whose slot has passed: it was used since, or it goes. */
  private look(held: KeyState | SimpleRow): void {
    if (this.options.inspected === true || !this.isLive(held)) return;
    const expiresMs = this.expiresMs(held);
    if (!this.expiry.isOver(expiresMs)) this.expiry.add(expiresMs, held);
    else {
      this.drop(held);
      this.budget.remove(held);
    }
  }
}
