/** All simple rules of an engine, in groups that share a key: an event finds its rows here. */
import type { Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { keyName } from './key.ts';
import type { RulePlan } from './plan.ts';
import { Evidence, type SimpleEntry } from './simple-evidence.ts';
import { SimpleGroup, type Touch, type Touches } from './simple-group.ts';
import { SimpleMemory } from './simple-memory.ts';
import { newRow, releaseRow, RowRunner, type RowOutcome, type SimpleRow } from './simple-row.ts';
import { isLow, reserve, sweep } from './simple-sweep.ts';
import { compact, isSpacious } from './simple-compact.ts';
import { LATE_SPAN_MS, type Completed } from './state.ts';

/** What came of one event in one row. */
export interface RowVisit {
  readonly row: SimpleRow;
  readonly entry: SimpleEntry;
  readonly touches: Touches;
  readonly completed: readonly { readonly touch: Touch; readonly completed: Completed }[];
  readonly unrepaired: boolean;
}

const NO_VISITS: readonly RowVisit[] = [];

/** Rows that have to go before memory is looked through for what they left; and so many times as many as are left. */
const MIN_DROPPED = 1_024;
const DROPPED_PER_ROW = 2;

export class SimpleRules {
  readonly memory = new SimpleMemory();
  readonly runner = new RowRunner(this.memory);
  private readonly groups: SimpleGroup[] = [];
  private readonly byName = new Map<string, SimpleGroup>();
  private readonly admit: (row: SimpleRow) => void;
  private newestAppendMs = Number.NEGATIVE_INFINITY;
  private rowCount = 0;
  /** Rows that have gone since memory was last looked through for it. */
  private dropped = 0;

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

  /** One event that fits these selections, in the order of arrival; what came of it where there is more than state. */
  process(call: Call, selections: readonly number[], watermarkMs: number): readonly RowVisit[] {
    let visits: RowVisit[] | undefined;
    for (const group of this.groups) {
      const touches = group.touches(selections);
      if (touches === undefined) continue;
      const row = this.rowOf(group, call);
      if (row === undefined) continue;
      row.usedMs = Math.max(watermarkMs, call.appendMs);
      row.horizonMs = Math.max(row.horizonMs, touches.horizonMs);
      const entry = this.enter(call, touches);
      const outcome = this.runner.apply(row, entry);
      if (outcome.completed.length === 0 && !outcome.unrepaired && row.begun === row.advanced) continue;
      (visits ??= []).push(this.visit(row, entry, outcome));
    }
    return visits ?? NO_VISITS;
  }

  /** The row is no longer held by any group. */
  drop(row: SimpleRow): void {
    row.group.drop(row);
    releaseRow(row, this.memory);
    this.rowCount--;
    this.dropped++;
  }

  /** Takes a row of a snapshot in. */
  adopt(row: SimpleRow): void {
    row.group.hold(row);
    this.rowCount++;
    this.admit(row);
  }

  private enter(call: Call, touches: Touches): number {
    this.newestAppendMs = Math.max(this.newestAppendMs, call.appendMs);
    // Before the event has a number: none that is in use changes, and what is being worked with is held by its row.
    if (isLow(this.memory)) sweep(this.memory, this.allRows(), this.newestAppendMs);
    else if (this.dropped > MIN_DROPPED && this.dropped > DROPPED_PER_ROW * this.rowCount) this.shrink();
    const { entries } = this.memory;
    const entry = entries.add(call, touches);
    call.keep(entries.kept, entry);
    return entry;
  }

  /** A flood has passed: gives back what it took. */
  private shrink(): void {
    this.dropped = 0;
    const inUse = sweep(this.memory, this.allRows(), this.newestAppendMs);
    if (!isSpacious(this.memory, inUse)) return;
    compact(this.memory, this.allRows());
    reserve(this.memory, inUse);
  }

  private visit(row: SimpleRow, entry: number, outcome: RowOutcome): RowVisit {
    const evidence = new Evidence(this.memory);
    return {
      row,
      entry: evidence.entry(entry),
      touches: this.memory.entries.touches[entry] as Touches,
      completed: outcome.completed.map((each) => ({
        touch: each.touch,
        completed: evidence.completed(each),
      })),
      unrepaired: outcome.unrepaired,
    };
  }

  private *allRows(): Generator<SimpleRow> {
    for (const group of this.groups) yield* group.allRows();
  }

  private rowOf(group: SimpleGroup, call: Call): SimpleRow | undefined {
    const name = group.nameOf(call);
    if (name === null) return undefined;
    const known = group.row(call.tenant, name);
    if (known !== undefined) return known;
    const row = newRow(group, call.tenant, group.keyTextOf(call) ?? '', name);
    row.usedMs = call.appendMs;
    group.hold(row);
    this.rowCount++;
    this.admit(row);
    return row;
  }
}

/** Ids of the rules that a row has begun. */
export function rulesHeld(row: SimpleRow, { cells }: SimpleMemory): ReadonlySet<string> {
  const firsts: number[] = [];
  for (let cell = row.cellAt; cell < row.cellAt + row.cellCount; cell++) {
    const state = cells.state(cell);
    if (state >= 0 && row.group.isFirst(state)) firsts.push(state);
  }
  return new Set(row.group.rulesFrom(firsts));
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
