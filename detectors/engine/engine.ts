/**
 * The matcher: events of one partition (stage one) or one released order of facts (stage two) in, matches out. Pure: it
 * knows no clock but the watermark that it is given, so that the same records repeat every decision.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import type { CompiledRule, Selection, Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { Budget } from './budget.ts';
import { keyName, keyNames, keyTextOf } from './key.ts';
import { applyMeasures } from './measures.ts';
import { planRule, type RulePlan } from './plan.ts';
import { PredicateIndex } from './predicate-index.ts';
import { holdsAdvanced, type Entry, type FieldValue } from './prefixes.ts';
import { isSimple, type SimpleGroup } from './simple-group.ts';
import type { SimpleRow } from './simple-row.ts';
import { rowExpiresAtMs, rulesHeld, SimpleRules, type RowVisit } from './simple-rules.ts';
import {
  applyPositive,
  decideGuarded,
  expiresAtMs,
  insertGuarded,
  isGuardedAdvanced,
  newKeyState,
  passesPolicy,
  pruneGuarded,
  settlesAtMs,
  type Completed,
  type KeyState,
} from './state.ts';
import { ExpiryWheel, TimerHeap } from './timers.ts';

export interface EngineOptions {
  /** How long a decision about an absence waits for late events, ms. */
  readonly lateWaitMs: number;
  /** States in all, and for one tenant; beyond them the least advanced go, counted. */
  readonly maxStates: number;
  readonly maxStatesPerTenant: number;
  /** For explanations: every rule keeps a state of its own for each key, and no state expires. */
  readonly inspected?: boolean;
}

/** A completed assignment that is to be told. */
export interface Match {
  readonly kind: 'match';
  readonly rule: CompiledRule;
  readonly tenant: string;
  /** Values of the rule's key as JSON, and by name. */
  readonly keyText: string;
  readonly completed: Completed;
  /** Watermark at which it was decided, Unix ms: the append time of its call, or when an absence was certain. */
  readonly decidedMs: number;
  /** Name of the exception that it falls under: told in mode shadow. */
  readonly exception?: string;
}

export type DegradedReason =
  'states_evicted' | 'prefixes_evicted' | 'events_evicted' | 'late_unrepaired' | 'values_left_out';
/** The engine had to give something up: a chain of this rule and tenant may be missed. */
export interface Degraded {
  readonly kind: 'degraded';
  readonly ruleId: string;
  readonly tenant: string;
  readonly reason: DegradedReason;
  /** The event at which the count passed the threshold. */
  readonly entry: Pick<Entry, 'reference' | 'timeMs'>;
}
export type Finding = Match | Degraded;

/** What an event of a selection means to a rule. */
interface Part {
  readonly candidate: Candidate;
  stepBits: number;
  guardBits: number;
  /** Values are followed from or to its bodies. */
  followed: boolean;
}
/** A rule that keeps a state of its own for each key. */
interface Candidate {
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

/** States of one key, by the number of the rule. */
interface Row {
  readonly states: (KeyState | undefined)[];
  count: number;
}

/** One report an hour of watermark for a rule, tenant and reason. */
const REPORT_EVERY_MS = 3_600_000;
const MAX_REPORTS = 4_096;

export class Engine {
  readonly rules: readonly CompiledRule[];
  readonly options: EngineOptions;
  watermarkMs = Number.NEGATIVE_INFINITY;
  /** Counts since the start of this life, for metrics. */
  readonly counts = { events: 0, probes: 0, evictions: 0, findings: 0 };
  /**
   * Told of every assignment of a rule with an action, thinned or not: that a rule has spoken already is no reason to let
   * the next call through that completes it.
   */
  onCompleted: ((rule: CompiledRule, completed: Completed) => void) | undefined;
  /** Watermark of the last report by rule, tenant, reason. */
  readonly reported = new Map<string, number>();

