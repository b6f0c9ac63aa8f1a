/** Well-formed UTF-8 by its bytes: The Unicode Standard, table 3-7. */

const isTail = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Bytes of the character of two bytes or more that begins here, 0 where none does. */
export function utf8Length(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0xc2 || first > 0xf4 || !isTail(bytes[at + 1])) return 0;
  if (first < 0xe0) return 2;
  if (!isSecond(first, bytes[at + 1] as number) || !isTail(bytes[at + 2])) return 0;
  if (first < 0xf0) return 3;
  return isTail(bytes[at + 3]) ? 4 : 0;
}

/** Neither longer than need be, nor half of a surrogate pair, nor past U+10FFFF. */
function isSecond(first: number, second: number): boolean {
  switch (first) {
    case 0xe0:
      return second >= 0xa0;
    case 0xed:
      return second <= 0x9f;
    case 0xf0:
      return second >= 0x90;
    case 0xf4:
      return second <= 0x8f;
    default:
      return true;
  }
}
