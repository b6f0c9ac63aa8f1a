/** All simple rules of an engine, in groups that share a key: an event finds its rows here. */
import type { Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { keyName } from './key.ts';
import type { RulePlan } from './plan.ts';
import { SimpleGroup } from './simple-group.ts';
import { SimpleEntry } from './simple-entry.ts';
import { applyToRow, newRow, type RowOutcome, type SimpleRow } from './simple-row.ts';
import { LATE_SPAN_MS } from './state.ts';

/** One event in one row, and what came of it. */
export interface RowVisit extends RowOutcome {
  readonly row: SimpleRow;
  readonly entry: SimpleEntry;
}

const NONE: readonly RowVisit[] = [];

export class SimpleRules {
  private readonly groups: SimpleGroup[] = [];
  private readonly byName = new Map<string, SimpleGroup>();
  private readonly admit: (row: SimpleRow) => void;

  /** `admit` counts a new row in; it may give up another. */
  constructor(admit: (row: SimpleRow) => void) {
    this.admit = admit;
  }

  add(plan: RulePlan, numberOf: (step: Step) => number): void {
    const name = keyName(plan.rule) ?? '';
    let group = this.byName.get(name);
    if (group === undefined) {
      group = new SimpleGroup(name, plan.rule);
      this.byName.set(name, group);
      this.groups.push(group);
    }
    group.add(plan, numberOf);
  }

  groupOf(name: string): SimpleGroup | undefined {
    return this.byName.get(name);
  }

  /** One event that fits these selections, in the order of arrival. */
  process(call: Call, selections: readonly number[], watermarkMs: number): readonly RowVisit[] {
    let visits: RowVisit[] | undefined;
    for (const group of this.groups) {
      const touches = group.touches(selections);
      if (touches === undefined) continue;
      const row = this.rowOf(group, call);
      if (row === undefined) continue;
      row.usedMs = Math.max(watermarkMs, call.appendMs);
      row.horizonMs = Math.max(row.horizonMs, touches.horizonMs);
      const entry = new SimpleEntry(call, call.keep(), touches);
      (visits ??= []).push({ row, entry, ...applyToRow(row, entry) });
    }
    return visits ?? NONE;
  }

  private rowOf(group: SimpleGroup, call: Call): SimpleRow | undefined {
    const name = group.nameOf(call);
    if (name === null) return undefined;
    const known = group.row(call.tenant, name);
    if (known !== undefined) return known;
    const row = newRow(group, call.tenant, group.keyTextOf(call) ?? '', name);
    row.usedMs = call.appendMs;
    group.hold(row);
    this.admit(row);
    return row;
  }
}

/** Watermark after which a row says nothing any more. */
export function rowExpiresAtMs(row: SimpleRow, waitMs: number): number {
  let expires = row.usedMs + row.horizonMs + waitMs + LATE_SPAN_MS;
  row.fired.forEach((fired, rule) => {
    const policy = row.group.plans[rule]?.rule.afterMatch;
    if (fired === undefined || policy?.kind !== 'once_per') return;
    for (const firedMs of fired.values())
      expires = Math.max(expires, firedMs + policy.forMs + waitMs + LATE_SPAN_MS);
  });
  return expires;
}
