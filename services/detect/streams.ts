/** What a partition remembers of its streams: duplicates are skipped by (stream, seq), effective time never runs back. */
import { effectiveTimeMs } from '../../detectors/engine/time.ts';

interface StreamState {
  lastSeq: number;
  effectiveMs: number;
  /** Sequences that were jumped over and may still come: [first, last], in order. */
  missing: (readonly [number, number])[];
}

/** Streams remembered per partition; the one unused for longest is forgotten first. */
const MAX_STREAMS = 200_000;
/** Gaps remembered per stream. */
const MAX_GAPS = 16;

export type PackedStreams = readonly (readonly [
  key: string,
  lastSeq: number,
  effectiveMs: number,
  missing: readonly (readonly [number, number])[],
])[];

export class Streams {
  /** The one unused for longest first. */
  private readonly states = new Map<string, StreamState>();
  /** The one used last: the lines of a record are all of one stream. */
  private newest = '';

  /** Effective time of an event that was not seen before, undefined for a duplicate. */
  accept(key: string, seq: number, eventMs: number, appendMs: number): number | undefined {
    const state = this.states.get(key);
    if (state === undefined) {
      const effectiveMs = effectiveTimeMs(eventMs, appendMs, Number.NEGATIVE_INFINITY);
      this.remember(key, { lastSeq: seq, effectiveMs, missing: seq === 0 ? [] : [[0, seq - 1]] });
      return effectiveMs;
    }
    if (!claim(state, seq)) return undefined;
    if (key !== this.newest) {
      this.states.delete(key);
      this.states.set(key, state);
      this.newest = key;
    }
    state.effectiveMs = effectiveTimeMs(eventMs, appendMs, state.effectiveMs);
    return state.effectiveMs;
  }

  private remember(key: string, state: StreamState): void {
    this.states.set(key, state);
    this.newest = key;
    if (this.states.size <= MAX_STREAMS) return;
    const oldest = this.states.keys().next().value;
    if (oldest !== undefined) this.states.delete(oldest);
  }

  pack(): PackedStreams {
    return [...this.states].map(([key, s]) => [key, s.lastSeq, s.effectiveMs, s.missing] as const);
  }

  static unpack(packed: PackedStreams): Streams {
    const streams = new Streams();
    for (const [key, lastSeq, effectiveMs, missing] of packed) {
      streams.states.set(key, { lastSeq, effectiveMs, missing: [...missing] });
    }
    return streams;
  }
}

/** True when the sequence is new: above the last, or one of those jumped over. */
function claim(state: StreamState, seq: number): boolean {
  if (seq > state.lastSeq) {
    if (seq > state.lastSeq + 1) state.missing.push([state.lastSeq + 1, seq - 1]);
    bound(state.missing);
    state.lastSeq = seq;
    return true;
  }
  const at = state.missing.findIndex(([first, last]) => seq >= first && seq <= last);
  const gap = state.missing[at];
  if (gap === undefined) return false;
  const rest: (readonly [number, number])[] = [];
  if (gap[0] < seq) rest.push([gap[0], seq - 1]);
  if (gap[1] > seq) rest.push([seq + 1, gap[1]]);
  state.missing.splice(at, 1, ...rest);
  bound(state.missing);
  return true;
}

/**
 * The two oldest gaps become one. What lies between them may then be taken twice, as the same event with the same
 * alerts; forgetting a gap would take its events for repeats, and whoever leaves many would hide a late call so.
 */
function bound(missing: (readonly [number, number])[]): void {
  while (missing.length > MAX_GAPS) {
    const [oldest, next] = missing;
    if (oldest === undefined || next === undefined) return;
    missing.splice(0, 2, [oldest[0], next[1]]);
  }
}
