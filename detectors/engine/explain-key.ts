/** One key of a rule: its prefixes, what each waits for, which calls fitted a step and served none, what measures read. */
import type { CompiledRule, Guard, Step } from '../compile/rule.ts';
import { guardWords, joinWords, measureWords, selectionWords, thresholdWords } from '../compile/words.ts';
import { readStatistic } from '../statistics/reading.ts';
import { explainedCall, explainedChain } from './explain-match.ts';
import type { ExplainedKey, ExplainedMeasure, ExplainedNext, ExplainedPartial } from './explanation.ts';
import { Refusals } from './explain-refusals.ts';
import { keyNames } from './key.ts';
import { applyEntry, copyPrefixes, type Entry, type Node, type Prefixes } from './prefixes.ts';
import { decideGuarded, type KeyState, type TimeBasis } from './state.ts';

/** Prefixes of one kind that a key tells of, the furthest first. */
const MAX_TOLD = 16;

interface Killed {
  readonly state: number;
  readonly node: Node;
  readonly guard: Guard;
  readonly by: Entry;
}

function nodesOf(prefixes: Prefixes): { readonly state: number; readonly node: Node }[] {
  return prefixes.flatMap((held, state) => {
    if (held === null) return [];
    const nodes = held instanceof Map ? [...held.values()].flat() : [held];
    return nodes.map((node) => ({ state, node }));
  });
}

/** Runs the key's events once more, by the engine's own steps, and notes what came of each. */
class KeyRun {
  readonly refusals: Refusals;
  readonly killed = new Map<number, Killed>();
  prefixes: Prefixes;
  private readonly state: KeyState;
  private before: Prefixes = [];

  constructor(state: KeyState, waitMs: number) {
    this.state = state;
    this.refusals = new Refusals(state);
    this.prefixes = copyPrefixes(state.base);
    if (state.plan.rule.guards.length > 0) this.runGuarded(waitMs);
    else if (state.plan.rule.body !== 'any_of') this.runPositive();
  }

  private runPositive(): void {
    const { plan, entries } = this.state;
    for (const entry of entries) {
      this.before = copyPrefixes(this.prefixes);
      const last = applyEntry(plan, this.prefixes, entry, { timeMs: entry.timeMs });
      this.refusals.see(entry, this.before, { completed: last !== null, forbidden: 0 });
    }
  }

  /** As if nothing else came: every step counts as settled. The copy keeps what was told from being told again. */
  private runGuarded(waitMs: number): void {
    const entries = this.state.entries.map((entry): Entry => ({ ...entry, alerted: null }));
    decideGuarded({ ...this.state, entries }, Number.MAX_SAFE_INTEGER, waitMs, {
      before: (_, prefixes) => {
        this.before = copyPrefixes(prefixes);
      },
      after: (entry, prefixes, forbidden) => {
        this.noteKilled(entry, prefixes);
        this.refusals.see(entry, this.before, { completed: false, forbidden });
        this.prefixes = copyPrefixes(prefixes);
      },
    });
  }

  private noteKilled(entry: Entry, after: Prefixes): void {
    if (entry.guardMask === 0) return;
    const alive = new Set(nodesOf(after).map(({ node }) => node));
    for (const { state, node } of nodesOf(this.before)) {
      if (alive.has(node)) continue;
      const guard = this.state.plan.rule.guards.find((each, index) => {
        if ((entry.guardMask & (1 << index)) === 0) return false;
        return each.kind === 'until' || (each.kind === 'between' && state >= each.from && state < each.to);
      });
      // Else a later start took its place.
      if (guard !== undefined) this.killed.set(state, { state, node, guard, by: entry });
    }
  }
}

function nextOf(rule: CompiledRule, state: number, node: Node): ExplainedNext[] {
  return rule.automaton.transitions.flatMap(({ from, step: index }) => {
    const step = rule.steps[index];
    if (from !== state || step === undefined) return [];
    return [nextStep(rule, step, Math.min(node.startMs + rule.withinMs, node.lastMs + step.gapMs))];
  });
}

