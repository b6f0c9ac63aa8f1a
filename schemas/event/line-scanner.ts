/**
 * One pass over the bytes of an event line: where its fields stand, and that it is what `readEventLine` would take. What
 * is out of the ordinary (a fault, an unknown field, an escape in a name, names that may repeat) is left to that one: the
 * pass says so, and never takes a line that it would refuse. Producers control every byte; time is linear, memory bounded.
 */
import { MAX_JSON_DEPTH, MAX_LINE_BYTES, REQUIRED_BY_KIND, type EventKind } from './v1.ts';
import { TextTable } from './text-table.ts';
import { utf8Length } from './utf8.ts';
import { FIELD_CHECKS, REQUIRED_FIELDS } from './validate.ts';

/** Numbers of the fields, in the order of the schema. */
export const FIELD_NAMES: readonly string[] = [...FIELD_CHECKS.keys()];
export const numberOfField = (name: string): number => FIELD_NAMES.indexOf(name);

/** What is said of a value beside its place. */
const ESCAPED = 1;
const WIDE = 2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const COMMA = 0x2c;
const COLON = 0x3a;
const ZERO = 0x30;

/** Names that one object may hold here; they are compared each with each. */
const MAX_NAMES = 32;
/** The longest number that every field of numbers takes. */
const MAX_DIGITS = 12;

type Form = 'any' | 'one' | 'name' | 'hex' | 'choice' | 'count' | 'time' | 'checked';
const HEX_DIGITS: Readonly<Record<string, number>> = {
  stream: 32,
  nonce: 32,
  traceId: 32,
  spanId: 16,
  parentSpanId: 16,
  definitionHash: 64,
  argsHash: 64,
  resultHash: 64,
};
const FORMS: Readonly<Record<string, Form>> = {
  v: 'one',
  args: 'any',
  result: 'any',
  ...Object.fromEntries(
    ['session', 'agent', 'principal', 'host', 'callId', 'logicalCallId', 'decisionId', 'server', 'tool'].map(
      (name) => [name, 'name'] as const,
    ),
  ),
  ...Object.fromEntries(Object.keys(HEX_DIGITS).map((name) => [name, 'hex'] as const)),
  kind: 'choice',
  transport: 'choice',
  class: 'choice',
  outcome: 'choice',
  seq: 'count',
  argsBytes: 'count',
  resultBytes: 'count',
  durationMs: 'count',
  time: 'time',
};
const FORM_OF: readonly Form[] = FIELD_NAMES.map((name) => FORMS[name] ?? 'checked');
const DIGITS_OF: readonly number[] = FIELD_NAMES.map((name) => HEX_DIGITS[name] ?? 0);
const CHECK_OF = FIELD_NAMES.map((name) => FIELD_CHECKS.get(name) as (value: unknown) => unknown);

const KIND = numberOfField('kind');
const REQUIRED: readonly number[] = REQUIRED_FIELDS.map(numberOfField);
const REQUIRED_OF: ReadonlyMap<string, readonly number[]> = new Map(
  Object.entries(REQUIRED_BY_KIND).map(([kind, names]) => [kind, names.map(numberOfField)]),
);

/** FNV-1a, 32 bits. */
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;
function hashOf(bytes: Uint8Array, from: number, end: number): number {
  let hash = HASH_START;
  for (let at = from; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), HASH_PRIME);
  return hash | 0;
}

const ENCODER = new TextEncoder();
const FIELD_BYTES = FIELD_NAMES.map((name) => ENCODER.encode(name));
const FIELD_SLOTS = 1_024;
/** Number of a field plus one, by hash of its name; names of the schema that met would have to be told apart by more. */
const FIELD_TABLE = new Uint8Array(FIELD_SLOTS);
const slotOf = (hash: number): number => (hash ^ (hash >>> 15)) & (FIELD_SLOTS - 1);
FIELD_BYTES.forEach((bytes, number) => {
  let slot = slotOf(hashOf(bytes, 0, bytes.length));
  while (FIELD_TABLE[slot] !== 0) slot = (slot + 1) & (FIELD_SLOTS - 1);
  FIELD_TABLE[slot] = number + 1;
});

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A JSON value as it stands; the bytes were looked at before. */
export function parseSlice(bytes: Uint8Array, from: number, end: number): unknown {
  return JSON.parse(DECODER.decode(bytes.subarray(from, end)));
}

