/** What of a line its kind decides: its entry type, its session, whose data it is. Pure. */
import { ENTRY_TYPES } from '../evidence/entry.ts';
import type { LedgerLine } from '../evidence/lines.ts';
import { isKeyChange } from '../evidence/producer-keys.ts';
import type { EntryPosition } from './tables.ts';

export function sessionOf(read: LedgerLine): string {
  return read.kind === 'rejected' ? '' : read.event.session;
}

/**
 * Events are of a principal in a session, so that either can be erased. A line of its own is what is of nobody in
 * particular: an alert, which may cite many, and what could not be read. The audit trail is kept in the clear.
 */
export function subjectOf(read: LedgerLine, at: EntryPosition): string | undefined {
  switch (read.kind) {
    case 'event':
      return `e\0${at.tenant}\0${read.event.session}\0${read.event.principal ?? ''}`;
    case 'audit':
      return undefined;
    case 'alert':
    case 'dead_letter':
    case 'rejected':
      return `l\0${at.topic}\0${at.partition}\0${at.offset}\0${at.line}`;
  }
}

const TYPE_OF_KIND: Readonly<Partial<Record<string, number>>> = Object.freeze({
  'stream.open': ENTRY_TYPES.streamOpen,
  'stream.heartbeat': ENTRY_TYPES.streamHeartbeat,
  'stream.close': ENTRY_TYPES.streamClose,
});

export function typeOfKind(read: LedgerLine): number {
  if (read.kind === 'audit' && read.event.audit.erasure !== undefined) return ENTRY_TYPES.erasure;
  if (read.kind === 'audit' && isKeyChange(read.event)) return ENTRY_TYPES.key;
  return (read.kind === 'event' ? TYPE_OF_KIND[read.event.kind] : undefined) ?? ENTRY_TYPES.event;
}
