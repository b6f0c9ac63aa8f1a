/**
 * A call as the tables tell it: with its line, or as the columns that a rule asks for, and its place. What an
 * alert would cite beyond that is asked for once it is cited (citations.ts).
 */
import { CALL_COLUMNS, type CallColumn, type CallPart } from '../../schemas/event/columns.ts';
import { readEventLine } from '../../schemas/event/read.ts';
import { EVENT_KINDS, TOOL_CLASSES, type Event } from '../../schemas/event/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { destHost } from '../../detectors/classify/dest-host.ts';
import type { CallSummary, KeptCall } from '../../detectors/engine/call.ts';
import type { KeptCalls } from '../../detectors/engine/kept-calls.ts';
import { ParsedCall, type CallPlace } from '../../detectors/engine/parsed-call.ts';
import { isoTime } from '../../detectors/engine/time.ts';
import type { DetectSettings } from './step.ts';

/** All that an alert cites of a call. */
export const CITED_COLUMNS: readonly CallColumn[] = [
  'session_id',
  'agent',
  'stream',
  'call_id',
  'trace_id',
  'server',
  'tool',
  'dest_host',
];

/** A reference that is completed where an alert cites it. */
export type Citation = { -readonly [Name in keyof CallSummary]: CallSummary[Name] };

export class CallReader {
  readonly #settings: DetectSettings;

  constructor(settings: DetectSettings) {
    this.#settings = settings;
  }

  /** `appendMs`: running maximum of its partition. Undefined where the line is no event: it is no longer the one that was entered. */
  call(part: CallPart, at: number, appendMs: number): ParsedCall | undefined {
    const { sha256Hex, internalHosts, labelMapping } = this.#settings;
    const place = placeOf(part, at, appendMs);
    const toolClass = TOOL_CLASSES[(part.toolClass[at] as number) - 1] ?? 'other';
    const line = part.lines?.[at];
    if (line !== undefined) {
      const read = readEventLine(line);
      if (read.kind !== 'event') return undefined;
      const host = (event: Partial<Event>): string => destHost(event, internalHosts);
      return new ParsedCall(read.event, place, { toolClass, destHost: host, sha256Hex, labelMapping });
    }
    const host = part.columns['dest_host']?.[at] ?? '';
    const facts = { toolClass, destHost: () => host, sha256Hex };
    const isCitable = CITED_COLUMNS.every((column) => part.columns[column] !== undefined);
    return new (isCitable ? ParsedCall : ColumnCall)(eventOf(part, at), place, facts);
  }

  /** What an alert cites of a call, from the columns for citations. */
  summary(part: CallPart, at: number): CallSummary {
    const { sha256Hex } = this.#settings;
    const toolClass = TOOL_CLASSES[(part.toolClass[at] as number) - 1] ?? 'other';
    const host = part.columns['dest_host']?.[at] ?? '';
    const facts = { toolClass, destHost: () => host, sha256Hex };
    return new ParsedCall(eventOf(part, at), placeOf(part, at, 0), facts).reference();
  }
}

function placeOf(part: CallPart, at: number, appendMs: number): CallPlace {
  return {
    tenant: part.tenant,
    topic: TOPICS.toolcalls.name,
    partition: part.partition,
    offset: part.offset[at] as number,
    line: part.line[at] as number,
    timeMs: part.effectiveMs[at] as number,
    appendMs,
  };
}

/** The properties that were asked for; no other is read. */
function eventOf(part: CallPart, at: number): Event {
  const event: Record<string, unknown> = {
    kind: EVENT_KINDS[(part.kind[at] as number) - 1],
    seq: part.seq?.[at] ?? 0,
  };
  for (const name in part.columns) {
    const value = part.columns[name]?.[at];
    if (value !== undefined && value !== '') event[CALL_COLUMNS[name as CallColumn]] = value;
  }
  return event as unknown as Event;
}

class ColumnCall extends ParsedCall {
  #kept: KeptColumnCall | undefined;

  override reference(): CallSummary {
    return this.#keep().reference();
  }

  override keep(into: KeptCalls, at: number): void {
    into.put(at, this.#keep());
  }

  #keep(): KeptColumnCall {
    return (this.#kept ??= new KeptColumnCall(this.place, this.toolClass));
  }
}

/** Columns lie in parts of thousands of calls: none of them is held for a call that is kept. */
class KeptColumnCall implements KeptCall {
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly #timeMs: number;
  readonly #toolClass: string;
  #citation: Citation | undefined;

  constructor({ partition, offset, line, timeMs }: CallPlace, toolClass: string) {
    this.partition = partition;
    this.offset = offset;
    this.line = line;
    this.#timeMs = timeMs;
    this.#toolClass = toolClass;
  }

  /** The same object each time. */
  reference(): CallSummary {
    return (this.#citation ??= {
      eventId: '',
      topic: TOPICS.toolcalls.name,
      partition: this.partition,
      offset: this.offset,
      line: this.line,
      time: isoTime(this.#timeMs),
      session: '',
      agent: '',
      class: this.#toolClass,
    });
  }
}
