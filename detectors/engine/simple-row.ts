/**
 * State of all simple rules of one key. Two tracks, by event time and by append time; a ring of the newest events so
 * that a late one can be put in its place and the rest run again from a copy of the state before them.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import { compareEntries, type Entry, type Node } from './prefixes.ts';
import type { SimpleGroup, Touch, Touches } from './simple-group.ts';
import type { Completed, TimeBasis } from './state.ts';

/** The ring holds between so many and twice as many of the newest events; older ones are in its base. */
export const RING = 64;

const NO_FIELDS: readonly (string | null)[] = [];

type EntryPlace = Pick<Entry, 'timeMs' | 'appendMs' | 'partition' | 'offset' | 'line' | 'callKey'>;

/** An event that simple rules touch; shared by all of them, so what it completed is kept by rule. */
export class SimpleEntry implements Entry {
  readonly timeMs: number;
  readonly appendMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly callKey: string;
  readonly touches: Touches;
  readonly stepMask = 0;
  readonly guardMask = 0;
  readonly fields = NO_FIELDS;
  readonly reference: Omit<CallReference, 'step'>;
  /** Rules that it completed an alert of: the rule's number twice, plus one where by append time only. */
  told: number[] | null = null;
  alerted: 'event' | 'append' | null = null;

  constructor(at: EntryPlace, reference: Omit<CallReference, 'step'>, touches: Touches) {
    this.timeMs = at.timeMs;
    this.appendMs = at.appendMs;
    this.partition = at.partition;
    this.offset = at.offset;
    this.line = at.line;
    this.callKey = at.callKey;
    this.reference = reference;
    this.touches = touches;
  }
}

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

export interface SimpleRow {
  readonly group: SimpleGroup;
  readonly tenant: string;
  readonly keyText: string;
  readonly mapKey: string;
  byEvent: Track;
  readonly byAppend: Track;
  /** State by event time before the ring; null while nothing has left it. */
  base: Track | null;
  /** State after the first RING events of the ring. */
  middle: Track | null;
  /** In order of effective time. */
  ring: SimpleEntry[];
  readonly fired: (Fired | undefined)[];
  usedMs: number;
  horizonMs: number;
  advanced: boolean;
}

export function newRow(group: SimpleGroup, tenant: string, keyText: string, mapKey: string): SimpleRow {
  return {
    group,
    tenant,
    keyText,
    mapKey,
    byEvent: newTrack(),
    byAppend: newTrack(),
    base: null,
    middle: null,
    ring: [],
    fired: [],
    usedMs: Number.NEGATIVE_INFINITY,
    horizonMs: 0,
    advanced: false,
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
  /** Takes a completed assignment; absent where what completes has been told before. */
  readonly complete?: ((touch: Touch, last: Node) => void) | undefined;
}

function applyTouch(visit: Visit, touch: Touch, timeMs: number): void {
  const { track, entry, basis } = visit;
  const prev = before(track, touch, { timeMs, basis });
  if (prev === null) return;
  const startMs = prev === undefined ? timeMs : prev.startMs;
  const node: Node = {
    startMs,
    lastMs: timeMs,
    step: touch.step,
    entry,
    prev: prev ?? null,
    signature: '',
  };
  if (touch.to < 0) {
    visit.complete?.(touch, node);
    return;
  }
  const advanced = (track.advanced ??= new Map<number, Node>());
  const held = advanced.get(touch.to);
  if (held === undefined || held.startMs <= startMs) advanced.set(touch.to, node);
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

/** Completions of one entry by one basis, each rule once; event time speaks again after append time. */
function collector(
  entry: SimpleEntry,
  basis: TimeBasis,
  into: SimpleCompleted[],
): (touch: Touch, last: Node) => void {
  return (touch, last) => {
    const told = toldBy(entry, touch.rule);
    if (told === 'event' || (told === 'append' && basis === 'append')) return;
    (entry.told ??= []).push(touch.rule * 2 + (basis === 'event' ? 0 : 1));
    into.push({ touch, completed: { last, timeBasis: basis } });
  };
}

export interface RowOutcome {
  readonly completed: readonly SimpleCompleted[];
  /** It came too late for the ring, so only append time has seen it. */
  readonly unrepaired: boolean;
}

/** One event of the row, in the order of arrival. */
export function applyToRow(row: SimpleRow, entry: SimpleEntry): RowOutcome {
  const completed: SimpleCompleted[] = [];
  const { ring } = row;
  let at = ring.length;
  while (at > 0 && compareEntries(ring[at - 1] as SimpleEntry, entry) > 0) at--;
  const unrepaired = at === 0 && row.base !== null;
  if (!unrepaired) {
    if (at === ring.length) {
      ring.push(entry);
      applyEntry({
        track: row.byEvent,
        entry,
        basis: 'event',
        complete: collector(entry, 'event', completed),
      });
      roll(row);
    } else {
      ring.splice(at, 0, entry);
      rerun(row, at, completed);
    }
  }
  const complete = collector(entry, 'append', completed);
  applyEntry({ track: row.byAppend, entry, basis: 'append', complete });
  return { completed, unrepaired };
}

/** Keeps the ring short: a copy of the state every RING events, so that no event is applied twice in order. */
function roll(row: SimpleRow): void {
  const { length } = row.ring;
  if (length === RING) row.middle = copyTrack(row.byEvent);
  if (length < 2 * RING) return;
  row.base = row.middle;
  row.ring = row.ring.slice(RING);
  row.middle = copyTrack(row.byEvent);
}

/** Runs the ring again from its base; completions count from `from` on. */
function rerun(row: SimpleRow, from: number, completed: SimpleCompleted[]): void {
  const track = row.base === null ? newTrack() : copyTrack(row.base);
  row.middle = null;
  row.ring.forEach((entry, index) => {
    const complete = index < from ? undefined : collector(entry, 'event', completed);
    applyEntry({ track, entry, basis: 'event', complete });
    if (index === RING - 1) row.middle = copyTrack(track);
  });
  row.byEvent = track;
  roll(row);
}

/** Whether a prefix of more than one step is held, or a firing remembered. */
export function isAdvanced(row: SimpleRow): boolean {
  return row.byEvent.advanced !== null || row.fired.length > 0;
}

/** The state by event time and its middle, from base and ring: what a snapshot leaves out. */
export function replayRing(row: SimpleRow): void {
  const track = row.base === null ? newTrack() : copyTrack(row.base);
  row.ring.forEach((entry, index) => {
    applyEntry({ track, entry, basis: 'event' });
    if (index === RING - 1) row.middle = copyTrack(track);
  });
  row.byEvent = track;
}
