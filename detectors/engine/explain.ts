/**
 * Why a rule fired over some events, or how far it came: the engine runs the rule with a state for each key, and its
 * states are read. Nothing is matched here a second time.
 */
import type { CompiledRule } from '../compile/rule.ts';
import { DEFAULT_LATE_WAIT_MS, feedArrivals, type Arrival, type Surroundings } from './arrivals.ts';
import type { Call } from './call.ts';
import { Engine } from './engine.ts';
import type { Match } from './finding.ts';
import { explainKey } from './explain-key.ts';
import { explainedMatch } from './explain-match.ts';
import type { ExplainedMatch, Explanation } from './explanation.ts';
import { isFor } from './predicate-index.ts';
import type { KeyState } from './state.ts';

export interface ExplainOptions {
  readonly lateWaitMs?: number;
  readonly surroundings?: Surroundings;
}

const placeOf = ({ tenant, keyText }: { readonly tenant: string; readonly keyText: string }): string =>
  JSON.stringify([tenant, keyText]);
const identityOf = (match: Match): string =>
  `${placeOf(match)} ${match.completed.last.entry.reference.eventId} ${match.completed.timeBasis}`;

function newEngine(rule: CompiledRule, lateWaitMs: number): Engine {
  const unlimited = Number.MAX_SAFE_INTEGER;
  return new Engine([rule], {
    lateWaitMs,
    maxStates: unlimited,
    maxStatesPerTenant: unlimited,
    inspected: true,
  });
}

function takeMatches(engine: Engine): Match[] {
  return engine.take().flatMap((finding) => (finding.kind === 'match' ? [finding] : []));
}

/** How many events fit each selection. */
class SelectionCounts {
  private readonly counts: Map<string, number>;
  private readonly rule: CompiledRule;

  constructor(rule: CompiledRule) {
    this.rule = rule;
    this.counts = new Map([...rule.selections.keys()].map((name) => [name, 0]));
  }

  readonly see = (call: Call): void => {
    for (const [name, selection] of this.rule.selections) {
      if (isFor(selection, call.kind, call.toolClass) && call.matches(selection))
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    }
  };

  list(): Explanation['selections'] {
    return [...this.counts].map(([name, events]) => ({ name, events }));
  }
}

/** Identities of the matches that the rule tells: after_match thins the others. */
function toldMatches(rule: CompiledRule, arrivals: readonly Arrival[], options: ExplainOptions): Set<string> {
  const engine = newEngine(rule, options.lateWaitMs ?? DEFAULT_LATE_WAIT_MS);
  feedArrivals(engine, arrivals, options.surroundings);
  engine.advance(Number.MAX_SAFE_INTEGER);
  return new Set(takeMatches(engine).map(identityOf));
}

/** Explains the rule over events in the order of their arrival. */
export function explainRule(
  rule: CompiledRule,
  arrivals: readonly Arrival[],
  options: ExplainOptions = {},
): Explanation {
  const lateWaitMs = options.lateWaitMs ?? DEFAULT_LATE_WAIT_MS;
  const waitMs = rule.lateWaitMs ?? lateWaitMs;
  const told = toldMatches(rule, arrivals, options);
  const counts = new SelectionCounts(rule);
  const engine = newEngine({ ...rule, afterMatch: { kind: 'every' } }, lateWaitMs);
  feedArrivals(engine, arrivals, options.surroundings, counts.see);
  const nowMs = engine.watermarkMs;
  const decided = takeMatches(engine);
  // Read before the end of time is decided: that is not when the reader asks.
  const states = [...engine.states()].filter((held): held is KeyState => !('group' in held));
  const atEnd = states.map((state) => ({ state, explained: explainKey(state, nowMs, waitMs) }));
  engine.advance(Number.MAX_SAFE_INTEGER);
  const matches = new Map<string, ExplainedMatch[]>();
  const keep = (match: Match, pendingWaitMs: number | null): void => {
    const list = matches.get(placeOf(match)) ?? [];
    matches.set(placeOf(match), list);
    list.push(explainedMatch(match, { told: told.has(identityOf(match)), pendingWaitMs }));
  };
  for (const match of decided) keep(match, null);
  for (const match of takeMatches(engine)) keep(match, waitMs);
  const keys = atEnd.map(({ state, explained }) => {
    const own = matches.get(placeOf(state)) ?? [];
    const cited = own.map(({ calls }) => calls.map(({ eventId }) => eventId));
    const isTold = (met: readonly string[]): boolean =>
      cited.some((ids) => met.every((id, index) => ids[index] === id));
    const partials = explained.partials.filter(({ met }) => !isTold(met.map(({ eventId }) => eventId)));
    return { ...explained, matches: own, partials };
  });
  return {
    rule: rule.id,
    title: rule.title,
    scope: rule.scope,
    events: arrivals.length,
    nowMs: Number.isFinite(nowMs) ? nowMs : null,
    selections: counts.list(),
    keys,
  };
}
