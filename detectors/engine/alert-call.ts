/** An alert as an event of its own, for rules on alerts of other rules: the call that completed it, and what it says. */
import type { Event } from '../../schemas/event/v1.ts';
import type { FieldReader } from '../compile/fields.ts';
import type { Selection } from '../compile/rule.ts';
import type { FlowCell } from '../compile/flow-cell.ts';
import { alertBody, alertLine, type Sha256 } from './alert.ts';
import type { Call, CallSummary } from './call.ts';
import type { KeptCalls } from './kept-calls.ts';
import type { Match } from './finding.ts';
import { ParsedCall, type CallFacts } from './parsed-call.ts';

/** Rules on alerts of rules on alerts: so deep and no deeper, whatever rules name each other. */
export const MAX_ALERT_DEPTH = 3;

const NO_HOST = (): string => '';

/** Tool class of an alert: that of the call that completed it. */
export function alertClass({ completed }: Match): string {
  return completed.last.entry.reference.class ?? 'other';
}

export class AlertCall implements Call {
  readonly tenant: string;
  readonly kind = 'alert';
  readonly toolClass: string;
  readonly timeMs: number;
  readonly appendMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  /** Several alerts may be completed by one call: each is a call of its own to rules on alerts. */
  readonly callKey: string;
  private readonly completing: CallSummary;
  private readonly inner: ParsedCall;

  constructor(match: Match, hashes: { readonly sha256: Sha256; readonly sha256Hex: CallFacts['sha256Hex'] }) {
    const { entry } = match.completed.last;
    const body = alertBody(match, hashes.sha256);
    this.completing = { ...entry.reference, alert: body.id };
    this.tenant = match.tenant;
    this.toolClass = alertClass(match);
    this.timeMs = entry.timeMs;
    this.appendMs = match.decidedMs;
    this.partition = entry.partition;
    this.offset = entry.offset;
    this.line = entry.line;
    this.callKey = body.id;
    const { server, tool } = entry.reference;
    // Not an event that a producer could send: kind `alert` is no kind of theirs.
    const event = { ...alertLine(body), server, tool } as unknown as Event;
    const place = { ...this.completing, tenant: match.tenant, timeMs: this.timeMs, appendMs: this.appendMs };
    const facts = { toolClass: this.toolClass, destHost: NO_HOST, sha256Hex: hashes.sha256Hex };
    this.inner = new ParsedCall(event, place, facts);
  }

  matches(selection: Selection): boolean {
    return this.inner.matches(selection);
  }

  read(reader: FieldReader): unknown {
    return this.inner.read(reader);
  }

  value(field: string): string | null {
    return this.inner.value(field);
  }

  flow(field: string): FlowCell | null {
    return this.inner.flow(field);
  }

  /** The call that completed the alert is what an analyst needs to see. */
  reference(): CallSummary {
    return this.completing;
  }

  keep(into: KeptCalls, at: number): void {
    const { completing } = this;
    into.put(at, { reference: () => completing });
  }
}
