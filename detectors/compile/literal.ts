/**
 * Whether a pattern of `re` holds text that must be there: the matcher then passes over most values by looking for it,
 * and runs the automaton on few. An estimate for a warning; a class or a repeat that may be empty counts for nothing.
 */
const LEAST_CHARACTERS = 3;

/** Escapes, classes, counted repeats, openings of groups, single characters. */
const TOKENS = /\\.|\[\^?\]?(?:\\.|[^\]])*\]|\{\d*,?\d*\}|\(\?(?:P?<\w+>|[a-zA-Z-]*:)|\(\?[a-zA-Z-]+\)|[^]/gu;
const NO_TEXT = new Set(['\\b', '\\B', '^', '$', '\\A', '\\z']);
const EMPTY_REPEAT = /^(?:[?*]|\{0?,\d*\}|\{0\})$/;
const REPEAT = /^(?:[?*+]|\{\d*,?\d*\})$/;

/** Plain text that one token stands for: 1 character, none without an end to the run (0), or a break (undefined). */
function textOf(token: string): number | undefined {
  if (NO_TEXT.has(token) || /^\(\?[a-zA-Z-]+\)$/.test(token)) return 0;
  if (token === '.' || token.startsWith('[')) return undefined;
  return token.startsWith('\\') && /\w/.test(token[1] ?? '') ? undefined : 1;
}

class Reader {
  private readonly tokens: readonly string[];
  private at = 0;

  constructor(pattern: string) {
    this.tokens = [...pattern.matchAll(TOKENS)].map(([token]) => token);
  }

  /** Longest text that any match of the alternatives up to the end of the group holds. */
  alternatives(): number {
    let least = this.sequence();
    while (this.tokens[this.at] === '|') {
      this.at++;
      least = Math.min(least, this.sequence());
    }
    return least;
  }

  private sequence(): number {
    let longest = 0;
    let run = 0;
    for (let token = this.tokens[this.at]; token !== undefined && token !== '|' && token !== ')';) {
      this.at++;
      const isGroup = token.startsWith('(') && textOf(token) !== 0;
      const inside = isGroup ? this.group() : 0;
      const text = isGroup ? undefined : textOf(token);
      const mayBeEmpty = this.skipRepeat();
      longest = Math.max(longest, mayBeEmpty ? 0 : inside);
      run = text === undefined || mayBeEmpty ? 0 : run + text;
      longest = Math.max(longest, run);
      token = this.tokens[this.at];
    }
    return longest;
  }

  private group(): number {
    const inside = this.alternatives();
    this.at++;
    return inside;
  }

  /** True where what stands before may be left out. */
  private skipRepeat(): boolean {
    let mayBeEmpty = false;
    for (let token = this.tokens[this.at]; token !== undefined && REPEAT.test(token);) {
      mayBeEmpty ||= EMPTY_REPEAT.test(token);
      token = this.tokens[++this.at];
    }
    return mayBeEmpty;
  }
}

/** Whether any match must hold three plain characters in a row. */
export function hasLiteral(pattern: string): boolean {
  return new Reader(pattern).alternatives() >= LEAST_CHARACTERS;
}