function nextStep(rule: CompiledRule, step: Step, untilMs: number): ExplainedNext {
  return {
    step: step.name,
    optional: step.optional,
    conditions: selectionWords(step.selection),
    joins: step.joins.map((join) => joinWords(rule, step.name, join)),
    untilMs,
  };
}

/** Prefixes that no other one begins with: the others are told by those. */
function furthest<T extends { readonly node: Node }>(held: readonly T[]): T[] {
  const inside = new Set<Node>();
  for (const { node } of held) for (let at = node.prev; at !== null; at = at.prev) inside.add(at);
  return held
    .filter(({ node }) => !inside.has(node))
    .toReversed()
    .slice(0, MAX_TOLD);
}

type Told = Omit<ExplainedPartial, 'state' | 'timeBasis'>;

function partialOf(rule: CompiledRule, state: number, node: Node): Told {
  const waitsFor = nextOf(rule, state, node);
  const untilMs = Math.max(...waitsFor.map((next) => next.untilMs));
  return { met: explainedChain(rule, node), waitsFor, untilMs };
}

const idsOf = ({ met }: ExplainedPartial): string => met.map(({ eventId }) => eventId).join(' ');

function heldPartials(
  rule: CompiledRule,
  prefixes: Prefixes,
  at: { readonly nowMs: number; readonly timeBasis: TimeBasis },
): ExplainedPartial[] {
  return furthest(nodesOf(prefixes)).map(({ state, node }) => {
    const partial = partialOf(rule, state, node);
    const isOver = partial.untilMs < at.nowMs;
    return { ...partial, state: isOver ? 'window_passed' : 'open', timeBasis: at.timeBasis };
  });
}

function partialsOf({ plan, byAppend }: KeyState, run: KeyRun, nowMs: number): ExplainedPartial[] {
  const { rule } = plan;
  const byEvent = heldPartials(rule, run.prefixes, { nowMs, timeBasis: 'event' });
  const known = new Set(byEvent.filter(({ state }) => state === 'open').map(idsOf));
  // What was back-dated, or came late, may still be completed by append time.
  const open = heldPartials(rule, byAppend, { nowMs, timeBasis: 'append' }).filter(
    (partial) => partial.state === 'open' && !known.has(idsOf(partial)),
  );
  const killed = furthest([...run.killed.values()]).map(({ state, node, guard, by }): ExplainedPartial => {
    const killedBy = { guard: guardWords(rule, guard), call: explainedCall(guard.selection.name, by) };
    return { ...partialOf(rule, state, node), state: 'killed', timeBasis: 'event', killedBy };
  });
  return [...byEvent, ...open, ...killed];
}

function measuresOf({ plan, statistics }: KeyState): ExplainedMeasure[] {
  return plan.rule.statistics.map(({ step, plan: measure, field }) => {
    // By event time: append time only matters where somebody back-dates.
    const state = statistics[step * 2];
    const words = measureWords(measure, plan.rule.steps[step]?.selection.name ?? 'event', field);
    if (state === undefined) return { measure: words, reads: null, against: [], samples: 0, needs: 1 };
    const { reads, thresholds, samples, needs } = readStatistic(measure, state);
    return { measure: words, reads: reads ?? null, against: thresholds.map(thresholdWords), samples, needs };
  });
}

/** All but the matches, which the engine tells. `nowMs` is the watermark that the reader asks at. */
export function explainKey(state: KeyState, nowMs: number, waitMs: number): Omit<ExplainedKey, 'matches'> {
  const { rule } = state.plan;
  const run = new KeyRun(state, waitMs);
  return {
    tenant: state.tenant,
    key: keyNames(rule, state.keyText),
    partials: rule.body === 'any_of' ? [] : partialsOf(state, run, nowMs),
    refused: run.refusals.list(),
    measures: measuresOf(state),
  };
}
