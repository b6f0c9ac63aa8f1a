/**
 * A row of simple rules in a snapshot. Selections and rules stand there by hash: what a changed rule held is left out,
 * the others of the row keep theirs.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import { Packer, type PackedNode } from './pack.ts';
import type { PredicateIndex } from './predicate-index.ts';
import type { Node } from './prefixes.ts';
import { Evidence, type SimpleEntry } from './simple-evidence.ts';
import type { SimpleGroup, Touches } from './simple-group.ts';
import { asFirst, NONE, type SimpleMemory } from './simple-memory.ts';
import { newRow, type SimpleRow } from './simple-row.ts';
import type { SimpleRules } from './simple-rules.ts';

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
  readonly nodes: readonly PackedNode[];
  /** What held by event time before the ring. */
  readonly base: PackedTrack;
  /** Number of the last entry in it, -1 where there is none. */
  readonly baseEnd: number;
  readonly byAppend: PackedTrack;
  readonly advanced: boolean;
}

const hashOf = (group: SimpleGroup, rule: number): string => group.plans[rule]?.rule.hash ?? '';

/** Held by one track of a row: by state since when, and the entry or node. */
type Track = Map<number, { readonly startMs: number; readonly held: number }>;

function trackOf(row: SimpleRow, { cells }: SimpleMemory, track: 0 | 1): Track {
  const held: Track = new Map();
  for (let cell = row.cellAt; cell < row.cellAt + row.cellCount; cell++) {
    const state = cells.state(cell);
    const what = cells.numbers[cell * 8 + 4 + track] as number;
    if (state >= 0 && what !== NONE)
      held.set(state, { startMs: cells.starts[cell * 4 + track] as number, held: what });
  }
  return held;
}

/** Takes back what the ring has written. */
function baseOf(row: SimpleRow, memory: SimpleMemory): Track {
  const { entries, undos } = memory;
  const base = trackOf(row, memory, 0);
  for (let entry = row.ringTail; entry !== NONE; entry = entries.before(entry)) {
    const from = entries.undoAt(entry);
    for (let at = from + entries.overwrote(entry) - 1; at >= from; at--) {
      const [state, held] = [undos.state(at), undos.held(at)];
      if (held === NONE) base.delete(state);
      else base.set(state, { startMs: undos.startMs(at), held });
    }
  }
  return base;
}

/** The entries of the ring in their order. */
function ringOf(row: SimpleRow, { entries }: SimpleMemory): number[] {
  const ring: number[] = [];
  for (let entry = row.ringHead; entry !== NONE; entry = entries.after(entry)) ring.push(entry);
  return ring;
}

class RowPacker {
  private readonly row: SimpleRow;
  private readonly memory: SimpleMemory;
  private readonly index: PredicateIndex;
  private readonly evidence: Evidence;
  readonly packer: Packer<SimpleEntry>;
  readonly ringLength: number;

  constructor(row: SimpleRow, memory: SimpleMemory, index: PredicateIndex) {
    this.row = row;
    this.memory = memory;
    this.index = index;
    this.evidence = new Evidence(memory);
    const ring = ringOf(row, memory).map((entry) => this.evidence.entry(entry));
    this.ringLength = ring.length;
    this.packer = new Packer(ring);
  }

  entryNumber(entry: number): number {
    return entry === NONE ? -1 : this.packer.entry(this.evidence.entry(entry));
  }

  track(track: Track, timeBasis: 'event' | 'append'): PackedTrack {
    const { group } = this.row;
    const firsts: (readonly [string, number])[] = [];
    const advanced: (readonly [string, number, number])[] = [];
    for (const [state, { startMs, held }] of track) {
      if (group.isFirst(state)) {
        const selection = this.index.selections[group.firstSelections[state] ?? -1]?.hash ?? '';
        firsts.push([selection, this.entryNumber(held)]);
        continue;
      }
      const prefix = group.prefixes[state - group.firstSelections.length];
      const node = this.evidence.prefix(held, timeBasis, startMs) as Node;
      advanced.push([prefix?.plan.rule.hash ?? '', prefix?.state ?? 0, this.packer.node(node)]);
    }
    return { firsts, advanced };
  }

  entries(): PackedEntry[] {
    return this.packer.entries.map((entry) => this.entry(entry));
  }

  private entry(entry: SimpleEntry): PackedEntry {
    const { number, timeMs, appendMs, partition, offset, line, reference } = entry;
    const { group } = this.row;
    const touches = this.memory.entries.touches[number] as Touches;
    return {
      at: [timeMs, appendMs, partition, offset, line],
      reference,
      fits: touches.selections.map((at) => this.index.selections[at]?.hash ?? ''),
      told: (this.memory.told.get(number) ?? []).map((code) => [hashOf(group, code >> 1), code & 1] as const),
    };
  }
}

