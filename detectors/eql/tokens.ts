/** EQL text → tokens. Queries come from whoever migrates: bounded in length, refused with a position. */
import { EqlError } from './error.ts';

export type TokenKind = 'name' | 'quoted_name' | 'string' | 'number' | 'symbol' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** Name, symbol, digits, or what a string stands for. */
  readonly text: string;
  readonly at: number;
  readonly end: number;
  /** A string in single quotes, which only the older dialect has. */
  readonly isSingleQuoted: boolean;
}

const MAX_QUERY_CHARACTERS = 65_536;

const SPACE = /(?:\s+|\/\/[^\n]*|\/\*[^]*?\*\/)+/y;
const NAME = /[A-Za-z_@][A-Za-z0-9_@]*/y;
const NUMBER = /(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const SYMBOL = /==|!=|<=|>=|[=:<>+\-*/%()[\]|,.!?~]/y;
const QUOTED_NAME = /`((?:[^`\n]|``)+)`/y;
/** Three quotes: nothing in it is an escape. Up to five at the end: the last three close it. */
const RAW_TRIPLE = /"""([^]*?"{0,2})"""(?!")/y;
/** The older dialect's raw strings. */
const RAW_MARKED = /\?(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')/y;
const STRING = /"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'/y;
const ESCAPE = /\\(?:u\{([0-9A-Fa-f]{2,8})\}|(.))/gs;
const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  t: '\t',
  n: '\n',
  f: '\f',
  r: '\r',
  '"': '"',
  "'": "'",
  '\\': '\\',
};

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function unescape(text: string, at: number): string {
  return text.replace(ESCAPE, (whole: string, hex: string | undefined, letter: string | undefined) => {
    if (hex !== undefined) return codePoint(hex, at);
    const plain = ESCAPES[letter ?? ''];
    if (plain === undefined) throw new EqlError(`${whole} is no escape sequence`, at);
    return plain;
  });
}

function codePoint(hex: string, at: number): string {
  const value = Number.parseInt(hex, 16);
  if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
    throw new EqlError(`\\u{${hex}} is no character`, at);
  return String.fromCodePoint(value);
}

type Reader = (text: string, at: number) => Token | undefined;

const reader =
  (kind: TokenKind, pattern: RegExp): Reader =>
  (text, at) => {
    const found = matchAt(pattern, text, at);
    return found === null ? undefined : make(kind, found[0], [at, at + found[0].length]);
  };

function make(kind: TokenKind, text: string, [at, end]: readonly [number, number]): Token {
  return { kind, text, at, end, isSingleQuoted: false };
}

const readQuotedName: Reader = (text, at) => {
  const found = matchAt(QUOTED_NAME, text, at);
  if (found === null) return undefined;
  return make('quoted_name', (found[1] ?? '').replaceAll('``', '`'), [at, at + found[0].length]);
};

const readString: Reader = (text, at) => {
  const raw = matchAt(RAW_TRIPLE, text, at);
  if (raw !== null) return make('string', raw[1] ?? '', [at, at + raw[0].length]);
  const marked = matchAt(RAW_MARKED, text, at);
  if (marked !== null)
    return {
      ...make('string', marked[1] ?? marked[2] ?? '', [at, at + marked[0].length]),
      isSingleQuoted: true,
    };
  const found = matchAt(STRING, text, at);
  if (found === null) return undefined;
  const body = unescape(found[1] ?? found[2] ?? '', at);
  return { ...make('string', body, [at, at + found[0].length]), isSingleQuoted: found[2] !== undefined };
};

/** In this order: a raw string begins with a symbol, a number with a dot. */
const READERS: readonly Reader[] = [
  readString,
  readQuotedName,
  reader('name', NAME),
  reader('number', NUMBER),
  reader('symbol', SYMBOL),
];

function tokenAt(text: string, at: number): Token {
  for (const read of READERS) {
    const token = read(text, at);
    if (token !== undefined) return token;
  }
  const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
  throw new EqlError(
    char === '"' || char === "'" ? 'a string is not closed' : `${JSON.stringify(char)} means nothing here`,
    at,
  );
}

/** Tokens of a query, the last of kind `end`. Throws EqlError. */
export function tokenize(text: string): Token[] {
  if (text.length > MAX_QUERY_CHARACTERS) throw new EqlError('the query is longer than 64 KiB', 0);
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const space = matchAt(SPACE, text, at);
    if (space !== null) at += space[0].length;
    if (at >= text.length) break;
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
  tokens.push(make('end', '', [text.length, text.length]));
  return tokens;
}
