/** What `rules explain` answers: why a rule fired, or how far each key came and what it waits for. Plain data. */
import type { Refusal } from './prefixes.ts';
import type { TimeBasis } from './state.ts';

export interface ExplainedCall {
  readonly step: string;
  readonly eventId: string;
  /** Effective time: what the rule goes by. */
  readonly timeMs: number;
  readonly appendMs: number;
  readonly session: string;
  readonly agent: string;
  readonly tool?: string;
  readonly destHost?: string;
}

export interface ExplainedMatch {
  readonly calls: readonly ExplainedCall[];
  readonly timeBasis: TimeBasis;
  /** First to last call, by the time that the match holds in. */
  readonly spanMs: number;
  /** null where the rule has no window of its own (measures have theirs). */
  readonly withinMs: number | null;
  /** Steps that have a longest time since the call before, and what of it was used. */
  readonly gaps: readonly { readonly step: string; readonly usedMs: number; readonly withinMs: number }[];
  /** False where after_match thinned it. */
  readonly told: boolean;
  /** Decided only when the watermark reaches this, past the last event; null where it is decided. */
  readonly decidedAtMs: number | null;
  readonly exception?: string;
  readonly measured?: number;
}

export interface ExplainedNext {
  readonly step: string;
  /** The sequence is whole without it. */
  readonly optional: boolean;
  /** Conditions in words: all of one list hold, of any list. */
  readonly conditions: readonly (readonly string[])[];
  readonly joins: readonly string[];
  /** Effective time up to which a call may come, inclusive. */
  readonly untilMs: number;
}

export interface ExplainedPartial {
  /** Steps that are met; empty for a rule that waits for its first. */
  readonly met: readonly ExplainedCall[];
  readonly state: 'open' | 'window_passed' | 'killed';
  /** By which time it stands so; append time is told where it differs. */
  readonly timeBasis: TimeBasis;
  readonly waitsFor: readonly ExplainedNext[];
  /** Start and window: after it nothing extends it. */
  readonly untilMs: number;
  readonly killedBy?: { readonly guard: string; readonly call: ExplainedCall };
}

/** A call that fits a step and yet served none, and why. */
export interface ExplainedRefusal {
  readonly call: ExplainedCall;
  readonly reason: Refusal | 'nothing_before' | 'guard';
  readonly detail: string;
}

export interface ExplainedMeasure {
  readonly measure: string;
  /** null while the samples say nothing. */
  readonly reads: number | null;
  /** Comparisons that must hold, as `gte 40`. */
  readonly against: readonly string[];
  readonly samples: number;
  readonly needs: number;
}

export interface ExplainedKey {
  readonly tenant: string;
  readonly key: Readonly<Record<string, string>>;
  readonly matches: readonly ExplainedMatch[];
  readonly partials: readonly ExplainedPartial[];
  readonly refused: readonly ExplainedRefusal[];
  readonly measures: readonly ExplainedMeasure[];
}

export interface Explanation {
  readonly rule: string;
  readonly title: string;
  readonly scope: 'session' | 'tenant';
  readonly events: number;
  /** Latest append time: what "now" means here; null without events. */
  readonly nowMs: number | null;
  /** How many events fit each selection of the rule. */
  readonly selections: readonly { readonly name: string; readonly events: number }[];
  readonly keys: readonly ExplainedKey[];
}
