/** The exact text of one member of a JSON object: what was hashed, as it stood on the wire. */

const SPACE = /[ \t\r\n]/u;

/** Text of the value of `name` at the top of `text`, which is valid JSON; undefined where there is none. */
export function rawMember(text: string, name: string): string | undefined {
  let at = skipSpace(text, 0);
  if (text[at] !== '{') return undefined;
  for (at = skipSpace(text, at + 1); text[at] === '"'; at = skipSpace(text, at + 1)) {
    const keyEnd = stringEnd(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    if (key === name) return text.slice(start, end);
    at = skipSpace(text, end);
    if (text[at] !== ',') return undefined;
  }
  return undefined;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && SPACE.test(text[at] ?? '')) at++;
  return at;
}

/** Behind the closing quote of the string that opens at `open`. */
function stringEnd(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

const OPEN = '{[';
const CLOSE = '}]';

function valueEnd(text: string, start: number): number {
  if (text[start] === '"') return stringEnd(text, start);
  return OPEN.includes(text[start] ?? ' ') ? nestedEnd(text, start) : plainEnd(text, start);
}

/** Behind the bracket that closes the one at `start`. */
function nestedEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character === '"') at = stringEnd(text, at) - 1;
    else if (OPEN.includes(character)) depth++;
    else if (CLOSE.includes(character) && --depth === 0) return at + 1;
  }
  return text.length;
}

/** Behind a number, true, false or null. */
function plainEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && /[\w+.-]/u.test(text[at] ?? '')) at++;
  return at;
}
