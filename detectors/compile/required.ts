/**
 * Texts that every match of a pattern holds, whatever its case: a cheap look for them settles most values before an
 * automaton runs. Only what is understood for certain counts; a pattern with anything else asks for nothing.
 */

/** One of these must be there; lower-case ASCII. */
export type OneOf = readonly string[];

/** Escapes, classes, counted repeats, openings of groups, flags, single characters. */
const TOKENS = /\\.|\[\^?\]?(?:\\.|[^\]])*\]|\{\d+,?\d*\}|\(\?(?:P?<\w+>|[a-zA-Z-]*:)|\(\?[a-zA-Z-]+\)|[^]/gu;
/** Code points in braces, Unicode classes, quotations and POSIX classes, which the tokens above would cut in pieces. */
const NOT_UNDERSTOOD = /\\[^bBsSdDwWnrtAz.\-\\/^$*+?()[\]{}|"'`#&,:;=<>@!%~_ ]|\[\^?\[|\[:/;
const NO_TEXT = new Set(['\\b', '\\B', '^', '$', '\\A', '\\z']);
const FLAGS = /^\(\?[a-zA-Z-]+\)$/;
const REPEAT = /^(?:[?*+]|\{\d+,?\d*\})$/;
const EMPTY_REPEAT = /^(?:[?*]|\{0+(?:,\d*)?\})$/;
const PLAIN = /^[ -~]$/;
/** A single letter is nearly always there. */
const LEAST_CHARACTERS = 2;
const MAX_ALTERNATIVES = 64;

/** The character that a token stands for, '' for none without an end to the text, undefined for any other. */
function plainOf(token: string): string | undefined {
  if (NO_TEXT.has(token) || FLAGS.test(token)) return '';
  const letter = token.startsWith('\\') && !/^\\\w$/.test(token) ? token.slice(1) : token;
  return PLAIN.test(letter) && token !== '.' ? letter.toLowerCase() : undefined;
}

const leastLength = (oneOf: OneOf): number => Math.min(...oneOf.map((text) => text.length));

/** Of several the one that most texts lack. */
function rarest(all: readonly OneOf[]): OneOf | undefined {
  return all.toSorted((a, b) => leastLength(b) - leastLength(a))[0];
}

/** How often a part stands there. */
type Repeat = 'once' | 'again' | 'empty';

/** Plain text in a row, and what groups between ask for. */
class Runs {
  private readonly found: OneOf[] = [];
  private run = '';

  /** `text`: undefined where it is nothing plain. */
  add(text: string | undefined, repeat: Repeat): void {
    if (repeat !== 'empty') this.run += text ?? '';
    if (text === undefined || repeat !== 'once') this.end();
  }

  addGroup(inside: readonly OneOf[], repeat: Repeat): void {
    this.end();
    if (repeat !== 'empty') this.found.push(...inside);
  }

  done(): OneOf[] {
    this.end();
    return this.found;
  }

  private end(): void {
    if (this.run.length >= LEAST_CHARACTERS) this.found.push([this.run]);
    this.run = '';
  }
}

class Reader {
  private readonly tokens: readonly string[];
  private at = 0;

  constructor(pattern: string) {
    this.tokens = [...pattern.matchAll(TOKENS)].map(([token]) => token);
  }

  alternatives(): readonly OneOf[] {
    const all = [this.sequence()];
    while (this.tokens[this.at] === '|') {
      this.at++;
      all.push(this.sequence());
    }
    if (all.length === 1) return all[0] as readonly OneOf[];
    const each = all.map(rarest);
    const texts = each.flatMap((oneOf) => oneOf ?? []);
    return each.includes(undefined) || texts.length > MAX_ALTERNATIVES ? [] : [[...new Set(texts)]];
  }

  private sequence(): OneOf[] {
    const runs = new Runs();
    for (let token = this.tokens[this.at]; token !== undefined && token !== '|' && token !== ')';) {
      this.at++;
      const isGroup = token.startsWith('(') && !FLAGS.test(token);
      const inside = isGroup ? this.group() : undefined;
      const repeat = this.repeat();
      if (inside === undefined) runs.add(plainOf(token), repeat);
      else runs.addGroup(inside, repeat);
      token = this.tokens[this.at];
    }
    return runs.done();
  }

  private group(): readonly OneOf[] {
    const inside = this.alternatives();
    this.at++;
    return inside;
  }

  /** Whether what stands before may be left out, or come again. */
  private repeat(): Repeat {
    let found: Repeat = 'once';
    for (let token = this.tokens[this.at]; token !== undefined && REPEAT.test(token);) {
      if (found !== 'empty') found = EMPTY_REPEAT.test(token) ? 'empty' : 'again';
      token = this.tokens[++this.at];
    }
    return found;
  }
}

/** All of them must be there in a text that the pattern matches; none where nothing is known. */
export function requiredTexts(pattern: string): readonly OneOf[] {
  return NOT_UNDERSTOOD.test(pattern) ? [] : new Reader(pattern).alternatives();
}

/** One class of code points in braces, so many times. */
const CODE_POINTS = /^\[(?:\\x\{[0-9A-Fa-f]{1,6}\}-?)+\](?:\{\d+\})?$/;
/** Code points that ASCII letters fold to. */
const FOLDED_TO_ASCII = [0x017f, 0x212a];

/** Whether the pattern is one class of characters outside ASCII: no text of ASCII alone matches it. */
export function isBeyondAscii(pattern: string): boolean {
  if (!CODE_POINTS.test(pattern)) return false;
  const ranges = [...pattern.matchAll(/\\x\{([0-9A-Fa-f]+)\}(?:-\\x\{([0-9A-Fa-f]+)\})?/g)].map(
    ([, from = '', to = from]) => [Number.parseInt(from, 16), Number.parseInt(to, 16)] as const,
  );
  return ranges.every(
    ([from, to]) => from > 0x7f && !FOLDED_TO_ASCII.some((letter) => from <= letter && letter <= to),
  );
}
