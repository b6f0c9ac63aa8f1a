/** How the lines of the four ledger topics are read: one function for the writer and the verifier. */
import { zAlertLine, type AlertLine } from '../../schemas/alert/v1.ts';
import { zAuditLine, type AuditLine } from '../../schemas/audit/v1.ts';
import { zDeadLetterLine, type DeadLetterLine } from '../../schemas/deadletter/v1.ts';
import { readEventLine } from '../../schemas/event/read.ts';
import type { Event } from '../../schemas/event/v1.ts';
import { HEADERS, TOPICS } from '../../schemas/topics.ts';

export type LedgerLine =
  | {
      readonly kind: 'event';
      readonly event: Event;
      readonly unknownFields: readonly string[];
      /** Of the line, Unix ms, where it was read from the bytes. */
      readonly timeMs?: number;
    }
  | { readonly kind: 'alert'; readonly event: AlertLine }
  | { readonly kind: 'audit'; readonly event: AuditLine }
  | { readonly kind: 'dead_letter'; readonly event: DeadLetterLine }
  | RejectedLine;

export interface RejectedLine {
  readonly kind: 'rejected';
  readonly code: string;
  readonly path: string;
  readonly message: string;
}

const fault = (code: string, path: string, message: string): RejectedLine =>
  Object.freeze({ kind: 'rejected', code, path, message });

/** Why a line is not entered as what it says, though it may be readable: the record around it is at fault. */
export const RECORD_FAULTS = Object.freeze({
  noTenant: fault('event_invalid', `headers.${HEADERS.tenant}`, 'The record names no tenant.'),
  unknownFormat: fault('event_invalid', `headers.${HEADERS.format}`, 'The format is unknown.'),
  noLine: fault('event_invalid', 'headers.value', 'The record holds no line.'),
  tooManyLines: fault('event_stream_conflict', '', 'The record holds more lines than a record may have.'),
  otherStream: fault(
    'event_stream_conflict',
    'stream',
    'The line belongs to another stream than its record.',
  ),
});

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}
type Parsed<Line> =
  | { readonly success: true; readonly data: Line }
  | { readonly success: false; readonly error: { readonly issues: readonly Issue[] } };

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}

const MALFORMED = fault('event_malformed_json', '', 'The line is not valid JSON.');

function rejected(issues: readonly Issue[]): RejectedLine {
  const issue = issues[0];
  return {
    kind: 'rejected',
    code: 'event_invalid',
    path: (issue?.path ?? []).map(String).join('.').slice(0, 512),
    message: (issue?.message ?? 'invalid').slice(0, 2048),
  };
}

function serviceLine<Line, Kind extends string>(
  kind: Kind,
  bytes: Uint8Array,
  check: (value: unknown) => Parsed<Line>,
): { readonly kind: Kind; readonly event: Line } | RejectedLine {
  const value = parse(bytes);
  if (value === undefined) return MALFORMED;
  const outcome = check(value);
  return outcome.success ? { kind, event: outcome.data } : rejected(outcome.error.issues);
}

/** Reads one line of a ledger topic. Pure; every line that cannot be read comes back as `rejected` with a code of ERRORS. */
export function readLedgerLine(topic: string, bytes: Uint8Array): LedgerLine {
  switch (topic) {
    case TOPICS.alerts.name:
      return serviceLine('alert', bytes, (value) => zAlertLine.safeParse(value));
    case TOPICS.audit.name:
      return serviceLine('audit', bytes, (value) => zAuditLine.safeParse(value));
    case TOPICS.deadletters.name:
      return serviceLine('dead_letter', bytes, (value) => zDeadLetterLine.safeParse(value));
    default: {
      const outcome = readEventLine(bytes);
      if (outcome.kind === 'event') return outcome;
      return { ...outcome, path: outcome.path ?? '' };
    }
  }
}
