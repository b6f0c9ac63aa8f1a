/**
 * Cuts a stream of Server-Sent Events into its events, each with the exact bytes it came in (WHATWG HTML §9.2: lines end
 * with LF, CR or both; an empty line ends an event; several data lines are joined by LF). The server chooses every byte:
 * a line end that clients honour and we did not would hide a message.
 */
export interface SseEvent {
  /** As it came, comments and line ends included. */
  readonly raw: readonly Uint8Array[];
  /** The message; undefined where nothing is dispatched, or where it is too long to be looked at. */
  readonly data: Uint8Array | undefined;
  /** Its own lines beside data, with their ends: what stays when the message is replaced. */
  readonly others: readonly Uint8Array[];
  /** It carries an id: a client may resume the stream after it. */
  readonly hasId: boolean;
  /** As HTTP+SSE of 2024-11-05 says where its messages are to be sent. */
  readonly isEndpoint: boolean;
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const BLANK = 0x20;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Longer than the names that are looked at. */
const MAX_NAME_BYTES = 8;
const ENDPOINT = Buffer.from('endpoint');
const LINE_FEED = Uint8Array.of(LF);

export class SseSplitter {
  readonly #maxEventBytes: number;
  readonly #onLongEvent: () => void;
  #raw: Buffer[] = [];
  #rawBytes = 0;
  /** Of a line whose end has not come. */
  #line: Buffer[] = [];
  #data: Buffer[] = [];
  #others: Buffer[] = [];
  #hasId = false;
  #isEndpoint = false;
  /** The event has a line that is no comment. */
  #hasField = false;
  #isLong = false;
  #lastWasCr = false;
  #isFirstLine = true;

  constructor(maxEventBytes: number, onLongEvent: () => void) {
    this.#maxEventBytes = maxEventBytes;
    this.#onLongEvent = onLongEvent;
  }

  /** Takes bytes; answers the events that are whole by them, in order. Comments before an event do not wait for it. */
  push(chunk: Buffer): readonly SseEvent[] {
    if (chunk.length === 0) return [];
    const events: SseEvent[] = [];
    const ends = new LineEnds(chunk);
    // The LF of a CR LF that was cut between two chunks belongs to the line before.
    let at = this.#lastWasCr && chunk[0] === LF ? 1 : 0;
    let rawFrom = 0;
    for (let end = ends.after(at); end !== -1; end = ends.after(at)) {
      const next = ends.past(end);
      const isEmpty = this.#line.length === 0 && end === at;
      if (isEmpty) {
        this.#keepRaw(chunk.subarray(rawFrom, next));
        rawFrom = next;
        events.push(this.#finish());
      } else this.#endLine(chunk.subarray(at, end), chunk.subarray(end, next));
      at = next;
    }
    this.#lastWasCr = chunk.at(-1) === CR;
    this.#keepRest(chunk.subarray(rawFrom), chunk.subarray(at));
    if (this.#isLong || this.#isOnlyComments()) events.push(this.#rest());
    return events;
  }

  #keepRest(raw: Buffer, line: Buffer): void {
    if (line.length > 0) this.#line.push(line);
    if (raw.length > 0) this.#keepRaw(raw);
  }

  /** What is left when the stream has ended: no whole event, so clients dispatch nothing of it. */
  end(): readonly Uint8Array[] {
    return this.#rest().raw;
  }

  #keepRaw(bytes: Buffer): void {
    this.#raw.push(bytes);
    this.#rawBytes += bytes.length;
    if (this.#rawBytes <= this.#maxEventBytes || this.#isLong) return;
    this.#isLong = true;
    this.#data = [];
    this.#onLongEvent();
  }

  #isOnlyComments(): boolean {
    return this.#rawBytes > 0 && !this.#hasField && this.#line.length === 0;
  }

  /** Bytes that may go on although their event is not whole. */
  #rest(): SseEvent {
    const raw = this.#raw;
    this.#raw = [];
    if (!this.#isLong) this.#rawBytes = 0;
    if (this.#isLong) this.#line = this.#line.length === 0 ? [] : [Buffer.from('x')];
    return { raw, data: undefined, others: [], hasId: false, isEndpoint: false };
  }

  #endLine(last: Buffer, end: Buffer): void {
    const whole = this.#line.length === 0 ? last : Buffer.concat([...this.#line, last]);
    const line = this.#isFirstLine ? withoutMark(whole) : whole;
    this.#line = [];
    this.#isFirstLine = false;
    if (line[0] === COLON) return;
    this.#hasField = true;
    if (this.#isLong) return;
    const colon = line.indexOf(COLON);
    const name = line.toString('latin1', 0, Math.min(colon === -1 ? line.length : colon, MAX_NAME_BYTES));
    if (name === 'data') this.#data.push(valueOf(line, colon));
    else {
      if (name === 'id') this.#hasId = true;
      if (name === 'event') this.#isEndpoint = ENDPOINT.equals(valueOf(line, colon));
      this.#others.push(line, end);
    }
  }

  #finish(): SseEvent {
    const event: SseEvent = {
      raw: this.#raw,
      data: this.#isLong || this.#data.length === 0 ? undefined : joined(this.#data),
      others: this.#others,
      hasId: this.#hasId,
      isEndpoint: this.#isEndpoint,
    };
    this.#raw = [];
    this.#rawBytes = 0;
    this.#data = [];
    this.#others = [];
    this.#hasId = false;
    this.#isEndpoint = false;
    this.#hasField = false;
    this.#isLong = false;
    this.#isFirstLine = false;
    return event;
  }
}

/** The stream may begin with a byte order mark, which is no part of its first line. */
function withoutMark(line: Buffer): Buffer {
  return line.subarray(0, 3).equals(BYTE_ORDER_MARK) ? line.subarray(3) : line;
}

/** Line ends of a chunk; most have no CR at all, which is looked for once. */
class LineEnds {
  readonly #chunk: Buffer;
  #lf: number;
  #cr: number;

  constructor(chunk: Buffer) {
    this.#chunk = chunk;
    this.#lf = chunk.indexOf(LF);
    this.#cr = chunk.indexOf(CR);
  }

  /** Index after the line end at `end`. */
  past(end: number): number {
    return this.#chunk[end] === CR && this.#chunk[end + 1] === LF ? end + 2 : end + 1;
  }

  /** The first at or after `at`; -1 when there is none. */
  after(at: number): number {
    if (this.#lf !== -1 && this.#lf < at) this.#lf = this.#chunk.indexOf(LF, at);
    if (this.#cr !== -1 && this.#cr < at) this.#cr = this.#chunk.indexOf(CR, at);
    if (this.#lf === -1) return this.#cr;
    return this.#cr === -1 ? this.#lf : Math.min(this.#lf, this.#cr);
  }
}

function valueOf(line: Buffer, colon: number): Buffer {
  if (colon === -1) return line.subarray(line.length);
  return line.subarray(line[colon + 1] === BLANK ? colon + 2 : colon + 1);
}

function joined(lines: readonly Buffer[]): Uint8Array {
  const [first] = lines;
  if (first !== undefined && lines.length === 1) return first;
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [LINE_FEED, line])));
}

/** An event that carries another message in the place of its own. */
export function replacedEvent(event: SseEvent, message: Uint8Array): readonly Uint8Array[] {
  const lines = Buffer.from(message).toString('utf8').split('\n');
  return [...event.others, Buffer.from(`${lines.map((line) => `data: ${line}\n`).join('')}\n`)];
}

/** An event of our own. */
export function messageEvent(text: string): Buffer {
  return Buffer.from(`event: message\ndata: ${text}\n\n`);
}
