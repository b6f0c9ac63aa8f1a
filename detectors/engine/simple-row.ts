/**
 * State of all simple rules of one key. Two tracks, by event time and by append time; a ring of the newest events so
 * that a late one can be put in its place and the rest run again from a copy of the state before them.
 */
import type { Held } from './budget.ts';
import { compareEntries, type Node } from './prefixes.ts';
import type { SimpleEntry } from './simple-entry.ts';
import type { SimpleGroup, Touch } from './simple-group.ts';
import { LATE_SPAN_MS, REPAIR_RING, type Completed, type TimeBasis } from './state.ts';

/**
 * Events that the ring may hold however old they are. What came later ago than a late event may is in its base; of a key
 * that calls more often than that, all but the newest MIN_REPAIR at least, MAX_RING + MIN_REPAIR at most.
 */
const MIN_RING = 4;
const MAX_RING = 128;
const MIN_REPAIR = REPAIR_RING;

/** Newest event of each first step, and the best prefix of each state beyond. */
export interface Track {
  readonly firstNumbers: number[];
  readonly firsts: SimpleEntry[];
  advanced: Map<number, Node> | null;
}

export function newTrack(): Track {
  return { firstNumbers: [], firsts: [], advanced: null };
}

function copyTrack(track: Track): Track {
  return {
    firstNumbers: track.firstNumbers.slice(),
    firsts: track.firsts.slice(),
    advanced: track.advanced === null ? null : new Map(track.advanced),
  };
}

/** By rule what the after_match policy remembers of its firings. */
export type Fired = Map<string, number>;

export interface SimpleRow extends Held {
  readonly group: SimpleGroup;
  readonly tenant: string;
  readonly keyText: string;
  /** Its name among the rows of its tenant. */
  readonly name: string;
  byEvent: Track;
  readonly byAppend: Track;
  /** State by event time before the ring, and the last event in it; null while nothing has left the ring. */
  base: Track | null;
  baseEnd: SimpleEntry | null;
  /** State after the first events of the ring, none of them newer than `newestMs` by either time: the next base. */
  middle: { readonly track: Track; readonly length: number; readonly newestMs: number } | null;
  /** In order of effective time. */
  ring: SimpleEntry[];
  readonly fired: (Fired | undefined)[];
  usedMs: number;
  horizonMs: number;
  advanced: boolean;
  /** Where the expiry wheel holds it. */
  expirySlot: number;
}

export function newRow(group: SimpleGroup, tenant: string, keyText: string, name: string): SimpleRow {
  return {
    group,
    tenant,
    keyText,
    name,
    byEvent: newTrack(),
    byAppend: newTrack(),
    base: null,
    baseEnd: null,
    middle: null,
    ring: [],
    fired: [],
    usedMs: Number.NEGATIVE_INFINITY,
    horizonMs: 0,
    advanced: false,
    expirySlot: 0,
    queue: null,
    older: null,
    newer: null,
  };
}

/** A whole assignment of a rule. */
export interface SimpleCompleted {
  readonly touch: Touch;
  readonly completed: Completed;
}

function firstOf(track: Track, number: number): SimpleEntry | undefined {
  const at = track.firstNumbers.indexOf(number);
  return at < 0 ? undefined : track.firsts[at];
}

const timeBy = (entry: SimpleEntry, basis: TimeBasis): number =>
  basis === 'event' ? entry.timeMs : entry.appendMs;

/** The prefix that a touch extends, null when none is alive; undefined where it needs none. */
function before(
  track: Track,
  touch: Touch,
  at: { timeMs: number; basis: TimeBasis },
): Node | null | undefined {
  const oldestMs = at.timeMs - touch.withinMs;
  if (touch.afterFirst >= 0) {
    const entry = firstOf(track, touch.afterFirst);
    if (entry === undefined) return null;
    const startMs = timeBy(entry, at.basis);
    if (startMs < oldestMs) return null;
    return { startMs, lastMs: startMs, step: 0, entry, prev: null, signature: '' };
  }
  if (touch.from < 0) return undefined;
  const node = track.advanced?.get(touch.from);
  return node === undefined || node.startMs < oldestMs ? null : node;
}

interface Visit {
  readonly track: Track;
  readonly entry: SimpleEntry;
  readonly basis: TimeBasis;
  /** Takes completed assignments that were not told before; absent where all of them were. */
  readonly into?: SimpleCompleted[] | undefined;
}

function applyTouch(visit: Visit, touch: Touch, timeMs: number): void {
  const { track, entry, basis } = visit;
  const prev = before(track, touch, { timeMs, basis });
  if (prev === null || (touch.to < 0 && !isNew(visit, touch.rule))) return;
  const startMs = prev === undefined ? timeMs : prev.startMs;
  const { step } = touch;
  const last: Node = { startMs, lastMs: timeMs, step, entry, prev: prev ?? null, signature: '' };
  if (touch.to < 0) complete(visit, touch, last);
  else keepLatest(track, touch.to, last);
}

function complete({ entry, basis, into }: Visit, touch: Touch, last: Node): void {
  (entry.told ??= []).push(touch.rule * 2 + (basis === 'event' ? 0 : 1));
  into?.push({ touch, completed: { last, timeBasis: basis } });
}

function keepLatest(track: Track, state: number, node: Node): void {
  const advanced = (track.advanced ??= new Map<number, Node>());
  const held = advanced.get(state);
  if (held === undefined || held.startMs <= node.startMs) advanced.set(state, node);
}

