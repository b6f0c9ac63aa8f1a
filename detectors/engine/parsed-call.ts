/** A parsed event as the matcher sees it. */
import type { Event } from '../../schemas/event/v1.ts';
import type { HashText } from '../compile/compile.ts';
import { fieldReader, scalarText, type FieldReader, type FieldSource } from '../compile/fields.ts';
import type { FlowCell } from '../compile/flow-cell.ts';
import { FlowFields, isFlowField } from '../compile/flow-field.ts';
import type { Selection } from '../compile/rule.ts';
import type { LabelMapping } from '../../schemas/labels/v1.ts';
import { effectiveLabels, type EffectiveLabels } from '../labels/effective.ts';
import type { Call, CallSummary } from './call.ts';
import { KeptCalls } from './kept-calls.ts';

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

export class ParsedCall implements Call, FieldSource {
  readonly event: Event;
  readonly place: CallPlace;
  readonly toolClass: string;
  private readonly facts: CallFacts;
  private host: string | undefined;
  private flows: FlowFields | undefined;
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
    return (this.made ??= summaryOf(this));
  }

  keep(into: KeptCalls, at: number): void {
    into.putTexts(at, this);
  }
}

function summaryOf(call: ParsedCall): CallSummary {
  const kept = new KeptCalls();
  call.keep(kept, 0);
  return kept.taken(0).reference(call);
}
