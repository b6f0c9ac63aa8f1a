/**
 * The matcher: events of one partition (stage one) or one released order of facts (stage two) in, matches out. Pure: it
 * knows no clock but the watermark that it is given, so that the same records repeat every decision.
 */
import type { CompiledRule, Selection, Step } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { Candidates, keyNumberOf, type Candidate } from './candidates.ts';
import { Degradations } from './degradations.ts';
import { exceptionOf, type DegradedReason, type Finding } from './finding.ts';
import { entryOf, keyGroups, type Fit } from './fit.ts';
import { keyTextOf } from './key.ts';
import { HeldStates } from './held-states.ts';
import { applyMeasures } from './measures.ts';
import { planRule, type RulePlan } from './plan.ts';
import { PredicateIndex } from './predicate-index.ts';
import { holdsAdvanced, type Entry } from './prefixes.ts';
import { isSimple, type SimpleGroup } from './simple-group.ts';
import type { SimpleRow } from './simple-row.ts';
import { SimpleRules, type RowVisit } from './simple-rules.ts';
import {
  applyPositive,
  decideGuarded,
  insertGuarded,
  isGuardedAdvanced,
  passesPolicy,
  pruneGuarded,
  settlesAtMs,
  type Completed,
  type KeyState,
} from './state.ts';

export interface EngineOptions {
  /** How long a decision about an absence waits for late events, ms. */
  readonly lateWaitMs: number;
  /** States in all, and for one tenant; beyond them the least advanced go, counted. */
  readonly maxStates: number;
  readonly maxStatesPerTenant: number;
  /** For explanations: every rule keeps a state of its own for each key, and no state expires. */
  readonly inspected?: boolean;
}

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

  private readonly index = new PredicateIndex();
  private readonly plans: readonly RulePlan[];
  private readonly candidates = new Candidates();
  private readonly simple: SimpleRules;
  private stamp = 0;
  private readonly held: HeldStates;
  /** Key texts of the event at hand by number of the key's fields, null where a value is missing. */
  private readonly keyTexts: (string | null)[] = [];
  private readonly keyStamps: number[] = [];
  private sharedEntry: Entry | undefined;
  private sharedStamp = -1;
  private findings: Finding[] = [];
  private readonly degradations = new Degradations();
  private currentTenant = '';

  constructor(rules: readonly CompiledRule[], options: EngineOptions) {
    this.rules = rules;
    this.options = options;
    this.simple = new SimpleRules((row) => this.held.admit(row));
    this.held = new HeldStates(options, {
      simple: this.simple,
      candidateOf: (state) => this.candidateFor(state),
      onEvicted: (ruleId, tenant) => this.degrade('states_evicted', ruleId, tenant),
    });
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
    const numberOf = (selection: Selection): number => this.index.add(selection);
    if (keyNumber >= 0 && this.options.inspected !== true && isSimple(rule, plan)) {
      this.simple.add(plan, (step) => numberOf(step.selection));
      return;
    }
    const waitMs = rule.lateWaitMs ?? this.options.lateWaitMs;
    this.candidates.add(plan, { keyNumber, waitMs }, numberOf);
  }

  /** True when some rule could match an event of this kind and class: others need not be built. */
  concerns(kind: string, toolClass: string): boolean {
    return this.index.concerns(kind, toolClass);
  }

  /** Next watermark at which something will be decided; undefined when nothing waits. */
  nextDueMs(): number | undefined {
    return this.held.due.nextDueMs();
  }

  stateCount(): number {
    return this.held.budget.size;
  }

  /**
   * Moves the watermark (never back) and decides all that is due, each at its own time: how far apart the records of a
   * partition lie must not decide what is known, or told first. Call it before the events of the record that moved it.
   */
  advance(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return;
    while (this.decideNext(watermarkMs));
    this.watermarkMs = watermarkMs;
    this.held.expire(watermarkMs);
  }

  /** Decides what is due next, all of one time; false when nothing is due at this watermark. */
  decideNext(watermarkMs: number): boolean {
    const dueMs = this.held.due.nextDueMs();
    if (dueMs === undefined || dueMs > watermarkMs) return false;
    this.watermarkMs = Math.max(this.watermarkMs, dueMs);
    for (let state = this.held.due.pop(dueMs); state !== undefined; state = this.held.due.pop(dueMs))
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
    if (this.candidates.isEmpty) return;
    const touched = this.candidates.gather(selections, isPart, (selection) => this.readsBody(selection));
    for (const candidate of touched) this.enter(candidate, call, selections);
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
      this.held.budget.move(row);
    }
    this.report(entry);
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
      this.held.budget.move(state);
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
    for (const dueMs of dues) this.held.due.push(dueMs, state);
  }

  private stateOf(candidate: Candidate, tenant: string, keyText: string): KeyState {
    return (
      this.held.find(candidate.plan, tenant, keyText) ??
      this.held.open(candidate.plan, { tenant, keyText, watermarkMs: this.watermarkMs })
    );
  }

  private candidateFor(state: KeyState): Candidate {
    return this.candidates.of(state.plan.index) as Candidate;
  }

  private decide(state: KeyState): void {
    if (!this.held.isLive(state)) return;
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
    this.degradations.add(reason, ruleId, tenant);
  }

  private report(entry: Entry): void {
    this.degradations.report(entry, this.watermarkMs, (degraded) => this.findings.push(degraded));
  }

  /** Watermark of the last report by rule, tenant, reason. */
  get reported(): Map<string, number> {
    return this.degradations.reported;
  }

  /** All states, for a snapshot, in the order in which the budget gives them up: adopted so, the same ones go next. */
  states(): Generator<KeyState | SimpleRow> {
    return this.held.budget.inOrder();
  }

  planOf(ruleHash: string): RulePlan | undefined {
    return this.plans.find(
      (plan) => plan.rule.hash === ruleHash && this.candidates.of(plan.index) !== undefined,
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
    // Its events were run again to get here: what was given up then has been told.
    this.degradations.clear();
    this.held.adopt(state);
    if (!candidate.guarded) return;
    for (const entry of state.entries) {
      for (const step of state.plan.rule.steps) {
        const dueMs = settlesAtMs(entry, step, candidate.waitMs);
        if ((entry.stepMask & (1 << step.index)) !== 0 && dueMs > this.watermarkMs)
          this.held.due.push(dueMs, state);
      }
    }
  }
}
