/** States of rules that keep one of their own for each key, found by key and number of the rule. */
import type { RulePlan } from './plan.ts';
import { newKeyState, type KeyState } from './state.ts';

/** States of one key, by the number of the rule. */
interface Row {
  readonly states: (KeyState | undefined)[];
  count: number;
}

export class KeyStates {
  private readonly rows = new Map<string, Row>();

  /** The state of a rule for a key; undefined where there is none. */
  find(plan: RulePlan, tenant: string, keyText: string): KeyState | undefined {
    return this.rows.get(`${tenant}\0${keyText}`)?.states[plan.index];
  }

  add(plan: RulePlan, tenant: string, keyText: string): KeyState {
    const state = newKeyState(plan, tenant, keyText);
    this.hold(state);
    return state;
  }

  hold(state: KeyState): void {
    const known = this.rows.get(state.mapKey);
    const row = known ?? { states: [], count: 0 };
    if (known === undefined) this.rows.set(state.mapKey, row);
    row.states[state.plan.index] = state;
    row.count++;
  }

  drop(state: KeyState): void {
    const row = this.rows.get(state.mapKey);
    if (row === undefined) return;
    row.states[state.plan.index] = undefined;
    row.count--;
    if (row.count === 0) this.rows.delete(state.mapKey);
  }

  /** True while the state is held, and not another of the same rule and key. */
  has(state: KeyState): boolean {
    return this.rows.get(state.mapKey)?.states[state.plan.index] === state;
  }
}
