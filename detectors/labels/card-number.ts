/**
 * Numbers of payment cards (ISO/IEC 7812-1): issuer range, length and check digit (Luhn). One in ten numbers of any kind
 * passes Luhn, so digits in a row count only where something near speaks of a card; digits grouped as on a card count alone.
 */

/** Issuer ranges by their first digits, and lengths that they issue. */
const RANGES: readonly (readonly [low: number, high: number, digits: number, lengths: readonly number[]])[] =
  [
    [4, 4, 1, [13, 16, 19]], // Visa
    [51, 55, 2, [16]], // Mastercard
    [2221, 2720, 4, [16]], // Mastercard, since 2017
    [34, 34, 2, [15]], // American Express
    [37, 37, 2, [15]],
    [6011, 6011, 4, [16, 17, 18, 19]], // Discover
    [644, 649, 3, [16, 17, 18, 19]],
    [65, 65, 2, [16, 17, 18, 19]],
    [300, 305, 3, [14, 15, 16, 17, 18, 19]], // Diners Club
    [3095, 3095, 4, [14, 15, 16, 17, 18, 19]],
    [36, 36, 2, [14, 15, 16, 17, 18, 19]],
    [38, 39, 2, [14, 15, 16, 17, 18, 19]],
    [3528, 3589, 4, [16, 17, 18, 19]], // JCB
    [62, 62, 2, [16, 17, 18, 19]], // UnionPay
    [81, 81, 2, [16, 17, 18, 19]],
    [50, 50, 2, [12, 13, 14, 15, 16, 17, 18, 19]], // Maestro
    [56, 58, 2, [12, 13, 14, 15, 16, 17, 18, 19]],
    [6304, 6304, 4, [12, 13, 14, 15, 16, 17, 18, 19]],
    [67, 67, 2, [12, 13, 14, 15, 16, 17, 18, 19]],
    [2200, 2204, 4, [16, 17, 18, 19]], // Mir
  ];

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let at = digits.length - 1, twice = false; at >= 0; at--, twice = !twice) {
    const digit = digits.charCodeAt(at) - 48;
    sum += twice ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

/** Whether these digits could be a card's: length, issuer and check digit. */
export function isCardNumber(digits: string): boolean {
  if (digits.length < 12 || digits.length > 19) return false;
  const issued = RANGES.some(([low, high, count, lengths]) => {
    const first = Number(digits.slice(0, count));
    return first >= low && first <= high && lengths.includes(digits.length);
  });
  return issued && passesLuhn(digits);
}

const GROUPED = /\d{4}([ -])(?:\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{6}\1\d{4,5})(?![\d-])/y;
const MAX_DIGITS = 19;
const IN_A_ROW = /^\d{12,19}$/;
const CARD_WORDS =
  /card|credit|debit|visa|master|amex|american express|discover|diners|jcb|unionpay|maestro|karte|carte|tarjeta|carta|(?:^|[^a-z])(?:pan|cc|ccn|ccnum|acct)(?:[^a-z]|$)/i;
const NEAR_CHARACTERS = 48;

/** `near`: what stands around it beside the text itself, such as names of members. */
export function speaksOfCard(text: string, at: number, near: string): boolean {
  return CARD_WORDS.test(near) || CARD_WORDS.test(text.slice(Math.max(0, at - NEAR_CHARACTERS), at));
}

/** End of the card number that begins at `at`, where digits begin; -1 when there is none. `end`: of its run of word characters. */
export function cardNumberAt(text: string, at: number, end: number, near: () => string): number {
  if (!mayBegin(text, at)) return -1;
  const run = text.slice(at, Math.min(end, at + MAX_DIGITS + 1));
  if (IN_A_ROW.test(run)) return isCardNumber(run) && speaksOfCard(text, at, near()) ? end : -1;
  return end - at === 4 || text.charCodeAt(at + 4) === 0x2d ? groupedAt(text, at) : -1;
}

/** Not a part of a decimal number or a longer one; no issuer begins with 0 or 1. */
function mayBegin(text: string, at: number): boolean {
  const before = at === 0 ? 0 : text.charCodeAt(at - 1);
  return text.charCodeAt(at) >= 0x32 && before !== 0x2e && before !== 0x2b;
}

function groupedAt(text: string, at: number): number {
  GROUPED.lastIndex = at;
  if (!GROUPED.test(text)) return -1;
  const to = GROUPED.lastIndex;
  return isCardNumber(text.slice(at, to).replaceAll(/[ -]/g, '')) ? to : -1;
}
