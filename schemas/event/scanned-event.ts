/**
 * An event as a view of the bytes of its line: what every event is asked for is read at once, the rest where somebody
 * asks. It holds the bytes of its record, so nobody keeps it for longer than the record is at hand.
 */
import { FIELD_NAMES, numberOfField } from './line-fields.ts';
import { asciiText, LineScanner, MAX_PLACES, parseSlice, PLAIN } from './line-scanner.ts';
import { readEventLine } from './read.ts';
import type { Event, EventKind } from './v1.ts';

const SEQ = numberOfField('seq');
const STREAM = numberOfField('stream');
const SESSION = numberOfField('session');
const AGENT = numberOfField('agent');
const SERVER = numberOfField('server');
const TOOL = numberOfField('tool');
const ARGS = numberOfField('args');
const TIME = numberOfField('time');

const QUOTE = 0x22;

const [DOT, SLASH, BRACKET, BACKSLASH] = [0x2e, 0x2f, 0x5b, 0x5c] as const;

export class ScannedEvent {
  readonly kind: EventKind;
  readonly stream: string;
  readonly seq: number;
  readonly session: string;
  readonly agent: string;
  readonly server: string | undefined;
  readonly tool: string | undefined;
  private readonly bytes: Uint8Array;
  /** From `placesAt` to `placesEnd` three a field: its number (beside PLAIN), where its value begins and ends. */
  private readonly places: Int32Array;
  private readonly placesAt: number;
  private readonly placesEnd: number;
  /** What was parsed before, by number of the field. */
  private parsed: Map<number, unknown> | undefined;

  constructor(bytes: Uint8Array, scanner: LineScanner, { stream, places, placesAt }: ScannedPlaces) {
    this.bytes = bytes;
    this.places = places;
    this.placesAt = placesAt;
    this.placesEnd = scanner.copyPlaces(places, placesAt);
    this.parsed = undefined;
    this.kind = scanner.kind as EventKind;
    this.stream = isQuoted(bytes, scanner.starts[STREAM] as number, stream) ? stream : scanner.textOf(STREAM);
    this.seq = scanner.countOf(SEQ);
    this.session = scanner.textOf(SESSION);
    this.agent = scanner.textOf(AGENT);
    this.server = scanner.starts[SERVER] === 0 ? undefined : scanner.textOf(SERVER);
    this.tool = scanner.starts[TOOL] === 0 ? undefined : scanner.textOf(TOOL);
  }

  /** Value of a field as JSON.parse gives it. */
  field(number: number): unknown {
    const at = this.placeOf(number);
    if (at < 0) return undefined;
    const { places, bytes, parsed } = this;
    const [from, end] = [places[at + 1] as number, places[at + 2] as number];
    if (((places[at] as number) & PLAIN) !== 0 && bytes[from] === QUOTE)
      return asciiText(bytes, from + 1, end - 1);
    if (parsed?.has(number) === true) return parsed.get(number);
    const value = parseSlice(bytes, from, end);
    (this.parsed ??= new Map()).set(number, value);
    return value;
  }

  /** False where the arguments certainly name no host: one has a dot, a slash or a bracket, or could be written so. */
  mayNameHost(): boolean {
    const at = this.placeOf(ARGS);
    const { places, bytes } = this;
    return at >= 0 && holdsHostMark(bytes, places[at + 1] as number, places[at + 2] as number);
  }

  /** The event's time by its bytes, as `read` reads them; undefined where it is not written plainly. */
  readTime(read: (bytes: Uint8Array, at: number) => number): number | undefined {
    const at = this.placeOf(TIME);
    const { places, bytes } = this;
    return at >= 0 && ((places[at] as number) & PLAIN) !== 0
      ? read(bytes, (places[at + 1] as number) + 1)
      : undefined;
  }

  private placeOf(number: number): number {
    const { places, placesEnd } = this;
    for (let at = this.placesAt; at < placesEnd; at += 3)
      if (((places[at] as number) & ~PLAIN) === number) return at;
    return -1;
  }
}

interface ScannedPlaces {
  /** What the record says that all its lines are of. */
  readonly stream: string;
  /** Where the event's places go. */
  readonly places: Int32Array;
  readonly placesAt: number;
}

function holdsHostMark(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === DOT || byte === SLASH || byte === BRACKET || byte === BACKSLASH || byte >= 0x80) return true;
  }
  return false;
}

function isQuoted(bytes: Uint8Array, quoteAt: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (bytes[quoteAt + 1 + index] !== text.charCodeAt(index)) return false;
  }
  return bytes[quoteAt + 1 + text.length] === QUOTE;
}

const READ_AT_ONCE = new Set(['kind', 'stream', 'seq', 'session', 'agent', 'server', 'tool']);
FIELD_NAMES.forEach((name, number) => {
  if (READ_AT_ONCE.has(name)) return;
  Object.defineProperty(ScannedEvent.prototype, name, {
    get(this: ScannedEvent): unknown {
      return this.field(number);
    },
  });
});

/** Events whose places lie in one array. */
const EVENTS_A_CHUNK = 64;
const CHUNK = EVENTS_A_CHUNK * MAX_PLACES;

/** Reads the lines of records one after another. */
export class LineReader {
  private readonly scanner = new LineScanner();
  private places = new Int32Array(CHUNK);
  private placesUsed = 0;

  /**
   * The event of a line (its bytes from `from` to `end` of the record's); undefined where it is none. `stream`: what the
   * record says that all its lines are of. Read it, and keep no hold of it: all its fields are there as properties, but
   * they are not its own.
   */
  read(
    bytes: Uint8Array,
    { from, end, stream }: { readonly from: number; readonly end: number; readonly stream: string },
  ): Event | undefined {
    if (this.scanner.scan(bytes, from, end) && this.scanner.kind !== 'call.body')
      return new ScannedEvent(bytes, this.scanner, this.room(stream)) as unknown as Event;
    const outcome = readEventLine(bytes.subarray(from, end));
    return outcome.kind === 'event' ? outcome.event : undefined;
  }

  private room(stream: string): ScannedPlaces {
    const count = 3 * this.scanner.foundCount;
    if (this.placesUsed + count > CHUNK) {
      this.places = new Int32Array(CHUNK);
      this.placesUsed = 0;
    }
    const placesAt = this.placesUsed;
    this.placesUsed += count;
    return { stream, places: this.places, placesAt };
  }
}
