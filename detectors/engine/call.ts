/**
 * What the matcher sees of an event. Two forms hold it: a parsed event (stage one, backtests, rule tests) and a fact
 * (stage two). All content is attacker-controlled; nothing of it is more than a value to compare.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import type { FieldReader } from '../compile/fields.ts';
import type { Selection } from '../compile/rule.ts';
import type { KeptCalls } from './kept-calls.ts';
import type { FlowCell } from '../compile/flow-cell.ts';

/** What an alert cites of a call. */
export type CallSummary = Omit<CallReference, 'step'>;

/** Enough of a call to cite it, and no more: a body is not kept for it. */
export interface KeptCall {
  reference(): CallSummary;
}

export interface Call {
  readonly tenant: string;
  readonly kind: string;
  /** Effective tool class. */
  readonly toolClass: string;
  /** Effective time (detectors/engine/time.ts), Unix ms. */
  readonly timeMs: number;
  /** Append time as a running maximum of its partition, Unix ms. */
  readonly appendMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  /** Identity of the call: the same for its intent and its result. */
  readonly callKey: string;
  /** A part of a long body: only what reads bodies or follows values from them sees it. */
  readonly continues?: boolean;
  matches(selection: Selection): boolean;
  /** Hashes of the selections that it fits, where that was settled before (facts); then nothing is read of it. */
  readonly fits?: ReadonlySet<string>;
  /** Raw value of a field. */
  read(reader: FieldReader): unknown;
  /** Value of a field as text, null when missing or no scalar. */
  value(field: string): string | null;
  /** What a flow field holds, null where there is nothing to follow. */
  flow(field: string): FlowCell | null;
  /** For an alert; built only for calls that some rule keeps. */
  reference(): CallSummary;
  /** The same put off: writes what is kept of calls that most likely no alert will cite. */
  keep(into: KeptCalls, at: number): void;
}
