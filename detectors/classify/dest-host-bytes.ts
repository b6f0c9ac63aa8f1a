/**
 * destHost by the bytes of the arguments: a walk that makes text of nothing but values that may name a host. It takes JSON
 * that was read before (each object's names differ); where its order or a bound would matter it leaves the answer to destHost.
 */
import { TextTable } from '../../schemas/event/text-table.ts';
import { isAddressName, outsideHostInText } from './dest-host.ts';

const [QUOTE, BACKSLASH, COMMA, DOT, SLASH] = [0x22, 0x5c, 0x2c, 0x2e, 0x2f] as const;
const [BRACKET, BRACKET_END, BRACE, BRACE_END] = [0x5b, 0x5d, 0x7b, 0x7d] as const;

/** Below those of destHost, so that none of its bounds is met where this answers. */
const MAX_DEPTH = 5;
const MAX_VALUES = 200;

const PLAIN = 0;
/** Beside MARKED: a value that is no ASCII as it stands. */
const MARKED = 1;
const CODED = 2;
/** By byte of a text what it says of it: a host has one of these characters at least, or is written by other means. */
const MARKS = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === BACKSLASH || byte >= 0x80) return MARKED | CODED;
  return byte === DOT || byte === SLASH || byte === BRACKET ? MARKED : PLAIN;
});

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

class Walk {
  readonly #names = new TextTable();
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #values = 0;
  #isUnsure = false;
  #internalHosts: readonly string[] = [];
  /** Of the text that was passed last. */
  #marks = PLAIN;

  hostIn(bytes: Uint8Array, from: number, end: number, internalHosts: readonly string[]): string | undefined {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
    this.#values = 0;
    this.#isUnsure = false;
    this.#internalHosts = internalHosts;
    const host = this.#value(false, 0, true);
    return this.#isUnsure || this.#at !== end ? undefined : host;
  }

  /** Past a value; its host where it is `wanted`. */
  #value(isAddress: boolean, depth: number, wanted: boolean): string {
    const byte = this.#bytes[this.#at];
    if (byte === QUOTE) return this.#text(isAddress, wanted);
    if (byte !== BRACE && byte !== BRACKET) return this.#other();
    if (depth >= MAX_DEPTH) this.#isUnsure = true;
    if (this.#isUnsure) return '';
    return byte === BRACE ? this.#object(depth, wanted) : this.#list(isAddress, depth, wanted);
  }

  #object(depth: number, wanted: boolean): string {
    let inText = '';
    let inAddress = '';
    for (let isMore = this.#opens(BRACE_END); isMore; isMore = this.#goesOn()) {
      const isAddress = this.#name();
      const host = this.#value(
        isAddress,
        depth + 1,
        wanted && inAddress === '' && (isAddress || inText === ''),
      );
      if (host === '') continue;
      if (isAddress) inAddress = host;
      else inText = host;
    }
    return inAddress === '' ? inText : inAddress;
  }

  #list(isAddress: boolean, depth: number, wanted: boolean): string {
    let found = '';
    for (let isMore = this.#opens(BRACKET_END); isMore; isMore = this.#goesOn()) {
      const host = this.#value(isAddress, depth + 1, wanted && found === '');
      if (host !== '') found = host;
    }
    return found;
  }

  /** Past a bracket, and past its end where nothing is between. */
  #opens(end: number): boolean {
    this.#at += 1;
    this.#space();
    if (this.#bytes[this.#at] !== end) return !this.#isUnsure;
    this.#at += 1;
    return false;
  }

  /** Past a comma, or past the bracket at the end. */
  #goesOn(): boolean {
    this.#space();
    const isMore = this.#bytes[this.#at] === COMMA;
    this.#at += 1;
    this.#space();
    return isMore && !this.#isUnsure && this.#at < this.#end;
  }

  /** Past a name and its colon, whether it is one of an address. */
  #name(): boolean {
    const from = this.#at + 1;
    this.#pass();
    const text = this.#names.text(this.#bytes, from, this.#at - 1);
    // Names that are numbers come first in an object, and some letters beyond ASCII become ASCII in lower case.
    if (isDigit(this.#bytes[from] as number) || (this.#marks & CODED) !== 0) this.#isUnsure = true;
    this.#space();
    this.#at += 1;
    this.#space();
    return isAddressName(text);
  }

  #text(isAddress: boolean, wanted: boolean): string {
    const from = this.#at;
    this.#pass();
    this.#values += 1;
    if (this.#values > MAX_VALUES) this.#isUnsure = true;
    if (!wanted || this.#marks === PLAIN || this.#isUnsure) return '';
    const isCoded = (this.#marks & CODED) !== 0;
    const text = DECODER.decode(
      this.#bytes.subarray(isCoded ? from : from + 1, isCoded ? this.#at : this.#at - 1),
    );
    return outsideHostInText(isCoded ? (JSON.parse(text) as string) : text, isAddress, this.#internalHosts);
  }

  /** Past a text with its quotes. */
  #pass(): void {
    const [bytes, end, kinds] = [this.#bytes, this.#end, MARKS];
    let marks = PLAIN;
    let at = this.#at + 1;
    for (; at < end; at += 1) {
      const byte = bytes[at] as number;
      if (byte === QUOTE) break;
      marks |= kinds[byte] as number;
      if (byte === BACKSLASH) at += 1;
    }
    this.#marks = marks;
    this.#at = at + 1;
  }

  /** Past a number or a word. */
  #other(): string {
    const bytes = this.#bytes;
    for (; this.#at < this.#end; this.#at += 1) {
      const byte = bytes[this.#at] as number;
      if (byte === COMMA || byte === BRACE_END || byte === BRACKET_END || byte <= 0x20) break;
    }
    return '';
  }

  #space(): void {
    while (this.#at < this.#end && (this.#bytes[this.#at] as number) <= 0x20) this.#at += 1;
  }
}

const walk = new Walk();

/** What destHost gives for the arguments whose JSON stands from `from` to `end`; undefined where it has to be asked. */
export function destHostIn(
  bytes: Uint8Array,
  { from, end }: { readonly from: number; readonly end: number },
  internalHosts: readonly string[],
): string | undefined {
  return walk.hostIn(bytes, from, end, internalHosts);
}
