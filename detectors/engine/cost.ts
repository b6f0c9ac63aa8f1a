/** What a rule costs: how its selections are found, what state a key of it keeps, what it puts on the facts topic. */
import { isFlowField } from '../compile/flow-field.ts';
import { fieldsOfGuard, fieldsOfStep } from '../compile/needs.ts';
import type { CompiledRule, Selection } from '../compile/rule.ts';
import { MAX_NGRAMS } from '../statistics/novel-ngram.ts';
import { MAX_SAMPLES } from '../statistics/plan.ts';
import { keyName } from './key.ts';
import { planRule } from './plan.ts';
import { lookupOf, type Lookup } from './predicate-index.ts';
import { isSimple } from './simple-group.ts';
import { GUARDED_LIST, REPAIR_RING } from './state.ts';

export interface SelectionCost {
  readonly name: string;
  readonly lookup: Lookup;
  /** Tests that are left once the index has found it. */
  readonly tests: number;
  readonly kinds: readonly string[];
  /** Calls of all other classes are never asked; null = every class is. */
  readonly classes: readonly string[] | null;
}

/** What one key keeps, and the most that it can become. */
export type StateCost =
  | { readonly kind: 'shared_row'; readonly perState: 1 }
  | { readonly kind: 'latest_start'; readonly perState: 1; readonly ring: number }
  | { readonly kind: 'run_list'; readonly perState: number; readonly ring: number }
  | { readonly kind: 'guarded_list'; readonly events: number }
  | { readonly kind: 'counters'; readonly measures: number; readonly samples: number };

/** What a rule that joins sessions sends through the facts topic. */
export interface FactsCost {
  readonly kinds: readonly string[];
  /** Of calls. Null: some selection takes those of every class. */
  readonly classes: readonly string[] | null;
  /** Values that a fact carries, by selection. */
  readonly fields: Readonly<Record<string, readonly string[]>>;
  /** Fields whose fingerprints travel: the longest part of a fact. */
  readonly fingerprints: Readonly<Record<string, readonly string[]>>;
}

export interface RuleCost {
  /** 1: where events are read; 2: after the facts topic. */
  readonly stage: 1 | 2;
  readonly selections: readonly SelectionCost[];
  readonly state: StateCost;
  readonly facts: FactsCost | null;
}

/** Selections that the rule listens to, each once; its exceptions are asked only of what completes it. */
export function heardSelections(rule: CompiledRule): Selection[] {
  const parts = [...rule.steps, ...rule.guards].map(({ selection }) => selection);
  return [...new Map(parts.map((selection) => [selection.name, selection])).values()];
}

const CALL_KINDS: ReadonlySet<string> = new Set(['call.intent', 'call.result', 'mcp.request', 'mcp.result']);

/** Only calls have a class. */
export function takesCalls({ kinds }: { readonly kinds: readonly string[] }): boolean {
  return kinds.some((kind) => CALL_KINDS.has(kind));
}

function stateCost(rule: CompiledRule): StateCost {
  if (rule.body === 'any_of') {
    const learned = rule.statistics.some(({ plan }) => plan.kind === 'novel_ngram');
    const samples = learned ? Math.max(MAX_SAMPLES, MAX_NGRAMS) : MAX_SAMPLES;
    return { kind: 'counters', measures: rule.statistics.length, samples };
  }
  if (rule.guards.length > 0) return { kind: 'guarded_list', events: GUARDED_LIST };
  const plan = planRule(rule, 0, { onEvicted: () => undefined, onLeftOut: () => undefined });
  // Whose steps have keys of their own keeps a state of its own too.
  if (isSimple(rule, plan) && keyName(rule) !== undefined) return { kind: 'shared_row', perState: 1 };
  return plan.single
    ? { kind: 'latest_start', perState: 1, ring: REPAIR_RING }
    : { kind: 'run_list', perState: rule.runsPerKey, ring: REPAIR_RING };
}

/** Fields of each selection's events that a fact carries. */
function carriedFields(rule: CompiledRule): Map<string, Set<string>> {
  const carried = new Map<string, Set<string>>();
  const add = ({ name }: Selection, fields: ReadonlySet<string>): void => {
    carried.set(name, new Set([...(carried.get(name) ?? []), ...fields]));
  };
  for (const step of rule.steps) add(step.selection, fieldsOfStep(rule, step));
  for (const guard of rule.guards) add(guard.selection, fieldsOfGuard(rule, guard));
  return carried;
}

function factsCost(rule: CompiledRule): FactsCost {
  const heard = heardSelections(rule);
  const carried = carriedFields(rule);
  const pick = (flows: boolean): Record<string, readonly string[]> =>
    Object.fromEntries(
      [...carried].flatMap(([name, fields]) => {
        const own = [...fields].filter((field) => isFlowField(field) === flows);
        return own.length === 0 ? [] : [[name, own]];
      }),
    );
  const calls = heard.filter(takesCalls);
  const isOpen = calls.some(({ classes }) => classes === undefined);
  return {
    kinds: [...new Set(heard.flatMap(({ kinds }) => kinds))],
    classes: isOpen ? null : [...new Set(calls.flatMap(({ classes }) => classes ?? []))],
    fields: pick(false),
    fingerprints: pick(true),
  };
}

export function ruleCost(rule: CompiledRule): RuleCost {
  return {
    stage: rule.scope === 'session' ? 1 : 2,
    selections: heardSelections(rule).map((selection) => ({
      name: selection.name,
      lookup: lookupOf(selection),
      tests: selection.tests.length,
      kinds: selection.kinds,
      classes: selection.classes ?? null,
    })),
    state: stateCost(rule),
    facts: rule.scope === 'session' ? null : factsCost(rule),
  };
}
