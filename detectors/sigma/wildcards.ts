/**
 * Values with wildcards (Sigma rules specification 2.1, "Escaping"): `*` any text, `?` one character, `\` escapes a
 * wildcard or itself and is plain everywhere else. They become the narrowest operator that says the same.
 */
import { RE2JS } from 're2js';

export interface TextMatch {
  readonly operator: 'eq' | 'contains' | 'startswith' | 'endswith' | 're' | 'exists';
  readonly value: string;
}
type Token = { readonly wildcard: '*' | '?' } | { readonly text: string };

const isStar = (token: Token | undefined): boolean =>
  token !== undefined && 'wildcard' in token && token.wildcard === '*';

function addText(tokens: Token[], text: string): void {
  const last = tokens.at(-1);
  if (last !== undefined && 'text' in last) tokens[tokens.length - 1] = { text: last.text + text };
  else tokens.push({ text });
}

/** Several stars in a row say what one does. */
function addWildcard(tokens: Token[], wildcard: '*' | '?'): void {
  if (wildcard !== '*' || !isStar(tokens.at(-1))) tokens.push({ wildcard });
}

function tokensOf(value: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < value.length; at++) {
    const character = value[at] ?? '';
    const next = value[at + 1];
    if (character === '\\' && next !== undefined && '*?\\'.includes(next)) {
      addText(tokens, next);
      at += 1;
    } else if (character === '*' || character === '?') addWildcard(tokens, character);
    else addText(tokens, character);
  }
  return tokens;
}

function patternOf(tokens: readonly Token[]): string {
  const parts = tokens.map((token) => {
    if ('text' in token) return RE2JS.quote(token.text);
    return token.wildcard === '?' ? '.' : '.*';
  });
  const start = isStar(tokens[0]) ? '' : '^';
  const end = isStar(tokens.at(-1)) ? '' : '$';
  // A star at an end of an unanchored pattern says nothing.
  const inner = parts.slice(start === '' ? 1 : 0, end === '' && parts.length > 1 ? -1 : undefined);
  return `(?s)${start}${inner.join('')}${end}`;
}

type Around = 'contains' | 'startswith' | 'endswith' | undefined;

/** How `value` is matched, with the wildcards that a modifier puts around it. */
export function textMatchOf(value: string, around: Around): TextMatch {
  const tokens: Token[] = [];
  if (around === 'contains' || around === 'endswith') addWildcard(tokens, '*');
  for (const token of tokensOf(value)) {
    if ('text' in token) addText(tokens, token.text);
    else addWildcard(tokens, token.wildcard);
  }
  if (around === 'contains' || around === 'startswith') addWildcard(tokens, '*');
  return plainMatch(tokens) ?? { operator: 're', value: patternOf(tokens) };
}

/** The match without a pattern, undefined where only a pattern can say it. */
function plainMatch(tokens: readonly Token[]): TextMatch | undefined {
  if (tokens.length === 0) return { operator: 'eq', value: '' };
  if (tokens.length === 1 && isStar(tokens[0])) return { operator: 'exists', value: '' };
  const texts = tokens.flatMap((token) => ('text' in token ? [token.text] : []));
  const [text] = texts;
  const isPlain = tokens.every((token) => 'text' in token || token.wildcard === '*');
  // `$name` is a list in our language, so a value that begins like one is said by a pattern.
  if (!isPlain || texts.length !== 1 || text === undefined || text.startsWith('$')) return undefined;
  return { operator: operatorOf(isStar(tokens[0]), isStar(tokens.at(-1))), value: text };
}

function operatorOf(starBefore: boolean, starBehind: boolean): TextMatch['operator'] {
  if (starBefore) return starBehind ? 'contains' : 'endswith';
  return starBehind ? 'startswith' : 'eq';
}
