/** A value read once for all ways in which it is compared: its texts, what they decode to, their tokens. */
import { chunkText } from './chunks.ts';
import { KnownTexts, readingsOf, type Reading } from './expand.ts';
import { Steps } from './steps.ts';
import { textsOf, type Texts } from './texts.ts';
import type { Token } from './tokens.ts';
import type { Encoding } from './via.ts';

/** Characters that one value may make us look at, decodings included. */
export const MAX_STEPS = 4_000_000;

/** A value as some ways of comparing it see it, and the work that is left for them. */
export interface Seen {
  readonly readings: readonly Reading[];
  readonly steps: Steps;
}

interface Collected {
  readonly texts: Texts;
  readonly steps: Steps;
}

export class FlowValue {
  private readonly value: unknown;
  private readonly known = new KnownTexts();
  private collected: Collected | undefined;
  private readonly seen = new Map<string, Seen>();
  private readonly chunkTexts = new Map<string, string>();

  constructor(value: unknown) {
    this.value = value;
  }

  texts(): Collected {
    if (this.collected !== undefined) return this.collected;
    const steps = new Steps(MAX_STEPS);
    return (this.collected = { texts: textsOf(this.value, steps), steps });
  }

  /** Tokens of a source. */
  valueTokens(): (readonly Token[])[] {
    return this.texts().texts.values.map((text) => this.known.tokens.of(text));
  }

  /** A sink's own texts, names of members too, and what they decode to; the steps are a copy. */
  readings(encodings: readonly Encoding[]): Seen {
    const name = encodings.join();
    let seen = this.seen.get(name);
    if (seen === undefined) {
      const { texts, steps } = this.texts();
      const own = steps.copy();
      const readings = readingsOf([...texts.values, ...texts.keys], encodings, own, this.known);
      this.seen.set(name, (seen = { readings, steps: own }));
    }
    return { readings: seen.readings, steps: seen.steps.copy() };
  }

  /** Letters and digits of a source. */
  valueChunkText(): string {
    return this.chunkText('values', () => this.texts().texts.values);
  }

  /** Values first, then names of members, then what was decoded: cuts between arguments do not part a value. */
  sinkChunkText(encodings: readonly Encoding[], readings: readonly Reading[]): string {
    const { texts } = this.texts();
    return this.chunkText(`sink ${encodings.join()}`, () => [
      ...texts.values,
      ...texts.keys,
      ...readings.flatMap((one) => (one.level > 0 ? [one.text] : [])),
    ]);
  }

  private chunkText(name: string, texts: () => readonly string[]): string {
    let text = this.chunkTexts.get(name);
    if (text === undefined) this.chunkTexts.set(name, (text = chunkText(texts())));
    return text;
  }
}
