/**
 * Whether a text may hold a secret at all: most hold none, and this tells it for a tenth of what looking costs. It errs on
 * one side only: what `secretsIn` finds in a text, or in the strings of JSON text, makes that text suspicious (held by a
 * property test). Runs of twelve word characters are found from their ends, so that most characters are never read.
 */
import { beginsLikeKey } from './vendor-keys.ts';

/** No credential, and no card number in a row of digits, has a shorter run. */
const RUN = 12;
/** Names behind which a secret may stand, up to the sign. */
const TELLING =
  /(?:pass|pwd|secret|token|credential|authoriz|(?:api|access|private|account|client|shared|signing|encryption|master|storage|license|app|service)[ _.-]{0,3}key)[^"'\\:=]{0,64}[\s"'\\]{0,8}[:=]/i;
const BEARER = /bearer +[\w.~+/-]{20}/i;
/** The inner groups of a card number; with dashes it is one run. */
const GROUPED = /\d \d{4,6} \d{4}/;
const USER_INFO = /:\/\/[^\s/?#@"'<>]{0,400}@/;

const IS_WORD = new Uint8Array(128);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-') {
  IS_WORD[character.charCodeAt(0)] = 1;
}
const isWord = (code: number): boolean => code < 128 && IS_WORD[code] === 1;
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** Start of the run that covers `at`, not below `least`; -1 where `at` is no word character. */
function runStart(text: string, at: number, least: number): number {
  let start = at;
  while (start >= least && isWord(text.charCodeAt(start))) start--;
  return start + 1;
}

function digitsAt(text: string, from: number, most: number): number {
  let at = from;
  while (at < from + most && isDigit(text.charCodeAt(at))) at++;
  return at - from;
}

function beginsWithDigits(text: string, from: number): boolean {
  const count = digitsAt(text, from, RUN);
  // A card number with dashes.
  return (
    count === RUN || (count === 4 && text.charCodeAt(from + 4) === 0x2d && digitsAt(text, from + 5, 4) === 4)
  );
}

const beginsAt = (text: string, from: number): boolean =>
  beginsWithDigits(text, from) || beginsLikeKey(text, from);

function isSuspiciousRun(text: string, start: number): boolean {
  if (beginsAt(text, start)) return true;
  const before = start === 0 ? 0 : text.charCodeAt(start - 1);
  // The letter of an escape (\n) is no part of the run in the decoded string.
  if (before === 0x5c) return beginsAt(text, start + 1);
  // SG.…, hvs.…, 110201543:A…
  if (before === 0x2e) return beginsLikeKey(text, start - 3) || beginsLikeKey(text, start - 4);
  return before === 0x3a && text.charCodeAt(start) === 0x41 && isDigit(text.charCodeAt(start - 2));
}

function hasSuspiciousRun(text: string): boolean {
  // No run that covers `from - 1` is left to be looked at.
  let from = 0;
  while (from + RUN <= text.length) {
    const last = from + RUN - 1;
    const start = runStart(text, last, from);
    if (start > from) {
      from = start;
      continue;
    }
    if (isSuspiciousRun(text, from)) return true;
    from = last + 1;
    while (from < text.length && isWord(text.charCodeAt(from))) from++;
    from++;
  }
  return false;
}

/** False only where no secret stands in the text, read as it is or as JSON text. Linear. */
export function mayHoldSecret(text: string): boolean {
  return (
    // An escape may stand for any character.
    text.includes('\\u') ||
    text.includes('-----BEGIN') ||
    text.includes('hooks.slack.com') ||
    hasSuspiciousRun(text) ||
    GROUPED.test(text) ||
    (text.includes('@') && USER_INFO.test(text)) ||
    BEARER.test(text) ||
    TELLING.test(text)
  );
}
