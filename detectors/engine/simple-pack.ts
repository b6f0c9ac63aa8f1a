/**
 * A row of simple rules in a snapshot. Selections and rules stand there by hash: what a changed rule held is left out,
 * the others of the row keep theirs.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import { Packer, unpackNodes, type PackedNode } from './pack.ts';
import type { PredicateIndex } from './predicate-index.ts';
import type { Node } from './prefixes.ts';
import type { SimpleGroup, Touches } from './simple-group.ts';
import { SimpleEntry } from './simple-entry.ts';
import { newRow, newTrack, replayRing, type SimpleRow, type Track } from './simple-row.ts';

interface PackedEntry {
  readonly at: readonly [timeMs: number, appendMs: number, partition: number, offset: number, line: number];
  readonly reference: Omit<CallReference, 'step'>;
  /** Hashes of the selections that it fits. */
  readonly fits: readonly string[];
  /** Hash of each rule that it completed an alert of, and whether by append time only. */
  readonly told: readonly (readonly [rule: string, append: number])[];
}

interface PackedTrack {
  readonly firsts: readonly (readonly [selection: string, entry: number])[];
  readonly advanced: readonly (readonly [rule: string, state: number, node: number])[];
}

export interface PackedRow {
  /** What the key reads. */
  readonly group: string;
  readonly tenant: string;
  readonly key: string;
  /** Its name among the rows of its tenant. */
  readonly name: string;
  readonly usedMs: number;
  readonly horizonMs: number;
  readonly fired: readonly (readonly [rule: string, firings: readonly (readonly [string, number])[]])[];
  readonly entries: readonly PackedEntry[];
  /** How many of `entries`, from the first, are the ring. */
  readonly listed: number;
  /** How many of these, from the first, the next base holds. */
  readonly middle: number;
  readonly nodes: readonly PackedNode[];
  readonly base: PackedTrack | null;
  /** Number of the last entry in it, -1 where there is none. */
  readonly baseEnd: number;
  readonly byAppend: PackedTrack;
  readonly advanced: boolean;
}

const hashOf = (group: SimpleGroup, rule: number): string => group.plans[rule]?.rule.hash ?? '';

function packEntry(group: SimpleGroup, index: PredicateIndex, entry: SimpleEntry): PackedEntry {
  const { timeMs, appendMs, partition, offset, line, reference } = entry;
  return {
    at: [timeMs, appendMs, partition, offset, line],
    reference,
    fits: entry.touches.selections.map((number) => index.selections[number]?.hash ?? ''),
    told: (entry.told ?? []).map((code) => [hashOf(group, code >> 1), code & 1] as const),
  };
}

/** A row as plain JSON. */
export function packRow(row: SimpleRow, index: PredicateIndex): PackedRow {
  const { group } = row;
  const packer = new Packer<SimpleEntry>(row.ring);
  const track = ({ firstNumbers, firsts, advanced }: Track): PackedTrack => ({
    firsts: firstNumbers.map((number, at) => {
      const selection = index.selections[group.firstSelections[number] ?? -1]?.hash ?? '';
      return [selection, packer.entry(firsts[at] as SimpleEntry)] as const;
    }),
    advanced: [...(advanced ?? [])].map(([number, node]) => {
      const state = group.states[number];
      return [state?.plan.rule.hash ?? '', state?.state ?? 0, packer.node(node)] as const;
    }),
  });
  const base = row.base === null ? null : track(row.base);
  const byAppend = track(row.byAppend);
  const baseEnd = row.baseEnd === null ? -1 : packer.entry(row.baseEnd);
  const fired = [...row.fired.entries()].flatMap(([rule, firings]) =>
    firings === undefined ? [] : [[hashOf(group, rule), [...firings]] as const],
  );
  return {
    group: group.name,
    tenant: row.tenant,
    key: row.keyText,
    name: row.name,
    usedMs: row.usedMs,
    horizonMs: row.horizonMs,
    advanced: row.advanced,
    fired,
    base,
    baseEnd,
    byAppend,
    entries: packer.entries.map((entry) => packEntry(group, index, entry)),
    listed: row.ring.length,
    middle: row.middle?.length ?? 0,
    nodes: packer.nodes,
  };
}

const NOTHING: Touches = { selections: [], later: [], firsts: [], horizonMs: 0 };

/** Where a packed row finds its rules again. */
export interface RowHome {
  readonly predicates: PredicateIndex;
  groupOf(name: string): SimpleGroup | undefined;
}

class Unpacker {
  private readonly group: SimpleGroup;
  private readonly index: PredicateIndex;
  private readonly rules: ReadonlyMap<string, number>;

  constructor(group: SimpleGroup, index: PredicateIndex) {
    this.group = group;
    this.index = index;
    this.rules = new Map(group.plans.map((plan, rule) => [plan.rule.hash, rule]));
  }

  rule(hash: string): number | undefined {
    return this.rules.get(hash);
  }

  entry(packed: PackedEntry): SimpleEntry {
    const [timeMs, appendMs, partition, offset, line] = packed.at;
    const numbers = packed.fits.flatMap((hash) => this.index.numberOf(hash) ?? []).toSorted((a, b) => a - b);
    const touches = this.group.touches(numbers) ?? NOTHING;
    const kept = { partition, offset, line, reference: () => packed.reference };
    const entry = new SimpleEntry({ timeMs, appendMs }, kept, touches);
    const told = packed.told.flatMap(([hash, append]) => {
      const rule = this.rule(hash);
      return rule === undefined ? [] : [rule * 2 + append];
    });
    if (told.length > 0) entry.told = told;
    return entry;
  }

  track(packed: PackedTrack, held: { entries: readonly SimpleEntry[]; nodes: readonly Node[] }): Track {
    const track = newTrack();
    for (const [hash, at] of packed.firsts) {
      const number = this.group.firstSelections.indexOf(this.index.numberOf(hash) ?? -1);
      if (number < 0) continue;
      track.firstNumbers.push(number);
      track.firsts.push(held.entries[at] as SimpleEntry);
    }
    for (const [hash, state, at] of packed.advanced) {
      const number = this.group.states.findIndex(
        (each) => each.plan.rule.hash === hash && each.state === state,
      );
      if (number >= 0) (track.advanced ??= new Map<number, Node>()).set(number, held.nodes[at] as Node);
    }
    return track;
  }
}

/** The row again; undefined where no loaded rule has its key any more. */
export function unpackRow(packed: PackedRow, home: RowHome): SimpleRow | undefined {
  const group = home.groupOf(packed.group);
  if (group === undefined) return undefined;
  const unpacker = new Unpacker(group, home.predicates);
  const entries = packed.entries.map((entry) => unpacker.entry(entry));
  const held = { entries, nodes: unpackNodes(packed.nodes, entries) };
  const row = newRow(group, packed.tenant, packed.key, packed.name);
  row.usedMs = packed.usedMs;
  row.horizonMs = packed.horizonMs;
  row.advanced = packed.advanced;
  for (const [hash, firings] of packed.fired) {
    const rule = unpacker.rule(hash);
    if (rule !== undefined) row.fired[rule] = new Map(firings);
  }
  row.ring = entries.slice(0, packed.listed);
  row.base = packed.base === null ? null : unpacker.track(packed.base, held);
  row.baseEnd = entries[packed.baseEnd] ?? null;
  Object.assign(row.byAppend, unpacker.track(packed.byAppend, held));
  replayRing(row, packed.middle);
  return row;
}
