/**
 * A snapshot of an engine as JSON values, and back. Versioned by semantic rule hash: a rule that has changed starts
 * empty, the others keep theirs.
 */
import { Engine, type EngineOptions } from './engine.ts';
import type { CompiledRule } from '../compile/rule.ts';
import { packStatistic, unpackStatistic, type PackedStatistic } from '../statistics/pack.ts';
import { Buckets } from './buckets.ts';
import { Packer, unpackNodes, type PackedNode, type PackedPrefixes } from './pack.ts';
import type { RulePlan } from './plan.ts';
import { FlowCell, type PackedCell } from '../compile/flow-cell.ts';
import { flowReader } from '../compile/flow-field.ts';
import { applyEntry, copyPrefixes, type Entry, type Node, type Prefixes } from './prefixes.ts';
import { packRow, unpackRow, type PackedRow } from './simple-pack.ts';
import { newKeyState, type KeyState } from './state.ts';

interface PackedState {
  readonly rule: string;
  readonly tenant: string;
  readonly key: string;
  readonly usedMs: number;
  readonly fired: readonly (readonly [string, number])[];
  readonly entries: readonly Entry[];
  /** How many of `entries`, from the first, are the ring or list; the rest is held by prefixes only. */
  readonly listed: number;
  readonly nodes: readonly PackedNode[];
  readonly base: PackedPrefixes;
  readonly byAppend: PackedPrefixes;
  /** Counters of measures, null where none was needed; their entries are numbers too. */
  readonly statistics: readonly (PackedStatistic | null)[];
  readonly advanced: boolean;
}

/** The form of a snapshot; one of another form is not taken up, and its partition is read again. */
export const SNAPSHOT_VERSION = 6;

export interface EngineSnapshot {
  readonly v: typeof SNAPSHOT_VERSION;
  readonly watermarkMs: number | null;
  readonly reported: readonly (readonly [string, number])[];
  /** In the order in which the budget gives them up. */
  readonly states: readonly (PackedState | PackedRow)[];
}

function packState(state: KeyState): PackedState {
  const packer = new Packer(state.entries);
  const base = packer.prefixes(state.base);
  const byAppend = packer.prefixes(state.byAppend);
  const statistics = Array.from(state.statistics, (each) =>
    each === undefined ? null : packStatistic(each, (entry) => packer.entry(entry)),
  );
  return {
    rule: state.plan.rule.hash,
    tenant: state.tenant,
    key: state.keyText,
    usedMs: state.usedMs,
    fired: [...(state.fired ?? [])],
    entries: packer.entries,
    listed: state.entries.length,
    nodes: packer.nodes,
    base,
    byAppend,
    statistics,
    advanced: state.advanced,
  };
}

/** All that the engine would need to go on somewhere else. States stand in the order in which the budget gives them up. */
export function snapshotEngine(engine: Engine): EngineSnapshot {
  return {
    v: SNAPSHOT_VERSION,
    watermarkMs: Number.isFinite(engine.watermarkMs) ? engine.watermarkMs : null,
    reported: [...engine.reported],
    states: Array.from(engine.states(), (held) =>
      'group' in held ? packRow(held, engine.simpleRules.memory, engine.predicates) : packState(held),
    ),
  };
}

function unpackPrefixes(packed: PackedPrefixes, nodes: readonly Node[], plan: RulePlan): Prefixes {
  return packed.map((buckets) => {
    if (plan.single) return nodes[buckets[0]?.[1][0] ?? -1] ?? null;
    if (buckets.length === 0) return null;
    return Buckets.of(
      buckets.map(([value, numbers]) => [value, numbers.map((number) => nodes[number] as Node)] as const),
    );
  });
}

function unpackStatistics(
  packed: PackedState,
  plan: RulePlan,
  entries: readonly Entry[],
): KeyState['statistics'] {
  return packed.statistics.map((each, at) => {
    // Two of each measure: by event time and by append time.
    const statistic = plan.rule.statistics[at >> 1];
    if (each === null || statistic === undefined) return undefined;
    return unpackStatistic<Entry>(statistic.plan, each, (number) => entries[number as number] as Entry);
  });
}

/** A snapshot that went through JSON holds packed cells; one that did not, the cells themselves. */
function unpackFields(plan: RulePlan, fields: Entry['fields']): Entry['fields'] {
  if (!plan.isFlow.includes(true)) return fields;
  return fields.map((value, at) => {
    const reader = flowReader(plan.rule.valueFields[at] as string);
    if (reader === undefined || value === null || value instanceof FlowCell) return value;
    return FlowCell.unpack(reader, value as unknown as PackedCell);
  });
}

function unpackState(packed: PackedState, plan: RulePlan): KeyState {
  const state = newKeyState(plan, packed.tenant, packed.key);
  const entries = packed.entries.map((entry) => ({ ...entry, fields: unpackFields(plan, entry.fields) }));
  const nodes = unpackNodes(packed.nodes, entries);
  state.usedMs = packed.usedMs;
  if (packed.fired.length > 0) state.fired = new Map(packed.fired);
  state.entries = entries.slice(0, packed.listed);
  state.base = unpackPrefixes(packed.base, nodes, plan);
  state.byAppend = unpackPrefixes(packed.byAppend, nodes, plan);
  state.statistics = unpackStatistics(packed, plan, entries);
  state.advanced = packed.advanced;
  state.current = copyPrefixes(state.base);
  if (plan.rule.guards.length === 0 && plan.rule.body !== 'any_of') {
    for (const entry of state.entries) applyEntry(plan, state.current, entry, { timeMs: entry.timeMs });
  }
  return state;
}

/** An engine that goes on where the snapshot was taken. States of rules that are not loaded any more are left out. */
export function restoreEngine(
  snapshot: EngineSnapshot,
  rules: readonly CompiledRule[],
  options: EngineOptions,
): Engine {
  const engine = new Engine(rules, options);
  engine.watermarkMs = snapshot.watermarkMs ?? Number.NEGATIVE_INFINITY;
  for (const [key, atMs] of snapshot.reported) engine.reported.set(key, atMs);
  for (const packed of snapshot.states) {
    if ('group' in packed) {
      const row = unpackRow(packed, engine);
      if (row !== undefined) engine.adoptRow(row);
      continue;
    }
    const plan = engine.planOf(packed.rule);
    if (plan !== undefined) engine.adopt(unpackState(packed, plan));
  }
  return engine;
}