  private readonly index = new PredicateIndex();
  private readonly plans: readonly RulePlan[];
  /** By number of the rule; undefined where it is simple. */
  private readonly candidates: (Candidate | undefined)[] = [];
  /** By number of a selection: the rules that it is a part of. */
  private readonly parts: Part[][] = [];
  private readonly simple: SimpleRules;
  private readonly touched: Candidate[] = [];
  private stamp = 0;
  private readonly rows = new Map<string, Row>();
  /** Key texts of the event at hand by number of the key's fields, null where a value is missing. */
  private readonly keyTexts: (string | null)[] = [];
  private readonly keyStamps: number[] = [];
  private sharedEntry: Entry | undefined;
  private sharedStamp = -1;
  private readonly due = new TimerHeap<KeyState>();
  private readonly expiry = new ExpiryWheel<KeyState | SimpleRow>();
  private readonly budget: Budget<KeyState | SimpleRow>;
  /** States given up since timers were last cleared, whose timers may still stand in `due`. */
  private timersOfDropped = 0;
  private findings: Finding[] = [];
  private degradedNow: { reason: DegradedReason; ruleId: string; tenant: string }[] = [];
  private currentTenant = '';

  constructor(rules: readonly CompiledRule[], options: EngineOptions) {
    this.rules = rules;
    this.options = options;
    this.budget = new Budget(options.maxStates, options.maxStatesPerTenant);
    this.simple = new SimpleRules((row) => this.admit(row));
    const keyNumbers = new Map<string, number>();
    this.plans = rules.map((rule, index) =>
      planRule(rule, index, {
        onEvicted: () => this.degrade('prefixes_evicted', rule.id, this.currentTenant),
        onLeftOut: () => this.degrade('values_left_out', rule.id, this.currentTenant),
      }),
    );
    for (const plan of this.plans) this.enrol(plan, keyNumbers);
  }

