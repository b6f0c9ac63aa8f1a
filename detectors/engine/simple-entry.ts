/** An event as simple rules keep it. */
import type { CallSummary, KeptCall } from './call.ts';
import type { Entry, FieldValue } from './prefixes.ts';
import type { Touches } from './simple-group.ts';

const NO_FIELDS: readonly (FieldValue | null)[] = [];

/**
 * An event that simple rules touch; shared by all of them, so what it completed is kept by rule. Most are never told:
 * what an alert cites of it is put together when one does.
 */
export class SimpleEntry implements Entry {
  readonly timeMs: number;
  readonly appendMs: number;
  readonly touches: Touches;
  private readonly kept: KeptCall;
  /** Rules that it completed an alert of: the rule's number twice, plus one where by append time only. */
  told: number[] | null = null;

  constructor(at: Pick<Entry, 'timeMs' | 'appendMs'>, kept: KeptCall, touches: Touches) {
    this.timeMs = at.timeMs;
    this.appendMs = at.appendMs;
    this.kept = kept;
    this.touches = touches;
  }

  get partition(): number {
    return this.kept.partition;
  }
  get offset(): number {
    return this.kept.offset;
  }
  get line(): number {
    return this.kept.line;
  }
  get reference(): CallSummary {
    return this.kept.reference();
  }
  // What the generic path keeps of an entry; simple rules ask for none of it.
  get callKey(): string {
    return '';
  }
  get stepMask(): number {
    return 0;
  }
  get guardMask(): number {
    return 0;
  }
  get fields(): readonly (FieldValue | null)[] {
    return NO_FIELDS;
  }
  get alerted(): null {
    return null;
  }
}
