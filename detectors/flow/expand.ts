/**
 * All texts that a sink's value may say: its own, and what they decode to by the encodings asked for, twice over (base64
 * of hex, reversed percent-encoding). Level by level, so that what needs two decodings never uses up the work of what
 * needs one.
 */
import { decodings } from './decode.ts';
import type { Steps } from './steps.ts';
import { normalized } from './texts.ts';
import { tokensOf } from './tokens.ts';
import type { Encoding } from './via.ts';
import { isWordLike } from './words.ts';

const MAX_LEVEL = 2;
/** Times that a text is read to find its tokens. */
const TOKEN_PASSES = 4;
const MAX_TEXTS = 8_192;

export interface Reading {
  /** Decodings that led to it. */
  readonly level: number;
  readonly text: string;
  readonly tokens: ReadonlySet<string>;
}

/** Words are no encodings, and a token without two kinds of characters is worth no decoding. */
function encodedTokens(tokens: ReadonlySet<string>): Set<string> {
  const kept = new Set<string>();
  for (const token of tokens) if (!/\s/.test(token) && !isWordLike(token)) kept.add(token);
  return kept;
}

export function readingsOf(
  texts: readonly string[],
  encodings: readonly Encoding[],
  steps: Steps,
): Reading[] {
  const readings: Reading[] = [];
  const seen = new Set<string>();
  let level = 0;
  let pending: readonly string[] = texts;
  while (pending.length > 0) {
    const decoded: string[] = [];
    for (const text of pending) {
      if (seen.has(text)) continue;
      seen.add(text);
      if (seen.size > MAX_TEXTS || !steps.take(TOKEN_PASSES * text.length)) {
        steps.isPartial = true;
        return readings;
      }
      const tokens = tokensOf(text);
      readings.push({ level, text, tokens });
      if (level === MAX_LEVEL) continue;
      const encoded = { text: text.trim(), tokens: encodedTokens(tokens), steps };
      for (const encoding of encodings) {
        for (const found of decodings(encoded, encoding)) decoded.push(normalized(found));
      }
    }
    level++;
    pending = decoded;
  }
  return readings;
}