  private enrol(plan: RulePlan, keyNumbers: Map<string, number>): void {
    const { rule } = plan;
    const keyNumber = keyNumberOf(rule, keyNumbers);
    const numberOf = (selection: Selection): number => {
      const number = this.index.add(selection);
      this.parts[number] ??= [];
      return number;
    };
    if (keyNumber >= 0 && this.options.inspected !== true && isSimple(rule, plan)) {
      this.simple.add(plan, (step) => numberOf(step.selection));
      return;
    }
    const candidate: Candidate = {
      plan,
      exceptions: rule.exceptions.map(({ name, selection }) => ({ name, selection: numberOf(selection) })),
      guarded: rule.guards.length > 0,
      keyNumber,
      waitMs: rule.lateWaitMs ?? this.options.lateWaitMs,
      stepMask: 0,
      guardMask: 0,
    };
    this.candidates[plan.index] = candidate;
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

  private partOf(selection: number, candidate: Candidate): Part {
    const parts = this.parts[selection] as Part[];
    const known = parts.find((part) => part.candidate === candidate);
    if (known !== undefined) return known;
    const made: Part = { candidate, stepBits: 0, guardBits: 0, followed: false };
    parts.push(made);
    return made;
  }

  /** True when some rule could match an event of this kind and class: others need not be built. */
  concerns(kind: string, toolClass: string): boolean {
    return this.index.concerns(kind, toolClass);
  }

  /** Next watermark at which something will be decided; undefined when nothing waits. */
  nextDueMs(): number | undefined {
    return this.due.nextDueMs();
  }

  stateCount(): number {
    return this.budget.size;
  }

  /**
   * Moves the watermark (never back) and decides all that is due, each at its own time: how far apart the records of a
   * partition lie must not decide what is known, or told first. Call it before the events of the record that moved it.
   */
  advance(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return;
    while (this.decideNext(watermarkMs));
    this.watermarkMs = watermarkMs;
    this.expiry.advance(watermarkMs, (held) => this.expire(held));
  }

  /** Decides what is due next, all of one time; false when nothing is due at this watermark. */
  decideNext(watermarkMs: number): boolean {
    const dueMs = this.due.nextDueMs();
    if (dueMs === undefined || dueMs > watermarkMs) return false;
    this.watermarkMs = Math.max(this.watermarkMs, dueMs);
    for (let state = this.due.pop(dueMs); state !== undefined; state = this.due.pop(dueMs))
      this.decide(state);
    return true;
  }

  /** One event, in the order of its partition. */
  process(call: Call): void {
    this.counts.events++;
    const selections = this.index.match(call);
    this.counts.probes = this.index.probes;
    if (selections.length === 0) return;
    this.stamp++;
    this.currentTenant = call.tenant;
    const isPart = call.continues === true;
    this.processSimple(call, isPart ? selections.filter((number) => this.readsBody(number)) : selections);
    if (this.candidates.length === 0) return;
    this.gather(selections, isPart);
    // In the order of the rules, whatever the order of their selections.
    if (this.touched.length > 1) this.touched.sort((a, b) => a.plan.index - b.plan.index);
    for (const candidate of this.touched) this.enter(candidate, call, selections);
    this.touched.length = 0;
  }

  private processSimple(call: Call, selections: readonly number[]): void {
    for (const told of this.simple.process(call, selections, this.watermarkMs)) this.takeRow(told);
  }

  private takeRow({ row, entry, touches, completed, unrepaired }: RowVisit): void {
    for (const { touch, completed: each } of completed) {
      this.completes(touch.plan, each);
      const memory = { plan: touch.plan, fired: row.fired[touch.rule] ?? null };
      if (passesPolicy(memory, each)) this.found(touch.plan, row, each);
      if (memory.fired !== null) row.fired[touch.rule] = memory.fired;
      row.begun ||= memory.fired !== null;
    }
    if (unrepaired) {
      for (const id of row.group.rulesOf(touches)) this.degrade('late_unrepaired', id, row.tenant);
    }
    if (row.begun !== row.advanced) {
      row.advanced = row.begun;
      this.budget.move(row);
    }
    this.report(entry);
  }

  /** Masks of the rules that keep states of their own. */
  private gather(selections: readonly number[], isPart: boolean): void {
    for (const selection of selections) {
      for (const { candidate, stepBits, guardBits, followed } of this.parts[selection] as Part[]) {
        if (isPart && !followed && !this.readsBody(selection)) continue;
        if (candidate.stepMask === 0 && candidate.guardMask === 0) this.touched.push(candidate);
        candidate.stepMask |= stepBits;
        candidate.guardMask |= guardBits;
      }
    }
  }

  private readsBody(selection: number): boolean {
    return this.index.selections[selection]?.readsBody === true;
  }

  /** Findings since the last call, in order. */
  take(): readonly Finding[] {
    const { findings } = this;
    if (findings.length > 0) this.findings = [];
    return findings;
  }

  private enter(candidate: Candidate, call: Call, selections: readonly number[]): void {
    const { plan, keyNumber, stepMask, guardMask } = candidate;
    candidate.stepMask = 0;
    candidate.guardMask = 0;
    if (keyNumber >= 0) {
      const keyText = this.sharedKeyText(candidate, call);
      if (keyText === null) return;
      const fit: Fit = { call, selections, keyText, stepMask, guardMask };
      this.keep(candidate, fit, this.entryFor(candidate, fit));
      return;
    }
    // One selection name may stand for several keys: steps whose key differs are entered each under its own.
    for (const group of keyGroups(plan.rule, call, stepMask, guardMask)) {
      const fit: Fit = { call, selections, ...group };
      this.keep(candidate, fit, this.entryFor(candidate, fit));
    }
  }

  /**
   * The event as a rule keeps it. Most are first steps of many rules at once: where nothing in the entry is the rule's
   * own (no compared values, and it can complete nothing, so `alerted` stays null) the rules share one.
   */
  private entryFor(candidate: Candidate, fit: Fit): Entry {
    const { plan, exceptions } = candidate;
    const completes = (fit.stepMask & plan.completingMask) !== 0;
    if (plan.comparing || fit.guardMask !== 0 || completes) {
      const entry = entryOf(plan, fit);
      if (!completes || exceptions.length === 0) return entry;
      const names = exceptions.flatMap(({ name, selection }) =>
        fit.selections.includes(selection) ? [name] : [],
      );
      return names.length === 0 ? entry : { ...entry, excepted: names };
    }
    const shared = this.sharedEntry;
    if (this.sharedStamp === this.stamp && shared?.stepMask === fit.stepMask) return shared;
    this.sharedStamp = this.stamp;
    return (this.sharedEntry = entryOf(plan, fit));
  }

  /** Key text of the call, worked out once an event for all rules that share the key's fields. */
  private sharedKeyText(candidate: Candidate, call: Call): string | null {
    const { plan, keyNumber } = candidate;
    if (this.keyStamps[keyNumber] !== this.stamp) {
      this.keyStamps[keyNumber] = this.stamp;
      this.keyTexts[keyNumber] = keyTextOf(plan.rule, call, (plan.rule.steps[0] as Step).keyName);
    }
    return this.keyTexts[keyNumber] ?? null;
  }

  private keep(candidate: Candidate, fit: Fit, entry: Entry): void {
    const state = this.stateOf(candidate, fit.call.tenant, fit.keyText);
    state.usedMs = Math.max(this.watermarkMs, entry.appendMs);
    const advanced = this.apply(candidate, state, entry);
    if (advanced !== state.advanced) {
      state.advanced = advanced;
      this.budget.move(state);
    }
    this.report(entry);
  }

  /** True when the state now holds more than first steps. */
  private apply(candidate: Candidate, state: KeyState, entry: Entry): boolean {
    const { id, body } = state.plan.rule;
    if (candidate.guarded) {
      this.keepGuarded(candidate, state, entry);
      return state.advanced || isGuardedAdvanced(state);
    }
    if (body === 'any_of') {
      const outcome = applyMeasures(state, entry);
      if (outcome.evicted > 0) this.degrade('events_evicted', id, state.tenant);
      if (outcome.unrepaired) this.degrade('late_unrepaired', id, state.tenant);
      for (const completed of outcome.completed) this.tell(state, completed);
      return outcome.advanced;
    }
    const outcome = applyPositive(state, entry);
    if (outcome.unrepaired) this.degrade('late_unrepaired', id, state.tenant);
    for (const completed of outcome.completed) this.tell(state, completed);
    return state.fired !== null || holdsAdvanced(state.plan, state.current);
  }

  private keepGuarded(candidate: Candidate, state: KeyState, entry: Entry): void {
    if (insertGuarded(state, entry)) this.degrade('events_evicted', state.plan.rule.id, state.tenant);
    if (entry.stepMask === 0) return;
    const dues = new Set<number>();
    for (const step of state.plan.rule.steps) {
      if ((entry.stepMask & (1 << step.index)) !== 0) dues.add(settlesAtMs(entry, step, candidate.waitMs));
    }
    for (const dueMs of dues) this.due.push(dueMs, state);
  }

  private stateOf(candidate: Candidate, tenant: string, keyText: string): KeyState {
    const row = this.rowOf(`${tenant}\0${keyText}`);
    const known = row.states[candidate.plan.index];
    if (known !== undefined) return known;
    const state = newKeyState(candidate.plan, tenant, keyText);
    state.usedMs = this.watermarkMs;
    this.hold(row, state);
    this.admit(state);
    return state;
  }

  private rowOf(mapKey: string): Row {
    const known = this.rows.get(mapKey);
    if (known !== undefined) return known;
    const row: Row = { states: [], count: 0 };
    this.rows.set(mapKey, row);
    return row;
  }

  private hold(row: Row, state: KeyState): void {
    row.states[state.plan.index] = state;
    row.count++;
  }

  private drop(held: KeyState | SimpleRow): void {
    if ('group' in held) {
      this.simple.drop(held);
      return;
    }
    const row = this.rows.get(held.mapKey);
    if (row === undefined) return;
    row.states[held.plan.index] = undefined;
    row.count--;
    if (row.count === 0) this.rows.delete(held.mapKey);
  }

  /** Counts a new state in, and the least advanced one of the tenant that uses most out where the budget is spent. */
  private admit(held: KeyState | SimpleRow): void {
    const evicted = this.budget.add(held);
    if (evicted !== undefined) {
      // What it holds is asked before it is given back.
      const ids = 'group' in evicted ? rulesHeld(evicted, this.simple.memory) : [evicted.plan.rule.id];
      this.drop(evicted);
      this.forget(evicted);
      for (const id of ids) this.degrade('states_evicted', id, evicted.tenant);
    }
    this.expiry.add(this.expiresMs(held), held);
  }

  /** Lets go of what still points to a state that was given up. */
  private forget(held: KeyState | SimpleRow): void {
    this.expiry.remove(held);
    if ('group' in held || !this.candidateFor(held).guarded) return;
    if (++this.timersOfDropped <= this.budget.size) return;
    this.timersOfDropped = 0;
    this.due.retain((state) => this.isLive(state));
  }

  private expiresMs(held: KeyState | SimpleRow): number {
    if ('group' in held) return rowExpiresAtMs(held, this.options.lateWaitMs);
    return expiresAtMs(held, this.candidateFor(held).waitMs);
  }

  private candidateFor(state: KeyState): Candidate {
    return this.candidates[state.plan.index] as Candidate;
  }

  private isLive(held: KeyState | SimpleRow): boolean {
    if ('group' in held) return held.group.row(held.tenant, held.name) === held;
    return this.rows.get(held.mapKey)?.states[held.plan.index] === held;
  }

  private decide(state: KeyState): void {
    if (!this.isLive(state)) return;
    const { waitMs } = this.candidateFor(state);
    this.currentTenant = state.tenant;
    for (const completed of decideGuarded(state, this.watermarkMs, waitMs)) {
      this.tell(state, completed);
      this.report(completed.last.entry);
    }
    const newest = state.entries.at(-1);
    if (newest !== undefined) this.report(newest);
    pruneGuarded(state, this.watermarkMs, waitMs);
  }

  private expire(held: KeyState | SimpleRow): void {
    if (this.options.inspected === true || !this.isLive(held)) return;
    const expiresMs = this.expiresMs(held);
    if (!this.expiry.isOver(expiresMs)) this.expiry.add(expiresMs, held);
    else {
      this.drop(held);
      this.budget.remove(held);
    }
  }

  private tell(state: KeyState, completed: Completed): void {
    this.completes(state.plan, completed);
    if (passesPolicy(state, completed)) this.found(state.plan, state, completed);
  }

  private completes({ rule }: RulePlan, completed: Completed): void {
    if (rule.action !== undefined) this.onCompleted?.(rule, completed);
  }

  private found(
    { rule }: RulePlan,
    { tenant, keyText }: { readonly tenant: string; readonly keyText: string },
    completed: Completed,
  ): void {
    this.counts.findings++;
    const exception = exceptionOf(rule, completed.last.entry);
    const known = exception === undefined ? {} : { exception };
    this.findings.push({
      kind: 'match',
      rule,
      tenant,
      keyText,
      completed,
      decidedMs: this.watermarkMs,
      ...known,
    });
  }

  private degrade(reason: DegradedReason, ruleId: string, tenant: string): void {
    this.counts.evictions++;
    this.degradedNow.push({ reason, ruleId, tenant });
  }

  /** Turns what was given up at this event into findings, at most one an hour for a rule, tenant and reason. */
  private report(entry: Entry): void {
    if (this.degradedNow.length === 0) return;
    for (const { reason, ruleId, tenant } of this.degradedNow) {
      const key = JSON.stringify([ruleId, tenant, reason]);
      const lastMs = this.reported.get(key);
      if (lastMs !== undefined && this.watermarkMs < lastMs + REPORT_EVERY_MS) continue;
      this.reported.delete(key);
      this.reported.set(key, this.watermarkMs);
      if (this.reported.size > MAX_REPORTS) this.reported.delete(this.reported.keys().next().value as string);
      this.findings.push({ kind: 'degraded', ruleId, tenant, reason, entry });
    }
    this.degradedNow = [];
  }

  /** All states, for a snapshot, in the order in which the budget gives them up: adopted so, the same ones go next. */
  states(): Generator<KeyState | SimpleRow> {
    return this.budget.inOrder();
  }

  planOf(ruleHash: string): RulePlan | undefined {
    return this.plans.find(
      (plan) => plan.rule.hash === ruleHash && this.candidates[plan.index] !== undefined,
    );
  }

  /** Group of simple rules whose key reads so, and hashes of selections by number. */
  groupOf(name: string): SimpleGroup | undefined {
    return this.simple.groupOf(name);
  }

  get predicates(): PredicateIndex {
    return this.index;
  }

  get simpleRules(): SimpleRules {
    return this.simple;
  }

  /** Takes a row back in from a snapshot. */
  adoptRow(row: SimpleRow): void {
    this.simple.adopt(row);
  }

  /** Takes a state back in from a snapshot and sets its timers anew. */
  adopt(state: KeyState): void {
    const candidate = this.candidateFor(state);
    this.hold(this.rowOf(state.mapKey), state);
    // Its events were run again to get here: what was given up then has been told.
    this.degradedNow = [];
    this.admit(state);
    if (!candidate.guarded) return;
    for (const entry of state.entries) {
      for (const step of state.plan.rule.steps) {
        const dueMs = settlesAtMs(entry, step, candidate.waitMs);
        if ((entry.stepMask & (1 << step.index)) !== 0 && dueMs > this.watermarkMs)
          this.due.push(dueMs, state);
      }
    }
  }
}

/** The exception that an alert completed by this event falls under: one of the rule's that had not ended by then. */
export function exceptionOf(rule: CompiledRule, entry: Entry): string | undefined {
  if (entry.excepted === undefined) return undefined;
  const { excepted } = entry;
  return rule.exceptions.find(({ name, expiresMs }) => excepted.includes(name) && entry.timeMs < expiresMs)
    ?.name;
}

/** Number of the fields that make the rule's key, where every step and guard takes the same; else -1. */
function keyNumberOf(rule: CompiledRule, numbers: Map<string, number>): number {
  const name = keyName(rule);
  if (name === undefined) return -1;
  const known = numbers.get(name) ?? numbers.size;
  numbers.set(name, known);
  return known;
}

const NO_FIELDS: readonly (FieldValue | null)[] = [];

/** An event as it fits one rule under one key. */
interface Fit {
  readonly call: Call;
  /** Numbers of all selections that it fits. */
  readonly selections: readonly number[];
  readonly keyText: string;
  readonly stepMask: number;
  readonly guardMask: number;
}

function entryOf(plan: RulePlan, { call, stepMask, guardMask }: Fit): Entry {
  return {
    timeMs: call.timeMs,
    appendMs: call.appendMs,
    partition: call.partition,
    offset: call.offset,
    line: call.line,
    callKey: call.callKey,
    stepMask,
    guardMask,
    fields: plan.comparing ? fieldsOf(plan, call, stepMask) : NO_FIELDS,
    reference: call.reference(),
    alerted: null,
  };
}

function fieldsOf(plan: RulePlan, call: Call, stepMask: number): (FieldValue | null)[] {
  return plan.rule.valueFields.map((field, at) => {
    if (((plan.askedOf[at] as number) & stepMask) === 0) return null;
    return plan.isFlow[at] === true ? call.flow(field) : call.value(field);
  });
}

interface KeyGroup {
  readonly keyText: string;
  stepMask: number;
  guardMask: number;
}

function keyGroups(rule: CompiledRule, call: Call, stepMask: number, guardMask: number): Iterable<KeyGroup> {
  const groups = new Map<string, KeyGroup>();
  const add = (name: string, stepBit: number, guardBit: number): void => {
    const keyText = keyTextOf(rule, call, name);
    if (keyText === null) return;
    const group = groups.get(keyText) ?? { keyText, stepMask: 0, guardMask: 0 };
    group.stepMask |= stepBit;
    group.guardMask |= guardBit;
    groups.set(keyText, group);
  };
  for (const step of rule.steps) {
    const bit = 1 << step.index;
    if ((stepMask & bit) !== 0) add(step.keyName, bit, 0);
  }
  rule.guards.forEach((guard, index) => {
    const bit = 1 << index;
    if ((guardMask & bit) !== 0) add(guard.selection.name, 0, bit);
  });
  return groups.values();
}

/** The key of a match by name. */
export function keyByName(match: Match): Record<string, string> {
  return keyNames(match.rule, match.keyText);
}

export type { CallReference };