/** A row as plain JSON. */
export function packRow(row: SimpleRow, memory: SimpleMemory, index: PredicateIndex): PackedRow {
  const packer = new RowPacker(row, memory, index);
  const base = packer.track(baseOf(row, memory), 'event');
  const byAppend = packer.track(trackOf(row, memory, 1), 'append');
  const baseEnd = packer.entryNumber(row.baseEnd);
  const fired = [...row.fired.entries()].flatMap(([rule, firings]) =>
    firings === undefined ? [] : [[hashOf(row.group, rule), [...firings]] as const],
  );
  return {
    group: row.group.name,
    tenant: row.tenant,
    key: row.keyText,
    name: row.name,
    usedMs: row.usedMs,
    horizonMs: row.horizonMs,
    advanced: row.begun,
    fired,
    base,
    baseEnd,
    byAppend,
    entries: packer.entries(),
    listed: packer.ringLength,
    nodes: packer.packer.nodes,
  };
}

const NOTHING: Touches = { selections: [], later: [], firsts: [], horizonMs: 0 };

/** Where a packed row finds its rules again. */
export interface RowHome {
  readonly predicates: PredicateIndex;
  readonly simpleRules: SimpleRules;
}

class RowUnpacker {
  private readonly packed: PackedRow;
  private readonly group: SimpleGroup;
  private readonly index: PredicateIndex;
  private readonly memory: SimpleMemory;
  private readonly rules: ReadonlyMap<string, number>;
  /** Numbers in memory of the packed entries and nodes. */
  private readonly entries: readonly number[];
  private readonly nodes: readonly number[];

  constructor(packed: PackedRow, group: SimpleGroup, home: RowHome) {
    this.packed = packed;
    this.group = group;
    this.index = home.predicates;
    this.memory = home.simpleRules.memory;
    this.rules = new Map(group.plans.map((plan, rule) => [plan.rule.hash, rule]));
    this.entries = packed.entries.map((entry) => this.entry(entry));
    const nodes: number[] = [];
    for (const [, , step, entry, prev] of packed.nodes) nodes.push(this.node(nodes, { step, entry, prev }));
    this.nodes = nodes;
  }

  row(replay: (row: SimpleRow, entry: number) => void): SimpleRow {
    const { packed } = this;
    const row = newRow(this.group, packed.tenant, packed.key, packed.name);
    row.usedMs = packed.usedMs;
    row.horizonMs = packed.horizonMs;
    row.begun = packed.advanced;
    row.advanced = packed.advanced;
    for (const [hash, firings] of packed.fired) {
      const rule = this.rules.get(hash);
      if (rule !== undefined) row.fired[rule] = new Map(firings);
    }
    row.baseEnd = this.entries[packed.baseEnd] ?? NONE;
    this.fill(row, packed.base, 0);
    this.fill(row, packed.byAppend, 1);
    for (const entry of this.entries.slice(0, packed.listed)) replay(row, entry);
    return row;
  }

  private touches(fits: PackedEntry['fits']): Touches {
    const numbers = fits.flatMap((hash) => this.index.numberOf(hash) ?? []).toSorted((a, b) => a - b);
    return this.group.touches(numbers) ?? NOTHING;
  }

  private entry({ at, reference, told, fits }: PackedEntry): number {
    const [timeMs, appendMs, partition, offset, line] = at;
    const { entries } = this.memory;
    const entry = entries.add({ timeMs, appendMs, partition, offset, line }, this.touches(fits));
    entries.kept.put(entry, { reference: () => reference });
    const codes = told.flatMap(([hash, append]) => {
      const rule = this.rules.get(hash);
      return rule === undefined ? [] : [rule * 2 + append];
    });
    if (codes.length > 0) this.memory.told.set(entry, codes);
    return entry;
  }

  /** First steps are no nodes in memory: their entry stands for them. */
  private node(
    nodes: readonly number[],
    { step, entry, prev }: { readonly step: number; readonly entry: number; readonly prev: number },
  ): number {
    const own = this.entries[entry] as number;
    return step === 0 ? asFirst(own) : this.memory.nodes.add(own, nodes[prev] ?? NONE, step);
  }

  private fill(row: SimpleRow, { firsts, advanced }: PackedTrack, track: 0 | 1): void {
    const { entries } = this.memory;
    for (const [hash, at] of firsts) {
      const state = this.group.firstSelections.indexOf(this.index.numberOf(hash) ?? -1);
      const entry = this.entries[at] as number;
      const startMs = track === 0 ? entries.timeMs(entry) : entries.appendMs(entry);
      if (state >= 0) this.put(row, state, { track, startMs, held: entry });
    }
    for (const [hash, step, at] of advanced) {
      const state = this.group.prefixState(hash, step);
      const startMs = this.packed.nodes[at]?.[0] ?? Number.NEGATIVE_INFINITY;
      if (state !== undefined) this.put(row, state, { track, startMs, held: this.nodes[at] as number });
    }
  }

  private put(
    row: SimpleRow,
    state: number,
    { track, startMs, held }: { readonly track: 0 | 1; readonly startMs: number; readonly held: number },
  ): void {
    const { cells } = this.memory;
    const cell = cells.take(row, state);
    cells.starts[cell * 4 + track] = startMs;
    cells.numbers[cell * 8 + 4 + track] = held;
  }
}

/** The row again; undefined where no loaded rule has its key any more. */
export function unpackRow(packed: PackedRow, home: RowHome): SimpleRow | undefined {
  const { simpleRules } = home;
  const group = simpleRules.groupOf(packed.group);
  if (group === undefined) return undefined;
  const unpacker = new RowUnpacker(packed, group, home);
  return unpacker.row((row, entry) => simpleRules.runner.replay(row, entry));
}
