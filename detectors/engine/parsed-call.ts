/** A parsed event as the matcher sees it. */
import type { CallReference } from '../../schemas/alert/v1.ts';
import { eventId, type Event } from '../../schemas/event/v1.ts';
import type { HashText } from '../compile/compile.ts';
import { fieldReader, scalarText, type FieldReader, type FieldSource } from '../compile/fields.ts';
import { isFlowField, readFlowField } from '../compile/flow-field.ts';
import type { Selection } from '../compile/rule.ts';
import type { Call } from './call.ts';

/** Longer values are compared and carried by hash: keys and joins hold attackers' text. */
const MAX_VALUE_CHARACTERS = 256;

export interface CallPlace {
  readonly tenant: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly timeMs: number;
  readonly appendMs: number;
}

export interface CallFacts {
  readonly toolClass: string;
  /** Worked out when a rule or an alert asks. */
  readonly destHost: (event: Partial<Event>) => string;
  readonly sha256Hex: HashText;
}

/** The second written last, up to its dot: neighbours in time share it. */
let lastSecond = Number.NaN;
let lastText = '';

/** RFC 3339 in UTC with ms; times outside the years 0-9999 are held at their ends. */
export function isoTime(timeMs: number): string {
  const clamped = Math.min(Math.max(timeMs, -62_167_219_200_000), 253_402_300_799_999);
  const second = Math.floor(clamped / 1000);
  if (second !== lastSecond) {
    lastText = new Date(second * 1000).toISOString().slice(0, 20);
    lastSecond = second;
  }
  const rest = Math.floor(clamped - second * 1000);
  return `${lastText}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
}

export class ParsedCall implements Call, FieldSource {
  readonly event: Event;
  readonly place: CallPlace;
  readonly toolClass: string;
  private readonly facts: CallFacts;
  private host: string | undefined;
  private made: Omit<CallReference, 'step'> | undefined;

  constructor(event: Event, place: CallPlace, facts: CallFacts) {
    this.event = event;
    this.place = place;
    this.facts = facts;
    this.toolClass = facts.toolClass;
  }

  /** Call ids are unique within a writer only: two taps of a session may both have a call 1. */
  get callKey(): string {
    const { event } = this;
    return event.callId === undefined ? `${event.stream}-${event.seq}` : `${event.stream} ${event.callId}`;
  }

  get tenant(): string {
    return this.place.tenant;
  }
  get kind(): string {
    return this.event.kind;
  }
  get timeMs(): number {
    return this.place.timeMs;
  }
  get appendMs(): number {
    return this.place.appendMs;
  }
  get partition(): number {
    return this.place.partition;
  }
  get offset(): number {
    return this.place.offset;
  }
  get line(): number {
    return this.place.line;
  }

  destHost(): string {
    return (this.host ??= this.facts.destHost(this.event).slice(0, 253));
  }

  matches(selection: Selection): boolean {
    for (const test of selection.tests) {
      if (!test(this)) return false;
    }
    return true;
  }

  read(reader: FieldReader): unknown {
    return reader.read(this);
  }

  value(field: string): string | null {
    if (isFlowField(field)) return readFlowField(field, this, this.facts.sha256Hex);
    const text = scalarText(fieldReader(field)?.read(this));
    if (text === null || text.length <= MAX_VALUE_CHARACTERS) return text;
    return `sha256:${this.facts.sha256Hex(text)}`;
  }

  reference(): Omit<CallReference, 'step'> {
    return (this.made ??= makeReference(this));
  }
}

type Reference = Omit<CallReference, 'step'>;

/** Made for every call that a rule keeps: fields are set one by one, since spreading costs several times as much. */
function makeReference(call: ParsedCall): Reference {
  const { event, place } = call;
  const reference: { -readonly [Name in keyof Reference]: Reference[Name] } = {
    eventId: eventId(event.stream, event.seq),
    topic: place.topic,
    partition: place.partition,
    offset: place.offset,
    line: place.line,
    time: isoTime(place.timeMs),
    session: event.session,
    agent: event.agent,
  };
  if (event.callId !== undefined) reference.callId = event.callId;
  if (event.server !== undefined) reference.server = event.server;
  if (event.tool !== undefined) {
    reference.tool = event.tool;
    reference.class = call.toolClass;
  }
  const host = call.destHost();
  if (host !== '') reference.destHost = host;
  if (event.traceId !== undefined) reference.traceId = event.traceId;
  return reference;
}
