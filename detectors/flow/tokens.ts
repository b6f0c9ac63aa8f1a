/** Which pieces of a text may be a secret. */
import { isWordLike } from './words.ts';

/** Shorter texts are too common to say anything. */
export const MIN_TOKEN_LENGTH = 6;

/*
 * Three sets of separators, each within the next, because nobody knows which characters a secret holds: what stands
 * between quotes, brackets or white space; what stands between the delimiters of URLs and assignments (base64 and
 * percent-encoded texts stay whole); runs of letters, digits, - and _. A secret is found where the characters on both
 * sides of it belong to one of the three sets and it holds none of that set.
 */
const OUTER = /[\s\p{Cc}\uFFFD"'`“”‘’«»()[\]{}<>\\|,;]+/u;
const MIDDLE = /[=&?#:@!$*^]+/;
const INNER = /[/+.%~]+/;
const EDGE = /^[.,:;!?=]+|[.,:;!?=]+$/g;

/** All tokens of a text, and the trimmed text itself; deduplicated. */
export function tokensOf(text: string): Set<string> {
  const tokens = new Set<string>();
  const add = (token: string): void => {
    if (token.length >= MIN_TOKEN_LENGTH) tokens.add(token);
  };
  add(text.trim());
  for (const outer of text.split(OUTER)) {
    if (outer.length < MIN_TOKEN_LENGTH) continue;
    add(outer);
    add(outer.replace(EDGE, ''));
    for (const middle of outer.split(MIDDLE)) {
      if (middle.length < MIN_TOKEN_LENGTH) continue;
      add(middle);
      add(middle.replace(EDGE, ''));
      for (const inner of middle.split(INNER)) add(inner);
    }
  }
  return tokens;
}

/** All zero between calls: a table for each token would cost more than the counting. */
const asciiCounts = new Uint32Array(128);

/** Sum of c log2 c over the counts c of the text's UTF-16 units. */
function weightedCounts(text: string): number {
  let weighted = 0;
  if (/[\u0080-\uFFFF]/.test(text)) {
    const counts = new Map<string, number>();
    for (const unit of text.split('')) counts.set(unit, (counts.get(unit) ?? 0) + 1);
    for (const count of counts.values()) weighted += count * Math.log2(count);
    return weighted;
  }
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    asciiCounts[unit] = (asciiCounts[unit] as number) + 1;
  }
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    const count = asciiCounts[unit] as number;
    if (count > 1) weighted += count * Math.log2(count);
    asciiCounts[unit] = 0;
  }
  return weighted;
}

/** Shannon entropy of the text's characters (UTF-16 units), bits a character. */
export function entropyBits(text: string): number {
  return Math.log2(text.length) - weightedCounts(text) / text.length;
}

/** Bits that the whole token holds where it may be a secret, 0 otherwise. */
export function secretBits(token: string, minEntropy: number): number {
  if (token.length < MIN_TOKEN_LENGTH) return 0;
  const entropy = entropyBits(token);
  return entropy < minEntropy || isWordLike(token) ? 0 : entropy * token.length;
}
