/** What becomes of one line: its drafts, its changed or held back bytes, and the answers to its sender. */
import type { EventDraft } from './draft.ts';
import type { HeldCall, Settled } from './holds.ts';
import type { WireMessage } from './message.ts';
import { applySplices, type Splice } from './trace-context.ts';

export interface Observation {
  /** In order; all before `forward` leaves when the line travels to the server. */
  readonly drafts: readonly EventDraft[];
  /** What to pass on: the very same bytes when nothing was changed; undefined when the whole line was refused. */
  readonly forward: Uint8Array | undefined;
  /** JSON texts for the sender of the line (refusals). */
  readonly answers: readonly string[];
  /** The line waits for verdicts: nothing of it leaves, nor is answered, before. */
  readonly held?: HeldLine;
}

export interface HeldLine {
  readonly calls: readonly HeldCall[];
  /** What becomes of the line, with what was decided about each of its calls, in their order. */
  settle(decided: readonly Settled[]): Observation;
}

/** Collected while the messages of a line are looked at. */
export interface LineState {
  readonly drafts: EventDraft[];
  readonly splices: Splice[];
  readonly answers: string[];
  readonly refused: Set<WireMessage>;
  /** Calls that must wait, each already open. */
  readonly held: HeldCall[];
}

export function newLineState(): LineState {
  return { drafts: [], splices: [], answers: [], refused: new Set(), held: [] };
}

/** Refusals of one batch are answered as one batch. */
export function joined(state: LineState, isBatch: boolean): readonly string[] {
  if (state.answers.length === 0 || !isBatch) return state.answers;
  return [`[${state.answers.join(',')}]`];
}

export function forwarded(
  line: Uint8Array,
  messages: readonly WireMessage[],
  state: LineState,
): Uint8Array | undefined {
  if (state.refused.size === 0) return applySplices(line, state.splices);
  const kept = messages.filter((message) => !state.refused.has(message));
  if (kept.length === 0) return undefined;
  const decoder = new TextDecoder();
  // What is left of a batch: each element with its own splices, byte for byte.
  const parts = kept.map((message) => {
    const { start, end } = message.span;
    const own = state.splices
      .filter((splice) => splice.start >= start && splice.end <= end)
      .map((splice) => ({ ...splice, start: splice.start - start, end: splice.end - start }));
    return decoder.decode(applySplices(line.subarray(start, end), own));
  });
  return new TextEncoder().encode(`[${parts.join(',')}]`);
}