/** Beside the number of a field: its value has neither escapes nor characters beyond ASCII. */
export const PLAIN = 0x80;
/** Numbers that the places of one event take at most. */
export const MAX_PLACES = 3 * FIELD_NAMES.length;

/** Up to so many characters a text is put together here; more cost less in the decoder. */
const SHORT_TEXT = 12;

/** The text of ASCII bytes without escapes. */
export function asciiText(bytes: Uint8Array, from: number, end: number): string {
  if (end - from > SHORT_TEXT) return DECODER.decode(bytes.subarray(from, end));
  let text = '';
  for (let at = from; at < end; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

export class LineScanner {
  /** Names and values of closed lists that came before. */
  private readonly texts = new TextTable();
  /** Of the line at hand, where it was taken: by number of a field where its value stands, 0 where it is missing. */
  readonly starts = new Int32Array(FIELD_NAMES.length);
  private readonly ends = new Int32Array(FIELD_NAMES.length);
  /** Fields that it has, in its order. */
  private readonly found = new Uint8Array(FIELD_NAMES.length);
  foundCount = 0;
  kind = '';
  /** By number of a field 1 where its value is ASCII without escapes. */
  private readonly plain = new Uint8Array(FIELD_NAMES.length);

  private bytes: Uint8Array = new Uint8Array(0);
  private at = 0;
  private end = 0;
  /** Of the string or number that was passed last. */
  private flags = 0;
  /** Hashes of the names of all objects that are open. */
  private readonly names = new Int32Array(MAX_NAMES * (MAX_JSON_DEPTH + 1));
  private nameCount = 0;

  /** True where the bytes from `from` to `end` are an event in its usual form; false where `readEventLine` has to say. */
  scan(bytes: Uint8Array, from: number, end: number): boolean {
    for (let each = 0; each < this.foundCount; each++) this.starts[this.found[each] as number] = 0;
    this.foundCount = 0;
    this.nameCount = 0;
    this.bytes = bytes;
    // The place 0 stands for a missing value, and no value stands at the start of a line.
    this.at = from;
    this.end = end;
    if (end - from > MAX_LINE_BYTES || bytes[this.at] !== OPEN_BRACE) return false;
    return this.fields() && this.at === end && this.hasRequired();
  }

  /** Writes where the fields of the line at hand stand, three numbers each; answers where they end. */
  copyPlaces(into: Int32Array, at: number): number {
    let next = at;
    for (let each = 0; each < this.foundCount; each++) {
      const number = this.found[each] as number;
      into[next++] = this.plain[number] === 1 ? number | PLAIN : number;
      into[next++] = this.starts[number] as number;
      into[next++] = this.ends[number] as number;
    }
    return next;
  }

  /** Text of a field of the line at hand. */
  textOf(number: number): string {
    const [from, end] = [this.starts[number] as number, this.ends[number] as number];
    if (this.plain[number] === 1) return this.texts.text(this.bytes, from + 1, end - 1);
    return parseSlice(this.bytes, from, end) as string;
  }

  /** Number of a field of the line at hand. */
  countOf(number: number): number {
    const [from, end] = [this.starts[number] as number, this.ends[number] as number];
    return isShortCount(this.bytes, from, end)
      ? countAt(this.bytes, from, end)
      : (parseSlice(this.bytes, from, end) as number);
  }

  private fields(): boolean {
    this.at++;
    for (;;) {
      this.space();
      const number = this.field();
      if (number < 0 || !this.fieldValue(number)) return false;
      this.space();
      const byte = this.bytes[this.at++];
      if (byte !== COMMA) return byte === OPEN_BRACE + 2;
    }
  }

  /** Number of the field whose name comes next, and past its colon; -1 for one that is unknown, repeated or malformed. */
  private field(): number {
    const { bytes } = this;
    if (bytes[this.at] !== QUOTE) return -1;
    const from = ++this.at;
    if (!this.string() || this.flags !== 0) return -1;
    const number = fieldAt(bytes, from, this.at - 1);
    if (number < 0 || this.starts[number] !== 0) return -1;
    this.space();
    if (bytes[this.at++] !== COLON) return -1;
    this.space();
    return number;
  }

  private fieldValue(number: number): boolean {
    const from = this.at;
    if (!this.value(2)) return false;
    this.plain[number] = this.flags === 0 ? 1 : 0;
    if (!this.fits(number, from, this.at)) return false;
    this.starts[number] = from;
    this.ends[number] = this.at;
    this.found[this.foundCount++] = number;
    return true;
  }

  /** Whether a value has the form of its field. What is not told by its bytes is parsed and put to the field's check. */
  private fits(number: number, from: number, end: number): boolean {
    const form = FORM_OF[number] as Form;
    if (form === 'any') return true;
    if (form === 'one' && end === from + 1 && this.bytes[from] === ZERO + 1) return true;
    const isPlainText = this.flags === 0 && this.bytes[from] === QUOTE;
    if (isPlainText && this.fitsText(form, number, { from: from + 1, end: end - 1 })) return true;
    if (form === 'count' && isShortCount(this.bytes, from, end)) return true;
    const value = parseSlice(this.bytes, from, end);
    if (number === KIND) this.kind = String(value);
    return CHECK_OF[number]?.(value) === undefined;
  }

  private fitsText(
    form: Form,
    number: number,
    { from, end }: { readonly from: number; readonly end: number },
  ): boolean {
    switch (form) {
      case 'name':
        return end > from && end - from <= 256 && !holdsDelete(this.bytes, from, end);
      case 'hex':
        return end - from === DIGITS_OF[number] && isHex(this.bytes, from, end);
      case 'choice': {
        const text = this.texts.text(this.bytes, from, end);
        if (number === KIND) this.kind = text;
        return CHECK_OF[number]?.(text) === undefined;
      }
      case 'time':
        return isUsualTime(this.bytes, from, end);
      default:
        return false;
    }
  }

  private hasRequired(): boolean {
    const own = REQUIRED_OF.get(this.kind as EventKind);
    if (own === undefined) return false;
    for (const number of REQUIRED) if (this.starts[number] === 0) return false;
    for (const number of own) if (this.starts[number] === 0) return false;
    return true;
  }

  private space(): void {
    const { bytes } = this;
    for (; this.at < this.end; this.at++) {
      const byte = bytes[this.at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== 0x0a) return;
    }
  }

  /** Past one value (RFC 8259 §3); `depth`: of the arrays and objects that it would open. */
  private value(depth: number): boolean {
    switch (this.bytes[this.at]) {
      case QUOTE:
        this.at++;
        return this.string();
      case OPEN_BRACE:
        return this.object(depth);
      case OPEN_BRACKET:
        return this.array(depth);
      case 0x74:
        return this.literal('true');
      case 0x66:
        return this.literal('false');
      case 0x6e:
        return this.literal('null');
      default:
        return this.number();
    }
  }

  private object(depth: number): boolean {
    const first = this.nameCount;
    if (depth > MAX_JSON_DEPTH) return false;
    this.at++;
    this.space();
    if (this.bytes[this.at] === OPEN_BRACE + 2) {
      this.at++;
      return true;
    }
    for (;;) {
      if (!this.member(first, depth)) return false;
      const byte = this.bytes[this.at++];
      if (byte === COMMA) {
        this.space();
        continue;
      }
      this.nameCount = first;
      return byte === OPEN_BRACE + 2;
    }
  }

  private member(first: number, depth: number): boolean {
    const { bytes } = this;
    if (bytes[this.at] !== QUOTE) return false;
    const from = ++this.at;
    if (!this.string() || (this.flags & ESCAPED) !== 0) return false;
    if (!this.isNewName(first, hashOf(bytes, from, this.at - 1))) return false;
    this.space();
    if (bytes[this.at++] !== COLON) return false;
    this.space();
    if (!this.value(depth + 1)) return false;
    this.space();
    return true;
  }

  /** False also where a name may be one of before: hashes may meet. */
  private isNewName(first: number, hash: number): boolean {
    const { names, nameCount } = this;
    if (nameCount - first >= MAX_NAMES) return false;
    for (let at = first; at < nameCount; at++) if (names[at] === hash) return false;
    names[nameCount] = hash;
    this.nameCount++;
    return true;
  }

  private array(depth: number): boolean {
    if (depth > MAX_JSON_DEPTH) return false;
    this.at++;
    this.space();
    if (this.bytes[this.at] === OPEN_BRACKET + 2) {
      this.at++;
      return true;
    }
    for (;;) {
      if (!this.value(depth + 1)) return false;
      this.space();
      const byte = this.bytes[this.at++];
      if (byte !== COMMA) return byte === OPEN_BRACKET + 2;
      this.space();
    }
  }

  private literal(text: string): boolean {
    for (let index = 0; index < text.length; index++) {
      if (this.bytes[this.at + index] !== text.charCodeAt(index)) return false;
    }
    this.at += text.length;
    this.flags = 0;
    return true;
  }

  private number(): boolean {
    const { bytes } = this;
    this.flags = 0;
    if (bytes[this.at] === 0x2d) this.at++;
    if (bytes[this.at] === ZERO) this.at++;
    else if (!this.digits()) return false;
    if (bytes[this.at] === 0x2e) {
      this.at++;
      if (!this.digits()) return false;
    }
    if (((bytes[this.at] as number) | 0x20) !== 0x65) return true;
    this.at++;
    if (bytes[this.at] === 0x2b || bytes[this.at] === 0x2d) this.at++;
    return this.digits();
  }

  private digits(): boolean {
    const from = this.at;
    while (this.at < this.end && isDigit(this.bytes[this.at] as number)) this.at++;
    return this.at > from;
  }

  /** Past a string whose opening quote has been passed (RFC 8259 §7); its bytes are UTF-8. */
  private string(): boolean {
    const { bytes, end } = this;
    let { at } = this;
    let flags = 0;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH) continue;
      if (byte === QUOTE) {
        this.at = at + 1;
        this.flags = flags;
        return true;
      }
      const length = byte === BACKSLASH ? escapeLength(bytes, at) : utf8Length(bytes, at);
      if (length === 0) return false;
      flags |= byte === BACKSLASH ? ESCAPED : WIDE;
      at += length - 1;
    }
    return false;
  }
}

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 0x39;
const isHexDigit = (byte: number): boolean =>
  isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

