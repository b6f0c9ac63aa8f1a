/** Where a parser stands in its tokens. */
import { EqlError } from './error.ts';
import type { Token } from './tokens.ts';

/** Brackets in brackets: deeper than any query that a person writes, far below what the stack holds. */
const MAX_DEPTH = 64;

export class Cursor {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;
  /** Something was read that only the older dialect has. */
  isEndgame = false;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get next(): Token {
    return this.#tokens[this.#index] as Token;
  }

  /** The token `ahead` of the next one. */
  peek(ahead: number): Token {
    return this.#tokens[Math.min(this.#index + ahead, this.#tokens.length - 1)] as Token;
  }

  take(): Token {
    const token = this.next;
    if (token.kind !== 'end') this.#index += 1;
    return token;
  }

  /** Is the next token this symbol or keyword? */
  at(text: string): boolean {
    const { kind, text: own } = this.next;
    return (kind === 'symbol' || kind === 'name') && own === text;
  }

  accept(text: string): boolean {
    if (!this.at(text)) return false;
    this.take();
    return true;
  }

  expect(text: string): Token {
    if (!this.at(text)) throw this.fault(`${text} is expected`);
    return this.take();
  }

  /** Comma-separated items, one at least. */
  list<T>(read: () => T): T[] {
    const items = [read()];
    while (this.accept(',')) items.push(read());
    return items;
  }

  nested<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.fault(`nests deeper than ${MAX_DEPTH}`);
    const value = read();
    this.#depth -= 1;
    return value;
  }

  fault(message: string): EqlError {
    const { kind, text, at } = this.next;
    return new EqlError(`${message}, not ${kind === 'end' ? 'the end' : JSON.stringify(text)}`, at);
  }
}
