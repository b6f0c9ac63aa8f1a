/**
 * The matcher: events of one partition (stage one) or one released order of facts (stage two) in, matches out. Pure: it
 * knows no clock but the watermark that it is given, so that the same records repeat every decision.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import { TOOL_CLASSES } from '../../schemas/event/v1.ts';
import type { CompiledRule, Selection, Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { Budget } from './budget.ts';
import { applyMeasures } from './measures.ts';
import { planRule, type RulePlan } from './plan.ts';
import { holdsAdvanced, type Entry } from './prefixes.ts';
import {
  applyPositive,
  decideGuarded,
  expiresAtMs,
  insertGuarded,
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
}

/** A completed assignment that is to be told. */
export interface Match {
  readonly kind: 'match';
  readonly rule: CompiledRule;
  readonly tenant: string;
  /** Values of the rule's key as JSON, and by name. */
  readonly keyText: string;
  readonly completed: Completed;
  /** Name of the exception that it falls under: told in mode shadow. */
  readonly exception?: string;
}

export type DegradedReason = 'states_evicted' | 'prefixes_evicted' | 'events_evicted' | 'late_unrepaired';
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

interface Probe {
  readonly selection: number;
  readonly bit: number;
  readonly guard: boolean;
}
interface Candidate {
  readonly plan: RulePlan;
  readonly probes: readonly Probe[];
  readonly exceptions: readonly { readonly name: string; readonly selection: number }[];
  readonly guarded: boolean;
  /** Number of the key's fields where all steps and guards share them, -1 where the key depends on the step. */
  readonly keyNumber: number;
  readonly waitMs: number;
}

/** States of one key, by the number of the rule. */
interface Row {
  readonly states: (KeyState | undefined)[];
  count: number;
}

/** One report an hour of watermark for a rule, tenant and reason. */
const REPORT_EVERY_MS = 3_600_000;
const MAX_REPORTS = 4_096;
const CLASS_INDEX: ReadonlyMap<string, number> = new Map(TOOL_CLASSES.map((name, index) => [name, index]));

export class Engine {
  readonly rules: readonly CompiledRule[];
  readonly options: EngineOptions;
  watermarkMs = Number.NEGATIVE_INFINITY;
  /** Counts since the start of this life, for metrics. */
  readonly counts = { events: 0, probes: 0, evictions: 0, findings: 0 };
  /** Watermark of the last report by rule, tenant, reason. */
  readonly reported = new Map<string, number>();

  private readonly all: readonly Candidate[];
  private readonly byKind = new Map<string, (readonly Candidate[])[]>();
  private readonly selections: Selection[] = [];
  private readonly stamps: Int32Array;
  private readonly verdicts: Uint8Array;
  private stamp = 0;
  private readonly rows = new Map<string, Row>();
  /** Key texts of the event at hand by number of the key's fields, null where a value is missing. */
  private readonly keyTexts: (string | null)[] = [];
  private readonly keyStamps: number[] = [];
  private sharedEntry: Entry | undefined;
  private sharedStamp = -1;
  private readonly due = new TimerHeap<KeyState>();
  private readonly expiry = new ExpiryWheel<KeyState>();
  private readonly budget: Budget;
  private findings: Finding[] = [];
  private degradedNow: { reason: DegradedReason; ruleId: string; tenant: string }[] = [];
  private currentTenant = '';

  constructor(rules: readonly CompiledRule[], options: EngineOptions) {
    this.rules = rules;
    this.options = options;
    this.budget = new Budget(options.maxStates, options.maxStatesPerTenant);
    const numbers = { selections: new Map<string, number>(), keys: new Map<string, number>() };
    this.all = rules.map((rule, index) => this.candidateOf(rule, index, numbers));
    this.stamps = new Int32Array(this.selections.length);
    this.verdicts = new Uint8Array(this.selections.length);
  }

  private candidateOf(
    rule: CompiledRule,
    index: number,
    numbers: { readonly selections: Map<string, number>; readonly keys: Map<string, number> },
  ): Candidate {
    const numberOf = (selection: Selection): number => {
      const known = numbers.selections.get(selection.hash);
      if (known !== undefined) return known;
      numbers.selections.set(selection.hash, this.selections.length);
      return this.selections.push(selection) - 1;
    };
    const steps = rule.steps.map((s) => ({
      selection: numberOf(s.selection),
      bit: 1 << s.index,
      guard: false,
    }));
    const guards = rule.guards.map((g, at) => ({
      selection: numberOf(g.selection),
      bit: 1 << at,
      guard: true,
    }));
    return {
      plan: planRule(rule, index, () => this.degrade('prefixes_evicted', rule.id, this.currentTenant)),
      probes: [...steps, ...guards],
      exceptions: rule.exceptions.map(({ name, selection }) => ({ name, selection: numberOf(selection) })),
      guarded: rule.guards.length > 0,
      keyNumber: keyNumberOf(rule, numbers.keys),
      waitMs: rule.lateWaitMs ?? this.options.lateWaitMs,
    };
  }

