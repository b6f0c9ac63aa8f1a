/**
 * Secrets in one text: a single walk over its characters. Words of prose cost a table look-up a character; only runs that
 * begin like a credential, digits, and signs behind a telling name are looked at, each by a bounded pattern. Linear in the text.
 */
import type { SecretKind } from '../../schemas/labels/v1.ts';
import { assignedAt, bearerAt, looksMade, nameStrength, urlPasswordAt } from './assigned.ts';
import { mayHoldSecret } from './suspicion.ts';
import { cardNumberAt } from './card-number.ts';
import { shortRunKeyAt, vendorKeyAt } from './vendor-keys.ts';

/** [start, end) of the text. Where it stands is for redaction; neither it nor its text goes on record. */
export interface FoundSecret {
  readonly kind: SecretKind;
  readonly start: number;
  readonly end: number;
}

/** What stands around a text. */
export interface TextContext {
  /** Name of the member that the text is the value of, empty where there is none. */
  readonly name: string;
  /** Names of the members above, for words that speak of cards. */
  readonly near: () => string;
}

const NONE: readonly FoundSecret[] = Object.freeze([]);
const NO_CONTEXT: TextContext = { name: '', near: () => '' };

const IS_WORD = new Uint8Array(128);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-') {
  IS_WORD[character.charCodeAt(0)] = 1;
}
const COLON = 0x3a;
const EQUALS = 0x3d;
const DOT = 0x2e;
const DASH = 0x2d;
const BACKSLASH = 0x5c;
/** A shorter run is the beginning of a credential only where another run follows it. */
const MIN_RUN = 16;
/** Quotes and blanks between a name and its sign. */
const MAX_GAP = 3;
const MAX_NAME = 64;
export const MAX_FOUND = 16;
/** Nothing shorter is one. */
export const MIN_SECRET = 8;

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

class Walk {
  readonly found: FoundSecret[] = [];
  private readonly text: string;
  private readonly context: TextContext;
  /** The run before. */
  private runStart = 0;
  private runEnd = -1;

  constructor(text: string, context: TextContext) {
    this.text = text;
    this.context = context;
  }

  run(): readonly FoundSecret[] {
    const { text } = this;
    let at = 0;
    while (at < text.length && this.found.length < MAX_FOUND) {
      const code = text.charCodeAt(at);
      if (code < 128 && IS_WORD[code] === 1) at = this.word(at, code);
      else if (code === COLON || code === EQUALS) at = this.sign(at, code);
      else at++;
    }
    return this.found;
  }

  private add(kind: SecretKind, start: number, end: number): number {
    this.found.push({ kind, start, end });
    this.runEnd = -1;
    return end;
  }

  private word(start: number, first: number): number {
    const { text } = this;
    let end = start + 1;
    while (end < text.length) {
      const code = text.charCodeAt(end);
      if (code >= 128 || IS_WORD[code] === 0) break;
      end++;
    }
    this.runStart = start;
    this.runEnd = end;
    const at = this.look(start, end, first);
    // JSON that stands in a text writes line ends as \n: the letter is no part of the run.
    const isEscaped = at === end && end - start > 1 && text.charCodeAt(start - 1) === BACKSLASH;
    return isEscaped ? this.look(start + 1, end, text.charCodeAt(start + 1)) : at;
  }

  private look(start: number, end: number, first: number): number {
    const { text } = this;
    const length = end - start;
    const next = text.charCodeAt(end);
    if (length >= MIN_RUN || next === DOT || first === DASH) {
      const key = vendorKeyAt(text, start);
      if (key !== undefined) return this.add(key.kind, start, key.end);
    }
    if (isDigit(first)) return this.digits(start, end, next);
    if (length === 5 || length === 6) return this.shortWord(start, end, next);
    return end;
  }

  private digits(start: number, end: number, next: number): number {
    if (next === COLON) {
      const key = shortRunKeyAt(this.text, start);
      if (key !== undefined) return this.add(key.kind, start, key.end);
    }
    const card = cardNumberAt(this.text, start, end, () => this.context.near());
    return card === -1 ? end : this.add('card_number', start, card);
  }

  /** `hooks.slack.com`, `Bearer …`. */
  private shortWord(start: number, end: number, next: number): number {
    const { text } = this;
    if (next === DOT && text.startsWith('hooks', start)) {
      const key = shortRunKeyAt(text, start);
      if (key !== undefined) return this.add(key.kind, start, key.end);
    }
    if (next === 0x20 && end - start === 6 && text.slice(start, end).toLowerCase() === 'bearer') {
      const token = bearerAt(text, end);
      if (token !== -1) return this.add('bearer_token', end + 1, token);
    }
    return end;
  }

  private sign(at: number, code: number): number {
    const { text } = this;
    if (code === COLON && text.charCodeAt(at + 1) === 0x2f) {
      const end = urlPasswordAt(text, at);
      return end === -1 ? at + 1 : this.add('url_password', at, end - 1);
    }
    if (this.runEnd === -1 || at - this.runEnd > MAX_GAP) return at + 1;
    const name = text.slice(Math.max(this.runStart, this.runEnd - MAX_NAME), this.runEnd);
    const strength = nameStrength(name);
    if (strength === 'none') return at + 1;
    // What is assigned may say better what it is: a run that begins a credential is looked at when it comes.
    const end = assignedAt(text, at, strength);
    return end === -1 || this.beginsKey(at + 1, end) ? at + 1 : this.add('assigned_secret', at + 1, end);
  }

  private beginsKey(from: number, to: number): boolean {
    for (let at = from; at < to && at < from + 8; at++) {
      const code = this.text.charCodeAt(at);
      if (code < 128 && IS_WORD[code] === 1) return vendorKeyAt(this.text, at) !== undefined;
    }
    return false;
  }
}

/** Secrets in a text, in order, at most MAX_FOUND. */
export function secretsIn(text: string, context: TextContext = NO_CONTEXT): readonly FoundSecret[] {
  if (text.length < MIN_SECRET) return NONE;
  const found = mayHoldSecret(text) ? new Walk(text, context).run() : NONE;
  if (found.length > 0) return found;
  const isMade = looksMade(text, nameStrength(context.name));
  return isMade ? [{ kind: 'assigned_secret', start: 0, end: text.length }] : found;
}
