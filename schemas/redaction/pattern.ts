/**
 * Regular expressions of an operator for texts of an attacker: a subset in which a search takes time linear in the text. A
 * sequence of literals, `\d \w \s .`, escapes and classes `[a-z]`, each once or repeated `{n}`, `{n,m}`, `?`, with `\b` at either
 * end. No alternation (write another pattern), no groups, no `*` or `+`. At one place of the text a backtracking engine
 * tries at most the product of all choices, each no longer than the longest match: that number is bounded.
 */

export type ParsedPattern =
  | { readonly kind: 'pattern'; readonly source: string }
  | { readonly kind: 'fault'; readonly message: string };

const ATOM = /(?:\\[dws]|\\[^\p{L}\p{N}]|\[\^?(?:\\[dws\\\]^-]|[^\\\][^])+\]|[^\\.[\](){}*+?|^$]|\.)/uy;
const REPEAT = /\{(\d{1,3})(?:,(\d{1,3}))?\}|\?/uy;
const MAX_MATCH = 256;
const MAX_WORK = 4_096;
/** Shorter matches would redact everything. */
const MIN_MATCH = 3;

export function parsePattern(text: string): ParsedPattern {
  const body = text.replace(/^\\b/u, '').replace(/\\b$/u, '');
  let at = 0;
  let least = 0;
  let most = 0;
  let choices = 1;
  while (at < body.length) {
    ATOM.lastIndex = at;
    if (!ATOM.test(body))
      return fault(`has something that is not allowed at ${JSON.stringify(body.slice(at, at + 8))}`);
    at = ATOM.lastIndex;
    REPEAT.lastIndex = at;
    const repeat = REPEAT.exec(body);
    if (repeat !== null) at = REPEAT.lastIndex;
    const { from, to } = boundsOf(repeat);
    if (to < from || to === 0) return fault(`has a repeat that matches nothing: ${repeat?.[0] ?? ''}`);
    least += from;
    most += to;
    choices *= to - from + 1;
  }
  if (least < MIN_MATCH) return fault(`must match at least ${MIN_MATCH} characters`);
  if (most > MAX_MATCH) return fault(`must not match more than ${MAX_MATCH} characters`);
  if (choices * most > MAX_WORK) return fault('has too many repeats of open length');
  try {
    new RegExp(text, 'u');
  } catch (error) {
    return fault(error instanceof Error ? error.message : 'is no regular expression');
  }
  return { kind: 'pattern', source: text };
}

function boundsOf(repeat: RegExpExecArray | null): { readonly from: number; readonly to: number } {
  if (repeat === null) return { from: 1, to: 1 };
  const [whole, from, to] = repeat;
  if (whole === '?') return { from: 0, to: 1 };
  return { from: Number(from), to: Number(to ?? from) };
}

const fault = (message: string): ParsedPattern => ({ kind: 'fault', message });
