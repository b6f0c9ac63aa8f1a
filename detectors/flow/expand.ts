/**
 * All texts that a sink's value may say: its own, and what they decode to by the encodings asked for, twice over (base64
 * of hex, reversed percent-encoding). Level by level, so that what needs two decodings never uses up the work of what
 * needs one.
 */
import { decodings } from './decode.ts';
import type { Steps } from './steps.ts';
import { normalized } from './texts.ts';
import { Tokens, type Token } from './tokens.ts';
import type { Encoding } from './via.ts';

const MAX_LEVEL = 2;
/** Times that a text is read to find its tokens. */
const TOKEN_PASSES = 4;
const MAX_TEXTS = 8_192;

export interface Reading {
  /** Decodings that led to it. */
  readonly level: number;
  readonly text: string;
  readonly tokens: readonly Token[];
}

/** What one encoding makes of a text, and the work that it was. */
interface Decoded {
  readonly texts: readonly string[];
  readonly steps: number;
}

/** What is known of the texts of one value: several ways of reading it ask for the same. */
export class KnownTexts {
  readonly tokens = new Tokens();
  private readonly encoded = new Map<string, readonly string[]>();
  private readonly decoded = new Map<Encoding, Map<string, Decoded>>();

  /** As often as it is asked, the work is counted; it is done once. */
  decodings(text: string, encoding: Encoding, steps: Steps): readonly string[] {
    let byText = this.decoded.get(encoding);
    if (byText === undefined) this.decoded.set(encoding, (byText = new Map<string, Decoded>()));
    const known = byText.get(text);
    // Where the work would run out midway, what is found until then is worked out anew.
    if (known !== undefined && steps.allows(known.steps)) {
      steps.take(known.steps);
      return known.texts;
    }
    const before = steps.taken;
    const texts = decodings({ text: text.trim(), tokens: this.encodedTokens(text), steps }, encoding).map(
      normalized,
    );
    if (!steps.isPartial) byText.set(text, { texts, steps: steps.taken - before });
    return texts;
  }

  /** Words are no encodings, and a token without two kinds of characters is worth no decoding. */
  private encodedTokens(text: string): readonly string[] {
    const known = this.encoded.get(text);
    if (known !== undefined) return known;
    const kept: string[] = [];
    for (const token of this.tokens.of(text)) {
      if (!/\s/.test(token.text) && !token.isWordLike) kept.push(token.text);
    }
    this.encoded.set(text, kept);
    return kept;
  }
}

export function readingsOf(
  texts: readonly string[],
  encodings: readonly Encoding[],
  steps: Steps,
  known = new KnownTexts(),
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
      readings.push({ level, text, tokens: known.tokens.of(text) });
      if (level === MAX_LEVEL) continue;
      for (const encoding of encodings)
        for (const found of known.decodings(text, encoding, steps)) decoded.push(found);
    }
    level++;
    pending = decoded;
  }
  return readings;
}
