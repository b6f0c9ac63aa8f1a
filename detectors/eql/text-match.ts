/** Wildcards and regular expressions, both in time linear in the text: patterns and texts come from strangers. */
import { compilePattern } from '../compile/pattern.ts';
import { EqlError } from './error.ts';

export interface WildcardOptions {
  readonly isInsensitive: boolean;
  /** Does `?` stand for one character? Only `*` is a wildcard in the older dialect. */
  readonly hasSingle: boolean;
}

export const hasWildcard = (pattern: string, { hasSingle }: WildcardOptions): boolean =>
  pattern.includes('*') || (hasSingle && pattern.includes('?'));

const literalPart = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`);

/** Whole-text pattern of RE2's syntax for a wildcard pattern. */
export function wildcardToPattern(pattern: string, { hasSingle }: WildcardOptions): string {
  const parts = pattern.split(hasSingle ? /([*?])/ : /([*])/);
  const body = parts.map((part, index) => {
    if (index % 2 === 0) return literalPart(part);
    return part === '*' ? '.*' : '.';
  });
  return wholeText(body.join(''));
}

/** Whole-text pattern for a text without wildcards. */
export const literalToPattern = (text: string): string => wholeText(literalPart(text));

export const wholeText = (pattern: string): string => String.raw`(?s)\A(?:${pattern})\z`;

/** Test of a whole text against a wildcard pattern. */
export function wildcardTest(
  pattern: string,
  options: WildcardOptions,
  at: number,
): (text: string) => boolean {
  if (!hasWildcard(pattern, options)) {
    const wanted = options.isInsensitive ? pattern.toLowerCase() : pattern;
    return (text) => (options.isInsensitive ? text.toLowerCase() : text) === wanted;
  }
  return regexTest(wildcardToPattern(pattern, options), options.isInsensitive, at);
}

export function regexTest(pattern: string, isInsensitive: boolean, at: number): (text: string) => boolean {
  const outcome = compilePattern(pattern, !isInsensitive);
  if (outcome.kind === 'fault') throw new EqlError(`the pattern ${outcome.message}`, at);
  return outcome.test;
}
