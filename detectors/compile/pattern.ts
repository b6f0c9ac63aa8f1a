/**
 * `re`: regular expressions in RE2's syntax, matched in time linear in the text (https://github.com/google/re2/wiki/Syntax).
 * Patterns come from rule files, texts from attackers, so the pattern, its program and the text are all bounded: the
 * worst case is their product. The library looks for required literals before it runs an automaton.
 */
import { RE2JS } from 're2js';
import { Prefilter } from './prefilter.ts';
import { isBeyondAscii, requiredTexts } from './required.ts';

const MAX_PATTERN_BYTES = 1024;
/**
 * Instructions of the compiled program: counted repeats make few characters into many. Where the automaton's cache does
 * not help, a text costs instructions × characters: measured 1 s for 512 on the longest text, 3.5 s for 1,800.
 */
const MAX_PROGRAM_INSTRUCTIONS = 512;
/** Characters of a value that are searched; what lies behind them is not seen. */
export const MAX_SEARCHED_CHARACTERS = 65_536;

export type PatternOutcome =
  | { readonly kind: 'pattern'; readonly test: (text: string) => boolean }
  | { readonly kind: 'fault'; readonly message: string };

const encoder = new TextEncoder();
const NOT_ASCII = /[\u0080-\uFFFF]/;
const fault = (message: string): PatternOutcome => ({ kind: 'fault', message });

/** Test that finds the pattern anywhere in a text, without case unless `cased`. Never throws. */
export function compilePattern(pattern: string, cased: boolean): PatternOutcome {
  if (encoder.encode(pattern).length > MAX_PATTERN_BYTES) return fault('is longer than 1 KiB');
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern, cased ? 0 : RE2JS.CASE_INSENSITIVE);
  } catch (error) {
    return fault(error instanceof Error ? error.message : String(error));
  }
  if (compiled.programSize() > MAX_PROGRAM_INSTRUCTIONS)
    return fault('is too large once its repeats are written out');
  return {
    kind: 'pattern',
    test: (text) =>
      compiled.test(text.length > MAX_SEARCHED_CHARACTERS ? text.slice(0, MAX_SEARCHED_CHARACTERS) : text),
  };
}

/** Undefined where patterns that are sound alone do not go together (two groups of one name, an open quotation), or are too large. */
function joined(patterns: readonly string[], flags: number): RE2JS | undefined {
  try {
    const compiled = RE2JS.compile(patterns.map((pattern) => `(?:${pattern})`).join('|'), flags);
    return compiled.programSize() > MAX_PROGRAM_INSTRUCTIONS ? undefined : compiled;
  } catch {
    return undefined;
  }
}

/** Patterns put together while their program stays within the bound, so that a text is walked once for many of them. */
function together(patterns: readonly string[], flags: number): readonly RE2JS[] {
  const done: RE2JS[] = [];
  let held: { readonly patterns: readonly string[]; readonly compiled: RE2JS } | undefined;
  for (const pattern of patterns) {
    const more = held === undefined ? undefined : [...held.patterns, pattern];
    const compiled = more === undefined ? undefined : joined(more, flags);
    if (more !== undefined && compiled !== undefined) held = { patterns: more, compiled };
    else {
      if (held !== undefined) done.push(held.compiled);
      held = { patterns: [pattern], compiled: RE2JS.compile(pattern, flags) };
    }
  }
  return held === undefined ? done : [...done, held.compiled];
}

/** Patterns that require some text run one by one, where it is there; the others together. Compiled when first needed. */
class AnyPattern {
  private readonly flags: number;
  private readonly telling: readonly string[];
  private readonly others: readonly string[];
  private readonly prefilter: Prefilter;
  private readonly ofTelling: (RE2JS | undefined)[] = [];
  private ofOthers: readonly RE2JS[] | undefined;
  /** The others match no text of ASCII alone. */
  private readonly skipsAscii: boolean;

  constructor(patterns: readonly string[], flags: number) {
    this.flags = flags;
    this.telling = patterns.filter((pattern) => requiredTexts(pattern).length > 0);
    this.others = patterns.filter((pattern) => !this.telling.includes(pattern));
    this.prefilter = new Prefilter(this.telling);
    this.skipsAscii = this.others.every(isBeyondAscii);
  }

  test(whole: string): boolean {
    const text = whole.length > MAX_SEARCHED_CHARACTERS ? whole.slice(0, MAX_SEARCHED_CHARACTERS) : whole;
    for (const candidate of this.prefilter.candidates(text)) {
      const pattern = this.telling[candidate] as string;
      if ((this.ofTelling[candidate] ??= RE2JS.compile(pattern, this.flags)).test(text)) return true;
    }
    if (this.others.length === 0 || (this.skipsAscii && !NOT_ASCII.test(text))) return false;
    this.ofOthers ??= together(this.others, this.flags);
    return this.ofOthers.some((compiled) => compiled.test(text));
  }
}

/** Test that finds any of the patterns. Each was found sound by compilePattern before. */
export function anyPattern(patterns: readonly string[], cased: boolean): (text: string) => boolean {
  let any: AnyPattern | undefined;
  return (text) => {
    any ??= new AnyPattern(patterns, cased ? 0 : RE2JS.CASE_INSENSITIVE);
    return any.test(text);
  };
}
