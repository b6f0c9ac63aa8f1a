/**
 * What simple rules keep of events to cite them: texts in one list and numbers in one array, since an object for each
 * event would be moved by the collector again and again. A text is shared with the event, its body is not held.
 */
import { eventId, type Event } from '../../schemas/event/v1.ts';
import type { CallSummary, KeptCall } from './call.ts';
import { isoTime } from './time.ts';

/** Texts of one event, in the order of `putTexts`. */
const TEXTS = 10;

type Kept = string | KeptCall | undefined;

/** What texts are taken of. */
export interface CitableCall {
  readonly event: Event;
  readonly place: { readonly topic: string };
  readonly toolClass: string;
  destHost(): string;
}

export interface KeptPlace {
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly timeMs: number;
}

export class KeptCalls {
  /** TEXTS an event; the first is an object where somebody else knows how to cite it. */
  private readonly texts: Kept[] = [];
  private readonly seqs: number[] = [];

  put(at: number, kept: KeptCall): void {
    this.clear(at);
    this.texts[at * TEXTS] = kept;
  }

  putTexts(at: number, call: CitableCall): void {
    const { texts } = this;
    const { event } = call;
    let to = at * TEXTS;
    texts[to++] = event.stream;
    texts[to++] = call.place.topic;
    texts[to++] = event.session;
    texts[to++] = event.agent;
    texts[to++] = event.callId;
    texts[to++] = event.server;
    texts[to++] = event.tool;
    texts[to++] = call.toolClass;
    texts[to++] = call.destHost();
    texts[to] = event.traceId;
    this.seqs[at] = event.seq;
  }

  clear(at: number): void {
    const { texts } = this;
    for (let to = at * TEXTS; to < (at + 1) * TEXTS; to++) texts[to] = undefined;
    this.seqs[at] = 0;
  }

  /** Takes what another keeps at a place. */
  copy(at: number, from: KeptCalls, fromAt: number): void {
    for (let index = 0; index < TEXTS; index++)
      this.texts[at * TEXTS + index] = from.texts[fromAt * TEXTS + index];
    this.seqs[at] = from.seqs[fromAt] as number;
  }

  /** What is kept at a place, to be cited when the place is long another's. */
  taken(at: number): TakenCall {
    return new TakenCall(this.texts.slice(at * TEXTS, (at + 1) * TEXTS), this.seqs[at] as number);
  }
}

export class TakenCall {
  private readonly texts: readonly Kept[];
  private readonly seq: number;

  constructor(texts: readonly Kept[], seq: number) {
    this.texts = texts;
    this.seq = seq;
  }

  /** For an alert. */
  reference({ partition, offset, line, timeMs }: KeptPlace): CallSummary {
    const [first] = this.texts;
    if (typeof first === 'object') return first.reference();
    const [stream = '', topic = '', session = '', agent = '', ...rest] = this.texts as readonly string[];
    const place = { topic, partition, offset, line, time: isoTime(timeMs) };
    return { eventId: eventId(stream, this.seq), ...place, session, agent, ...optionalOf(rest) };
  }
}

/** What an alert cites where the call has it. A class is of a tool. */
function optionalOf(texts: readonly (string | undefined)[]): Partial<CallSummary> {
  const [callId, server, tool, toolClass, host, traceId] = texts;
  const ofTool = tool === undefined ? {} : { tool, class: toolClass };
  const all = { callId, server, ...ofTool, destHost: host === '' ? undefined : host, traceId };
  return Object.fromEntries(Object.entries(all).filter(([, text]) => text !== undefined));
}
