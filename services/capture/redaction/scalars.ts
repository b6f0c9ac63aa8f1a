/**
 * The scalars of a JSON text in the order of its characters, each with its place: strict (RFC 8259), bounded in depth, never
 * recursing. What is no JSON is told, since a redactor must not guess at it.
 */

export type ScalarKind = 'name' | 'string' | 'number' | 'literal';

/** [start, end) of the JSON text, quotes included. */
export interface Scalar {
  readonly kind: ScalarKind;
  /** Counted from 0 over scalars and names. */
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** One container around a scalar. `State` is whatever a reader keeps for it. */
export interface Level<State> {
  readonly isObject: boolean;
  readonly state: State;
  name: string;
  index: number;
}

export interface ScalarReader<State> {
  /** State of the container that begins at this part of the one around it; undefined for the outermost. */
  readonly enter: (around: Level<State> | undefined) => State;
  readonly visit: (scalar: Scalar, levels: readonly Level<State>[]) => void;
}

export type WalkEnd = 'done' | 'no_json' | 'too_deep';

type Wanted = 'value' | 'value_or_end' | 'name' | 'name_or_end' | 'colon' | 'comma' | 'end';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERALS = ['true', 'false', 'null'] as const;

/** Where the string that opens at `from` ends, quotes included; -1 where it does not. */
function stringEnd(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  while (at !== -1) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return at + 1;
    at = text.indexOf('"', at + 1);
  }
  return -1;
}

/** The text of a JSON string with its quotes; undefined where it is none. */
export function textOfString(quoted: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- RFC 8259 §7
  if (!quoted.includes('\\')) return /[\u0000-\u001f]/.test(quoted) ? undefined : quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}

class Walk<State> {
  readonly #text: string;
  readonly #reader: ScalarReader<State>;
  readonly #maxDepth: number;
  readonly #levels: Level<State>[] = [];
  #wanted: Wanted = 'value';
  #count = 0;

  constructor(text: string, reader: ScalarReader<State>, maxDepth: number) {
    this.#text = text;
    this.#reader = reader;
    this.#maxDepth = maxDepth;
  }

  run(): WalkEnd {
    let at = 0;
    while (at < this.#text.length) {
      const code = this.#text.charCodeAt(at);
      if (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) at++;
      else at = this.#step(at, code);
      if (at === NO_JSON) return 'no_json';
      if (this.#levels.length > this.#maxDepth) return 'too_deep';
    }
    return this.#wanted === 'end' ? 'done' : 'no_json';
  }

  #step(at: number, code: number): number {
    switch (this.#wanted) {
      case 'colon':
        this.#wanted = 'value';
        return code === 0x3a ? at + 1 : NO_JSON;
      case 'comma':
        return code === 0x2c ? this.#comma(at) : this.#close(at, code);
      case 'name_or_end':
        return code === 0x7d ? this.#close(at, code) : this.#name(at, code);
      case 'name':
        return this.#name(at, code);
      case 'value_or_end':
        return code === 0x5d ? this.#close(at, code) : this.#value(at, code);
      case 'value':
        return this.#value(at, code);
      case 'end':
        return NO_JSON;
    }
  }

  #comma(at: number): number {
    const level = this.#levels.at(-1);
    if (level === undefined) return NO_JSON;
    level.index++;
    this.#wanted = level.isObject ? 'name' : 'value';
    return at + 1;
  }

  #close(at: number, code: number): number {
    const level = this.#levels.pop();
    if (level === undefined || code !== (level.isObject ? 0x7d : 0x5d)) return NO_JSON;
    this.#ended();
    return at + 1;
  }

  #ended(): void {
    this.#wanted = this.#levels.length === 0 ? 'end' : 'comma';
  }

  #name(at: number, code: number): number {
    const level = this.#levels.at(-1);
    const end = code === 0x22 ? stringEnd(this.#text, at) : -1;
    const name = end === -1 ? undefined : textOfString(this.#text.slice(at, end));
    if (level === undefined || name === undefined) return NO_JSON;
    level.name = name;
    this.#emit('name', at, end);
    this.#wanted = 'colon';
    return end;
  }

  #value(at: number, code: number): number {
    if (code === 0x7b || code === 0x5b) {
      const state = this.#reader.enter(this.#levels.at(-1));
      this.#levels.push({ isObject: code === 0x7b, state, name: '', index: 0 });
      this.#wanted = code === 0x7b ? 'name_or_end' : 'value_or_end';
      return at + 1;
    }
    const end = code === 0x22 ? this.#string(at) : this.#plain(at);
    if (end !== NO_JSON) this.#ended();
    return end;
  }

  #string(at: number): number {
    const end = stringEnd(this.#text, at);
    if (end === -1) return NO_JSON;
    this.#emit('string', at, end);
    return end;
  }

  #plain(at: number): number {
    const literal = LITERALS.find((one) => this.#text.startsWith(one, at));
    NUMBER.lastIndex = at;
    const end =
      literal === undefined ? (NUMBER.test(this.#text) ? NUMBER.lastIndex : NO_JSON) : at + literal.length;
    if (end !== NO_JSON) this.#emit(literal === undefined ? 'number' : 'literal', at, end);
    return end;
  }

  #emit(kind: ScalarKind, start: number, end: number): void {
    this.#reader.visit({ kind, index: this.#count++, start, end }, this.#levels);
  }
}

const NO_JSON = -1;

/** Reads the scalars of a JSON text. The visitor says itself where a string is none (textOfString). */
export function readScalars<State>(text: string, reader: ScalarReader<State>, maxDepth: number): WalkEnd {
  return new Walk(text, reader, maxDepth).run();
}