  /** Rules and steps that an event of this kind and class can touch; worked out once for each pair. */
  private candidates(kind: string, toolClass: string): readonly Candidate[] {
    const classIndex = CLASS_INDEX.get(toolClass) ?? CLASS_INDEX.size;
    let byClass = this.byKind.get(kind);
    if (byClass === undefined) {
      // Kinds come from the schema's closed list; anything else is remembered nowhere.
      byClass = [];
      if (this.byKind.size < 64) this.byKind.set(kind, byClass);
    }
    const known = byClass[classIndex];
    if (known !== undefined) return known;
    const fits = (probe: Probe): boolean =>
      isFor(this.selections[probe.selection] as Selection, kind, toolClass);
    const found = this.all
      .map((candidate) => ({ ...candidate, probes: candidate.probes.filter(fits) }))
      .filter((candidate) => candidate.probes.length > 0);
    byClass[classIndex] = found;
    return found;
  }

  /** True when some rule could match an event of this kind and class: others need not be built. */
  concerns(kind: string, toolClass: string): boolean {
    return this.candidates(kind, toolClass).length > 0;
  }

  /** Next watermark at which something will be decided; undefined when nothing waits. */
  nextDueMs(): number | undefined {
    return this.due.nextDueMs();
  }

  stateCount(): number {
    return this.budget.size;
  }

  /** Moves the watermark (never back) and decides all that is due. Call it before the events of the record that moved it. */
  advance(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return;
    this.watermarkMs = watermarkMs;
    for (let state = this.due.pop(watermarkMs); state !== undefined; state = this.due.pop(watermarkMs)) {
      this.decide(state);
    }
    this.expiry.advance(watermarkMs, (state) => this.expire(state));
  }

  /** One event, in the order of its partition. */
  process(call: Call): void {
    this.counts.events++;
    const candidates = this.candidates(call.kind, call.toolClass);
    if (candidates.length === 0) return;
    this.stamp++;
    this.currentTenant = call.tenant;
    for (const candidate of candidates) this.probe(candidate, call);
  }

  /** Findings since the last call, in order. */
  take(): readonly Finding[] {
    const { findings } = this;
    if (findings.length > 0) this.findings = [];
    return findings;
  }

  private matches(selection: number, call: Call): boolean {
    if (this.stamps[selection] !== this.stamp) {
      this.stamps[selection] = this.stamp;
      this.counts.probes++;
      this.verdicts[selection] = call.matches(this.selections[selection] as Selection) ? 1 : 0;
    }
    return this.verdicts[selection] === 1;
  }

  private probe(candidate: Candidate, call: Call): void {
    let stepMask = 0;
    let guardMask = 0;
    for (const probe of candidate.probes) {
      if (!this.matches(probe.selection, call)) continue;
      if (probe.guard) guardMask |= probe.bit;
      else stepMask |= probe.bit;
    }
    if (stepMask === 0 && guardMask === 0) return;
    this.enter(candidate, call, stepMask, guardMask);
  }

  private enter(candidate: Candidate, call: Call, stepMask: number, guardMask: number): void {
    const { plan, keyNumber } = candidate;
    if (keyNumber >= 0) {
      const keyText = this.sharedKeyText(candidate, call);
      if (keyText !== null) {
        this.keep(candidate, call.tenant, keyText, this.entryFor(candidate, call, stepMask, guardMask));
      }
      return;
    }
    // One selection name may stand for several keys: steps whose key differs are entered each under its own.
    for (const group of keyGroups(plan.rule, call, stepMask, guardMask)) {
      const entry = this.entryFor(candidate, call, group.stepMask, group.guardMask);
      this.keep(candidate, call.tenant, group.keyText, entry);
    }
  }

  /**
   * The event as a rule keeps it. Most are first steps of many rules at once: where nothing in the entry is the rule's
   * own (no compared values, and it can complete nothing, so `alerted` stays null) the rules share one.
   */
  private entryFor(candidate: Candidate, call: Call, stepMask: number, guardMask: number): Entry {
    const { plan, exceptions } = candidate;
    const completes = (stepMask & plan.completingMask) !== 0;
    if (plan.comparing || guardMask !== 0 || completes) {
      const entry = entryOf(plan, call, stepMask, guardMask);
      return completes && exceptions.length > 0 ? this.excepted(candidate, call, entry) : entry;
    }
    const shared = this.sharedEntry;
    if (this.sharedStamp === this.stamp && shared?.stepMask === stepMask) return shared;
    this.sharedStamp = this.stamp;
    return (this.sharedEntry = entryOf(plan, call, stepMask, guardMask));
  }

