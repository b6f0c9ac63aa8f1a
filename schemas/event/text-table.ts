/**
 * Texts that come again and again, by their bytes: the same string for the same bytes as long as no other takes its
 * place, so that most are never made. A bounded table in which the newest wins: what producers write cannot make it grow
 * beyond that, nor slow. It begins small, since many readers see few lines.
 */
const FIRST_SLOTS = 256;
const MAX_SLOTS = 32_768;
/** Longer ones are made each time. */
const MAX_BYTES = 64;
const HASH_PRIME = 0x01000193;

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class TextTable {
  private texts = emptyTable(FIRST_SLOTS);
  /** Texts made since the table got its size. */
  private made = 0;

  /** The text of ASCII bytes without escapes. */
  text(bytes: Uint8Array, from: number, end: number): string {
    if (end - from > MAX_BYTES) return DECODER.decode(bytes.subarray(from, end));
    let hash = end - from;
    for (let at = from; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), HASH_PRIME);
    const slot = (hash ^ (hash >>> 15)) & (this.texts.length - 1);
    const known = this.texts[slot];
    if (known !== undefined && known.length === end - from && isText(bytes, from, known)) return known;
    return this.keep(slot, DECODER.decode(bytes.subarray(from, end)));
  }

  private keep(slot: number, text: string): string {
    this.texts[slot] = text;
    this.made += 1;
    if (this.made > this.texts.length && this.texts.length < MAX_SLOTS) {
      this.texts = emptyTable(this.texts.length * 2);
      this.made = 0;
    }
    return text;
  }
}

function emptyTable(slots: number): (string | undefined)[] {
  return Array<string | undefined>(slots).fill(undefined);
}

function isText(bytes: Uint8Array, from: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (bytes[from + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}
