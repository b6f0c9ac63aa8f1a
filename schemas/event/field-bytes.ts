/** Forms of fields as their bytes show them: what validate.ts asks of parsed values. The bytes are ASCII without escapes. */
import { isDigit } from './json-bytes.ts';

const ZERO = 0x30;
/** The longest number that every field of numbers takes. */
const MAX_DIGITS = 12;

/** By byte 1 where it is a lower-case hex digit. */
const IS_HEX = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[0-9a-f]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

/** 1 to 256 characters; of the control characters a JSON string may hold only U+007F as it is. */
export function isUsualName(bytes: Uint8Array, from: number, end: number): boolean {
  if (end === from || end - from > 256) return false;
  for (let at = from; at < end; at++) if (bytes[at] === 0x7f) return false;
  return true;
}

export function isHex(bytes: Uint8Array, from: number, end: number): boolean {
  const isHexDigit = IS_HEX;
  for (let at = from; at < end; at++) {
    if (isHexDigit[bytes[at] as number] !== 1) return false;
  }
  return true;
}

export function isShortCount(bytes: Uint8Array, from: number, end: number): boolean {
  return end - from <= MAX_DIGITS && end > from && countAt(bytes, from, end) >= 0;
}

/** Value of digits, -1 for anything else. */
export function countAt(bytes: Uint8Array, from: number, end: number): number {
  let value = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number;
    if (!isDigit(byte)) return -1;
    value = value * 10 + byte - ZERO;
  }
  return value;
}

const DOT = 0x2e;
/** Of a fraction; with those before it fewer than a double holds exactly. */
const MAX_FRACTION_DIGITS = 3;
const POWERS = [1, 10, 100, 1000];

/**
 * Value of digits with at most three more after a dot, -1 for anything else. As JSON.parse has it: both numbers are exact,
 * so that their quotient is rounded once (W. Clinger, "How to read floating point numbers accurately").
 */
export function decimalAt(bytes: Uint8Array, from: number, end: number): number {
  let dot = end - 1;
  while (dot > from && end - dot <= MAX_FRACTION_DIGITS && bytes[dot] !== DOT) dot -= 1;
  if (dot <= from || bytes[dot] !== DOT)
    return isShortCount(bytes, from, end) ? countAt(bytes, from, end) : -1;
  const fraction = end - dot - 1;
  if (fraction === 0 || !isShortCount(bytes, from, dot)) return -1;
  const rest = countAt(bytes, dot + 1, end);
  const power = POWERS[fraction] as number;
  return rest < 0 ? -1 : (countAt(bytes, from, dot) * power + rest) / power;
}

const TIME_FORM = new TextEncoder().encode('0000-00-00T00:00:00.000Z');
const twoAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) - ZERO) * 10 + (bytes[at + 1] as number) - ZERO;

/** As the schema has it: digits in their places, and no month, day, hour, minute or second that there is not. */
export function isUsualTime(bytes: Uint8Array, from: number, end: number): boolean {
  if (end - from !== TIME_FORM.length) return false;
  const wanted = TIME_FORM;
  for (let index = 0; index < wanted.length; index++) {
    const byte = bytes[from + index] as number;
    const form = wanted[index] as number;
    if (form === ZERO ? !isDigit(byte) : byte !== form) return false;
  }
  return isMonthAndDay(bytes, from + 5) && isTimeOfDay(bytes, from + 11);
}

function isMonthAndDay(bytes: Uint8Array, at: number): boolean {
  const [month, day] = [twoAt(bytes, at), twoAt(bytes, at + 3)];
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

const isTimeOfDay = (bytes: Uint8Array, at: number): boolean =>
  twoAt(bytes, at) < 24 && twoAt(bytes, at + 3) < 60 && twoAt(bytes, at + 6) < 60;