/** Bytes of the escape at a backslash, 0 where it is none. One that leaves the line ends in no quote of it. */
function escapeLength(bytes: Uint8Array, at: number): number {
  const letter = bytes[at + 1] as number;
  if (letter !== 0x75) return '"\\/bfnrt'.includes(String.fromCharCode(letter)) ? 2 : 0;
  for (let index = 2; index < 6; index++) if (!isHexDigit(bytes[at + index] as number)) return 0;
  return 6;
}

function fieldAt(bytes: Uint8Array, from: number, end: number): number {
  for (let slot = slotOf(hashOf(bytes, from, end)); ; slot = (slot + 1) & (FIELD_SLOTS - 1)) {
    const number = (FIELD_TABLE[slot] as number) - 1;
    if (number < 0) return -1;
    const name = FIELD_BYTES[number] as Uint8Array;
    if (name.length === end - from && startsAt(bytes, from, name)) return number;
  }
}

function startsAt(bytes: Uint8Array, from: number, name: Uint8Array): boolean {
  for (let index = 0; index < name.length; index++) if (bytes[from + index] !== name[index]) return false;
  return true;
}

function holdsDelete(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) if (bytes[at] === 0x7f) return true;
  return false;
}

function isHex(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number;
    if (!isDigit(byte) && (byte < 0x61 || byte > 0x66)) return false;
  }
  return true;
}

