/** The readable parts of bytes that may be text, or only the noise of decoding what was no encoding. */

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
/** Shorter parts hold no token. */
const MIN_CHARACTERS = 6;
/** Stands where bytes were left out; separates tokens. */
const GAP = '\uFFFD';

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Bytes of the UTF-8 sequence that a lead byte promises, 0 where it is none (RFC 3629; over-long forms pass). */
function promised(lead: number): number {
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

/** Length of the printable character at a place, 0 where there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number;
  if (lead < 0x80) {
    const isBlank = lead === 0x09 || lead === 0x0a || lead === 0x0d;
    return isBlank || (lead >= 0x20 && lead < 0x7f) ? 1 : 0;
  }
  const length = promised(lead);
  for (let next = 1; next < length; next++) if (!isContinuation(bytes[at + next])) return 0;
  return length;
}

/** End of the readable part that starts at a place, and its characters. */
function partFrom(bytes: Uint8Array, start: number): { readonly end: number; readonly characters: number } {
  let end = start;
  let characters = 0;
  while (end < bytes.length) {
    const length = characterLength(bytes, end);
    if (length === 0) break;
    characters++;
    end += length;
  }
  return { end, characters };
}

/** The parts of at least six readable characters, undefined where there is none. */
export function readable(bytes: Uint8Array): string | undefined {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const { end, characters } = partFrom(bytes, at);
    if (characters >= MIN_CHARACTERS) parts.push(utf8.decode(bytes.subarray(at, end)));
    at = end;
  }
  return parts.length === 0 ? undefined : parts.join(GAP);
}