  private excepted(candidate: Candidate, call: Call, entry: Entry): Entry {
    const names = candidate.exceptions.flatMap(({ name, selection }) => {
      const asked = this.selections[selection] as Selection;
      return isFor(asked, call.kind, call.toolClass) && this.matches(selection, call) ? [name] : [];
    });
    return names.length === 0 ? entry : { ...entry, excepted: names };
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

  private keep(candidate: Candidate, tenant: string, keyText: string, entry: Entry): void {
    const state = this.stateOf(candidate, tenant, keyText);
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
      return true;
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
    this.admit(candidate, state);
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

  private drop(state: KeyState): void {
    const row = this.rows.get(state.mapKey);
    if (row === undefined) return;
    row.states[state.plan.index] = undefined;
    row.count--;
    if (row.count === 0) this.rows.delete(state.mapKey);
  }

  /** Counts a new state in, and the least advanced one of the tenant that uses most out where the budget is spent. */
  private admit(candidate: Candidate, state: KeyState): void {
    const evicted = this.budget.add(state);
    if (evicted !== undefined) {
      this.drop(evicted);
      this.degrade('states_evicted', evicted.plan.rule.id, evicted.tenant);
    }
    this.expiry.add(expiresAtMs(state, candidate.waitMs), state);
  }

  private candidateFor(state: KeyState): Candidate {
    return this.all[state.plan.index] as Candidate;
  }

  private isLive(state: KeyState): boolean {
    return this.rows.get(state.mapKey)?.states[state.plan.index] === state;
  }

  private decide(state: KeyState): void {
    if (!this.isLive(state)) return;
    const { waitMs } = this.candidateFor(state);
    this.currentTenant = state.tenant;
    for (const completed of decideGuarded(state, this.watermarkMs, waitMs)) {
      this.tell(state, completed);
      this.report(completed.last.entry);
    }
    pruneGuarded(state, this.watermarkMs, waitMs);
  }

  private expire(state: KeyState): void {
    if (!this.isLive(state)) return;
    const expiresMs = expiresAtMs(state, this.candidateFor(state).waitMs);
    if (!this.expiry.isOver(expiresMs)) this.expiry.add(expiresMs, state);
    else {
      this.drop(state);
      this.budget.remove(state);
    }
  }

  private tell(state: KeyState, completed: Completed): void {
    if (!passesPolicy(state, completed)) return;
    this.counts.findings++;
    const { rule } = state.plan;
    const exception = exceptionOf(rule, completed.last.entry);
    this.findings.push({
      kind: 'match',
      rule,
      tenant: state.tenant,
      keyText: state.keyText,
      completed,
      ...(exception === undefined ? {} : { exception }),
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
  states(): Generator<KeyState> {
    return this.budget.inOrder();
  }

  planOf(ruleHash: string): RulePlan | undefined {
    return this.all.find((candidate) => candidate.plan.rule.hash === ruleHash)?.plan;
  }

  /** Takes a state back in from a snapshot and sets its timers anew. */
  adopt(state: KeyState): void {
    const candidate = this.candidateFor(state);
    this.hold(this.rowOf(state.mapKey), state);
    this.admit(candidate, state);
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

/** Whether a selection can match events of this kind and class at all. */
export function isFor(selection: Selection, kind: string, toolClass: string): boolean {
  const { kinds, classes } = selection;
  if (!(kinds as readonly string[]).includes(kind)) return false;
  return classes === undefined || (classes as readonly string[]).includes(toolClass);
}

/** The exception that an alert completed by this event falls under: one of the rule's that had not ended by then. */
function exceptionOf(rule: CompiledRule, entry: Entry): string | undefined {
  if (entry.excepted === undefined) return undefined;
  const { excepted } = entry;
  return rule.exceptions.find(({ name, expiresMs }) => excepted.includes(name) && entry.timeMs < expiresMs)
    ?.name;
}

/** Number of the fields that make the rule's key, where every step and guard takes the same; else -1. */
function keyNumberOf(rule: CompiledRule, numbers: Map<string, number>): number {
  const names = [
    ...rule.steps.map((step) => step.keyName),
    ...rule.guards.map((guard) => guard.selection.name),
  ];
  const texts = new Set(names.map((name) => JSON.stringify(rule.key.map((part) => part.fields.get(name)))));
  const [text] = texts;
  if (text === undefined || texts.size > 1) return -1;
  const known = numbers.get(text) ?? numbers.size;
  numbers.set(text, known);
  return known;
}

const NO_FIELDS: readonly (string | null)[] = [];

function entryOf(plan: RulePlan, call: Call, stepMask: number, guardMask: number): Entry {
  return {
    timeMs: call.timeMs,
    appendMs: call.appendMs,
    partition: call.partition,
    offset: call.offset,
    line: call.line,
    callKey: call.callKey,
    stepMask,
    guardMask,
    fields: plan.comparing ? plan.rule.valueFields.map((field) => call.value(field)) : NO_FIELDS,
    reference: call.reference(),
    alerted: null,
  };
}

interface KeyGroup {
  readonly keyText: string;
  stepMask: number;
  guardMask: number;
}

/** Key of the call as one step or guard sees it, null when a value is missing that must be there. */
function keyTextOf(rule: CompiledRule, call: Call, keyName: string): string | null {
  const values: string[] = [];
  for (const part of rule.key) {
    const field = part.fields.get(keyName);
    const value = field === undefined ? null : call.value(field.field);
    if (value === null && field?.optional !== true) return null;
    values.push(value ?? '');
  }
  return JSON.stringify(values);
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
  const values = JSON.parse(match.keyText) as string[];
  return Object.fromEntries(match.rule.key.map((part, index) => [part.alias, values[index] ?? '']));
}

export type { CallReference };