function isShortCount(bytes: Uint8Array, from: number, end: number): boolean {
  return end - from <= MAX_DIGITS && end > from && countAt(bytes, from, end) >= 0;
}

/** Value of digits, -1 for anything else. */
function countAt(bytes: Uint8Array, from: number, end: number): number {
  let value = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number;
    if (!isDigit(byte)) return -1;
    value = value * 10 + byte - ZERO;
  }
  return value;
}

const TIME_FORM = ENCODER.encode('0000-00-00T00:00:00.000Z');
const twoAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) - ZERO) * 10 + (bytes[at + 1] as number) - ZERO;

/** As the schema has it: digits in their places, and no month, day, hour, minute or second that there is not. */
function isUsualTime(bytes: Uint8Array, from: number, end: number): boolean {
  if (end - from !== TIME_FORM.length) return false;
  for (let index = 0; index < TIME_FORM.length; index++) {
    const byte = bytes[from + index] as number;
    const form = TIME_FORM[index] as number;
    if (form === ZERO ? !isDigit(byte) : byte !== form) return false;
  }
  const [month, day] = [twoAt(bytes, from + 5), twoAt(bytes, from + 8)];
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= 31;
  return (
    isDay && twoAt(bytes, from + 11) < 24 && twoAt(bytes, from + 14) < 60 && twoAt(bytes, from + 17) < 60
  );
}