/** Whether the entry may still complete an alert of the rule: each once, but event time speaks again after append time. */
function isNew({ entry, basis, into }: Visit, rule: number): boolean {
  if (into === undefined) return false;
  const told = toldBy(entry, rule);
  return told === null || (told === 'append' && basis === 'event');
}

/** Lets an entry act on a track: its later steps first, then it is the newest of its first steps. */
function applyEntry(visit: Visit): void {
  const { track, entry, basis } = visit;
  const timeMs = timeBy(entry, basis);
  for (const touch of entry.touches.later) applyTouch(visit, touch, timeMs);
  for (const number of entry.touches.firsts) {
    const at = track.firstNumbers.indexOf(number);
    if (at >= 0) track.firsts[at] = entry;
    else {
      track.firstNumbers.push(number);
      track.firsts.push(entry);
    }
  }
}

function toldBy(entry: SimpleEntry, rule: number): TimeBasis | null {
  if (entry.told === null) return null;
  if (entry.told.includes(rule * 2)) return 'event';
  return entry.told.includes(rule * 2 + 1) ? 'append' : null;
}

export interface RowOutcome {
  readonly completed: readonly SimpleCompleted[];
  /** Its place is before events that have left the ring, so only append time has seen it. */
  readonly unrepaired: boolean;
}

/** One event of the row, in the order of arrival. */
export function applyToRow(row: SimpleRow, entry: SimpleEntry): RowOutcome {
  const into: SimpleCompleted[] = [];
  const { ring } = row;
  let at = ring.length;
  while (at > 0 && compareEntries(ring[at - 1] as SimpleEntry, entry) > 0) at--;
  const unrepaired = at === 0 && row.baseEnd !== null && compareEntries(row.baseEnd, entry) > 0;
  if (!unrepaired) {
    if (at === ring.length) {
      ring.push(entry);
      applyEntry({ track: row.byEvent, entry, basis: 'event', into });
    } else {
      ring.splice(at, 0, entry);
      rerun(row, at, into);
    }
    roll(row, entry.appendMs);
  }
  applyEntry({ track: row.byAppend, entry, basis: 'append', into });
  return { completed: into, unrepaired };
}

/**
 * Keeps the ring short. A copy of the state is made now and then; once all before it is older than a late event may be,
 * or the ring is full and enough stands behind the copy, it is the base. So no event is applied twice in order, and an
 * idle key keeps little.
 */
function roll(row: SimpleRow, nowMs: number): void {
  const { middle, ring } = row;
  if (ring.length < MIN_RING) return;
  if (middle !== null) {
    const full = ring.length >= Math.max(MAX_RING, middle.length + MIN_REPAIR);
    if (!full && middle.newestMs >= nowMs - LATE_SPAN_MS) return;
    const passedMs = ring[middle.length - 1]?.timeMs ?? Number.NEGATIVE_INFINITY;
    row.base = middle.track;
    row.baseEnd = ring[middle.length - 1] ?? row.baseEnd;
    row.ring = ring.slice(middle.length);
    // No event will be put before those of the base any more, nor appended before now.
    prune(row.group, row.byEvent, (entry) => passedMs - entry.timeMs);
    prune(row.group, row.byAppend, (entry) => nowMs - entry.appendMs);
  }
  row.middle = middleAt(row.byEvent, row.ring, row.ring.length);
}

/** Lets go of first steps that no later event can follow inside a window. */
function prune(group: SimpleGroup, track: Track, ageMs: (entry: SimpleEntry) => number): void {
  const { firstNumbers, firsts } = track;
  let kept = 0;
  for (let at = 0; at < firsts.length; at++) {
    const entry = firsts[at] as SimpleEntry;
    const number = firstNumbers[at] as number;
    if (ageMs(entry) > group.horizonOf(number)) continue;
    firsts[kept] = entry;
    firstNumbers[kept++] = number;
  }
  firsts.length = kept;
  firstNumbers.length = kept;
}

function middleAt(track: Track, ring: readonly SimpleEntry[], length: number): SimpleRow['middle'] {
  let newestMs = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < length; at++) {
    const { timeMs, appendMs } = ring[at] as SimpleEntry;
    newestMs = Math.max(newestMs, timeMs, appendMs);
  }
  return { track: copyTrack(track), length, newestMs };
}

/** Runs the ring again from its base; completions count from `from` on. The middle moves with what came before it. */
function rerun(row: SimpleRow, from: number, into: SimpleCompleted[]): void {
  const covered = row.middle?.length ?? 0;
  replayRing(row, from < covered ? covered + 1 : covered, { from, into });
}

/** State by event time and middle, from base and ring: also what a snapshot leaves out. */
export function replayRing(
  row: SimpleRow,
  middleLength: number,
  told?: { readonly from: number; readonly into: SimpleCompleted[] },
): void {
  const track = row.base === null ? newTrack() : copyTrack(row.base);
  const hadMiddle = row.middle !== null || middleLength > 0;
  row.middle = hadMiddle && middleLength === 0 ? middleAt(track, row.ring, 0) : null;
  row.ring.forEach((entry, index) => {
    const into = told !== undefined && index >= told.from ? told.into : undefined;
    applyEntry({ track, entry, basis: 'event', into });
    if (index === middleLength - 1) row.middle = middleAt(track, row.ring, middleLength);
  });
  row.byEvent = track;
}

/** Whether a prefix of more than one step is held, or a firing remembered. */
export function isAdvanced(row: SimpleRow): boolean {
  return row.byEvent.advanced !== null || row.fired.length > 0;
}
