/**
 * A pass over JSON text before and beside JSON.parse: how deep it nests, and how many member names it holds. Comparing
 * the latter with the parsed value's keys finds a name that an object repeats (JSON.parse keeps the last one silently).
 */

export interface JsonShape {
  /** Deepest nesting of arrays and objects; scanning stops once it passes `maxDepth`. */
  readonly depth: number;
  /** Member names in all objects (colons outside of strings). */
  readonly names: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Shape of text that may be any bytes at all: malformed text gives some shape, never a throw, in linear time. */
export function scanJson(text: string, maxDepth: number): JsonShape {
  let depth = 0;
  let deepest = 0;
  let names = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === COLON) names += 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (depth > maxDepth) break;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1;
  }
  return { depth: deepest, names };
}

/** Index of the quote that ends the string opened at `open`; the text's length when it never ends. */
function endOfString(text: string, open: number): number {
  let at = open;
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return at;
  }
}

/** Keys of all objects inside a parsed value. Recursion is bounded by the depth that was checked before parsing. */
export function countNames(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let names = 0;
  if (Array.isArray(value)) {
    for (const item of value) names += countNames(item);
    return names;
  }
  const record = value as Readonly<Record<string, unknown>>;
  // Parsed values inherit no enumerable names; an array of the keys would cost more than the walk.
  for (const key in record) {
    names += 1;
    const child = record[key];
    if (typeof child === 'object' && child !== null) names += countNames(child);
  }
  return names;
}
