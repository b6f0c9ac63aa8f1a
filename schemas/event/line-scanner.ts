/**
 * One pass over the bytes of an event line: where its fields stand, and that it is what `readEventLine` would take. What
 * is out of the ordinary (a fault, an unknown field, an escape in a name, names that may repeat) is left to that one: the
 * pass says so, and never takes a line that it would refuse. Producers control every byte; time is linear, memory bounded.
 */
import { countAt, decimalAt, isHex, isShortCount, isUsualName, isUsualTime } from './field-bytes.ts';
import { COLON, COMMA, JsonBytes, OPEN_BRACE, QUOTE } from './json-bytes.ts';
import {
  CHECK_OF,
  DIGITS_OF,
  FIELD_BYTES,
  FIELD_NAMES,
  fieldAt,
  FORM_OF,
  KIND,
  REQUIRED,
  REQUIRED_OF,
  startsAt,
  type Form,
} from './line-fields.ts';
import { TextTable } from './text-table.ts';
import { MAX_LINE_BYTES } from './v1.ts';

const ZERO = 0x30;
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

export class LineScanner extends JsonBytes {
  /** Names and values of closed lists that came before. */
  private readonly texts = new TextTable();
  /** Of the line at hand, where it was taken: by number of a field where its value stands, 0 where it is missing. */
  readonly starts = new Int32Array(FIELD_NAMES.length);
  readonly ends = new Int32Array(FIELD_NAMES.length);
  /** Fields that it has, in its order. */
  private found = new Uint8Array(FIELD_NAMES.length);
  /** Those of the line before: most lines have theirs in the same order. */
  private before = new Uint8Array(FIELD_NAMES.length);
  foundCount = 0;
  kind = '';
  /** By number of a field 1 where its value is ASCII without escapes. */
  readonly plain = new Uint8Array(FIELD_NAMES.length);

  /** True where the bytes from `from` to `end` are an event in its usual form; false where `readEventLine` has to say. */
  scan(bytes: Uint8Array, from: number, end: number): boolean {
    for (let each = 0; each < this.foundCount; each++) this.starts[this.found[each] as number] = 0;
    const { found } = this;
    this.found = this.before;
    this.before = found;
    this.foundCount = 0;
    this.open(bytes, from, end);
    // The place 0 stands for a missing value, and no value stands at the start of a line.
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

  /** Value of a field of the line at hand, as JSON.parse gives it; undefined where it is missing. Not to be changed. */
  jsonOf(number: number): unknown {
    const from = this.starts[number] as number;
    if (from === 0) return undefined;
    const end = this.ends[number] as number;
    if (this.plain[number] === 1 && this.bytes[from] === QUOTE)
      return this.texts.text(this.bytes, from + 1, end - 1);
    const count = decimalAt(this.bytes, from, end);
    return count >= 0 ? count : parseSlice(this.bytes, from, end);
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
    const number = this.fieldName(from);
    if (number < 0 || this.starts[number] !== 0) return -1;
    this.space();
    if (bytes[this.at++] !== COLON) return -1;
    this.space();
    return number;
  }

  /** Number of the field that is named from here on, and past its name. */
  private fieldName(from: number): number {
    const { bytes } = this;
    const likely = this.before[this.foundCount] as number;
    const name = FIELD_BYTES[likely] as Uint8Array;
    if (bytes[from + name.length] === QUOTE && startsAt(bytes, from, name)) {
      this.at = from + name.length + 1;
      return likely;
    }
    if (!this.string() || this.flags !== 0) return -1;
    return fieldAt(bytes, from, this.at - 1);
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
    return this.fitsByBytes(number, from, end) || this.fitsParsed(number, from, end);
  }

  private fitsParsed(number: number, from: number, end: number): boolean {
    const value = parseSlice(this.bytes, from, end);
    if (number === KIND) this.kind = String(value);
    return CHECK_OF[number]?.(value) === undefined;
  }

  private fitsByBytes(number: number, from: number, end: number): boolean {
    const { bytes } = this;
    const form = FORM_OF[number] as Form;
    if (form === 'any') return true;
    if (form === 'one') return end === from + 1 && bytes[from] === ZERO + 1;
    if (form === 'count') return isShortCount(bytes, from, end);
    if (form === 'duration') return decimalAt(bytes, from, end) >= 0;
    const isPlainText = this.flags === 0 && bytes[from] === QUOTE;
    return isPlainText && this.fitsText(form, number, { from: from + 1, end: end - 1 });
  }

  private fitsText(
    form: Form,
    number: number,
    { from, end }: { readonly from: number; readonly end: number },
  ): boolean {
    if (form === 'time') return isUsualTime(this.bytes, from, end);
    if (form === 'hex') return end - from === DIGITS_OF[number] && isHex(this.bytes, from, end);
    if (form === 'name') return isUsualName(this.bytes, from, end);
    return form === 'choice' && this.fitsChoice(number, from, end);
  }

  private fitsChoice(number: number, from: number, end: number): boolean {
    const text = this.texts.text(this.bytes, from, end);
    if (number === KIND) this.kind = text;
    return CHECK_OF[number]?.(text) === undefined;
  }

  private hasRequired(): boolean {
    const own = REQUIRED_OF.get(this.kind);
    if (own === undefined) return false;
    for (const number of REQUIRED) if (this.starts[number] === 0) return false;
    for (const number of own) if (this.starts[number] === 0) return false;
    return true;
  }
}
