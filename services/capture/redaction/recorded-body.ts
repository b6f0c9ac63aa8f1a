/** The exact bytes of a redacted body out of the lines of its event: where it stands in it, or from its call.body parts. */
import { readEventLine } from '../../../schemas/event/read.ts';
import { eventId, type Event } from '../../../schemas/event/v1.ts';
import { lastMember, objectMembers } from '../json-scan.ts';

export interface RecordedBody {
  readonly event: Event;
  readonly of: 'args' | 'result';
  /** Undefined: it is not on record. */
  readonly recorded: Uint8Array | undefined;
}

/** Of the event with this id, or of the only one of the lines in which a body was redacted; undefined where there is none. */
export function recordedBody(ndjson: string, id: string | undefined): RecordedBody | undefined {
  const lines = ndjson.split('\n').filter((line) => line.trim() !== '');
  const events = lines.flatMap((line) => {
    const read = readEventLine(line);
    return read.kind === 'event' ? [{ line, event: read.event }] : [];
  });
  const found = events.filter(
    ({ event }) =>
      event.redaction?.original !== undefined &&
      (id === undefined || eventId(event.stream, event.seq) === id),
  );
  const [one] = found;
  if (one === undefined || found.length > 1) return undefined;
  const { event, line } = one;
  const of = event.body?.of ?? (event.kind.endsWith('.result') ? 'result' : 'args');
  const inline = event[of] === undefined ? undefined : memberBytes(line, of);
  const parts = events.map((other) => other.event);
  return { event, of, recorded: inline ?? joinedParts(event, of, parts) };
}

function memberBytes(line: string, name: string): Uint8Array | undefined {
  const bytes = Buffer.from(line);
  const member = lastMember(objectMembers(bytes, { start: 0, end: bytes.length }), name);
  return member === undefined ? undefined : bytes.subarray(member.start, member.end);
}

function joinedParts(event: Event, of: RecordedBody['of'], events: readonly Event[]): Uint8Array | undefined {
  const hash = event.body?.hash ?? (of === 'args' ? event.argsHash : event.resultHash);
  const parts = events
    .flatMap(({ kind, callId, body }) =>
      kind === 'call.body' && callId === event.callId && body?.of === of && body.hash === hash ? [body] : [],
    )
    .toSorted((left, right) => left.part - right.part);
  if (parts.length === 0 || parts.length !== parts[0]?.parts) return undefined;
  return Buffer.concat(parts.map(({ data, encoding }) => Buffer.from(data, encoding ?? 'utf8')));
}
