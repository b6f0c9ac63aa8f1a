/** A parsed event as the matcher sees it. */
import { eventId, type Event } from '../../schemas/event/v1.ts';
import type { HashText } from '../compile/compile.ts';
import { fieldReader, scalarText, type FieldReader, type FieldSource } from '../compile/fields.ts';
import type { FlowCell } from '../compile/flow-cell.ts';
import { FlowFields, isFlowField } from '../compile/flow-field.ts';
import type { Selection } from '../compile/rule.ts';
import type { LabelMapping } from '../../schemas/labels/v1.ts';
import { effectiveLabels, type EffectiveLabels } from '../labels/effective.ts';
import type { Call, CallSummary, KeptCall } from './call.ts';

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
  readonly continues?: boolean;
}

export interface CallFacts {
  readonly toolClass: string;
  /** Worked out when a rule or an alert asks. */
  readonly destHost: (event: Partial<Event>) => string;
  readonly sha256Hex: HashText;
  readonly labelMapping?: LabelMapping | undefined;
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
  private flows: FlowFields | undefined;
  private kept: KeptParsedCall | undefined;
  private made: CallSummary | undefined;
  private labels: EffectiveLabels | undefined;

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

  get continues(): boolean {
    return this.place.continues === true;
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

  get labelMapping(): LabelMapping | undefined {
    return this.facts.labelMapping;
  }

  effectiveLabels(): EffectiveLabels {
    return (this.labels ??= effectiveLabels(this));
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
    if (isFlowField(field)) return this.flow(field)?.text || null;
    const text = scalarText(fieldReader(field)?.read(this));
    if (text === null || text.length <= MAX_VALUE_CHARACTERS) return text;
    return `sha256:${this.facts.sha256Hex(text)}`;
  }

  flow(field: string): FlowCell | null {
    return (this.flows ??= new FlowFields(this)).cell(field);
  }

  reference(): CallSummary {
    return (this.made ??= this.keep().reference());
  }

  keep(): KeptCall {
    return (this.kept ??= new KeptParsedCall(this));
  }
}

/** What a reference is made of, held without the event: its texts are shared with it, its body is not. */
class KeptParsedCall implements KeptCall {
  private readonly stream: string;
  private readonly seq: number;
  private readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  private readonly timeMs: number;
  private readonly session: string;
  private readonly agent: string;
  private readonly callId: string | undefined;
  private readonly server: string | undefined;
  private readonly tool: string | undefined;
  private readonly toolClass: string;
  private readonly host: string;
  private readonly traceId: string | undefined;

  constructor(call: ParsedCall) {
    const { event, place } = call;
    this.stream = event.stream;
    this.seq = event.seq;
    this.topic = place.topic;
    this.partition = place.partition;
    this.offset = place.offset;
    this.line = place.line;
    this.timeMs = place.timeMs;
    this.session = event.session;
    this.agent = event.agent;
    this.callId = event.callId;
    this.server = event.server;
    this.tool = event.tool;
    this.toolClass = call.toolClass;
    this.host = call.destHost();
    this.traceId = event.traceId;
  }

  reference(): CallSummary {
    const { topic, partition, offset, line, session, agent } = this;
    const reference: { -readonly [Name in keyof CallSummary]: CallSummary[Name] } = {
      eventId: eventId(this.stream, this.seq),
      topic,
      partition,
      offset,
      line,
      time: isoTime(this.timeMs),
      session,
      agent,
    };
    if (this.callId !== undefined) reference.callId = this.callId;
    if (this.server !== undefined) reference.server = this.server;
    if (this.tool !== undefined) {
      reference.tool = this.tool;
      reference.class = this.toolClass;
    }
    if (this.host !== '') reference.destHost = this.host;
    if (this.traceId !== undefined) reference.traceId = this.traceId;
    return reference;
  }
}
