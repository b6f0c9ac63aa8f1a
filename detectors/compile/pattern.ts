/**
 * `re`: regular expressions in RE2's syntax, matched in time linear in the text (https://github.com/google/re2/wiki/Syntax).
 * Patterns come from rule files, texts from attackers, so the pattern, its program and the text are all bounded: the
 * worst case is their product. The library looks for required literals before it runs an automaton.
 */
import { RE2JS } from 're2js';

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
  return { kind: 'pattern', test: searching(compiled) };
}

function searching(compiled: RE2JS): (text: string) => boolean {
  return (text) =>
    compiled.test(text.length > MAX_SEARCHED_CHARACTERS ? text.slice(0, MAX_SEARCHED_CHARACTERS) : text);
}

/**
 * Test that finds any of the patterns. Patterns are put together while their program stays within the bound, so that a
 * text is walked once for many of them. Each was found sound by compilePattern before.
 */
export function anyPattern(patterns: readonly string[], cased: boolean): (text: string) => boolean {
  const flags = cased ? 0 : RE2JS.CASE_INSENSITIVE;
  const tests: ((text: string) => boolean)[] = [];
  let held: { readonly source: string; readonly compiled: RE2JS } | undefined;
  for (const pattern of patterns) {
    const own = `(?:${pattern})`;
    const source = held === undefined ? own : `${held.source}|${own}`;
    const compiled = RE2JS.compile(source, flags);
    if (held !== undefined && compiled.programSize() > MAX_PROGRAM_INSTRUCTIONS) {
      tests.push(searching(held.compiled));
      held = { source: own, compiled: RE2JS.compile(own, flags) };
    } else held = { source, compiled };
  }
  if (held !== undefined) tests.push(searching(held.compiled));
  return (text) => tests.some((test) => test(text));
}
