/**
 * Heads that have been read before: a peer says nearly the same each time, but for a length and a date. Such a head is known
 * by its bytes, and has the shape that it had: what was worked out from that shape holds. Anything else is read anew. What
 * was sent, tokens and cookies too, is kept here: a client's as long as its connection is open, a server's until four others
 * have come.
 */
import { readHead, type Head, type HeadOutcome, type HeadShape } from './header-fields.ts';

/** Bytes that are the same each time, and what stands behind them. */
interface Stretch {
  readonly bytes: Buffer;
  readonly before: 'length' | 'date' | 'body';
}

interface Familiar {
  readonly shape: HeadShape;
  readonly stretches: readonly Stretch[];
}

/** A peer has few: requests of each method, answers with a body and without. */
const MAX_FAMILIAR = 4;
/** Longer ones are rare, and not worth their room. */
const MAX_KEPT_BYTES = 2 * 1024;
const MAX_DIGITS = 15;
/** `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that is written (RFC 9110 §5.6.7). */
const DATE_CHARACTERS = 29;
const CR = 0x0d;

export class FamiliarHeads {
  /** The last one first. */
  readonly #known: Familiar[] = [];

  /** As `readHead`, of which it says the same. */
  read(bytes: Buffer): HeadOutcome {
    for (let index = 0; index < this.#known.length; index++) {
      const known = this.#known[index];
      const head = known === undefined ? undefined : matching(known, bytes);
      if (head === undefined) continue;
      if (index > 0) this.#known.unshift(...this.#known.splice(index, 1));
      return { kind: 'head', head };
    }
    const outcome = readHead(bytes);
    if (outcome.kind === 'head' && outcome.head.end <= MAX_KEPT_BYTES) this.#keep(bytes, outcome.head);
    return outcome;
  }

  #keep(bytes: Buffer, head: Head): void {
    const stretches = stretchesOf(bytes, head);
    if (stretches === undefined) return;
    if (this.#known.length >= MAX_FAMILIAR) this.#known.pop();
    this.#known.unshift({ shape: head.shape, stretches });
  }
}

/** Cuts a head that has been read; undefined where that cannot be done for sure. */
function stretchesOf(bytes: Buffer, head: Head): readonly Stretch[] | undefined {
  if (head.shape.hasRepeated) return undefined;
  const text = bytes.toString('latin1', 0, head.end);
  const holes = [holeOf(text, 'length', head.length), holeOf(text, 'date', head.date)]
    .filter((hole) => hole !== undefined)
    .toSorted((a, b) => a.at - b.at);
  const stretches: Stretch[] = [];
  let from = 0;
  for (const { at, end, before } of holes) {
    stretches.push({ bytes: Buffer.from(bytes.subarray(from, at)), before });
    from = end;
  }
  stretches.push({ bytes: Buffer.from(bytes.subarray(from, head.end)), before: 'body' });
  return stretches;
}

interface Hole {
  readonly at: number;
  readonly end: number;
  readonly before: 'length' | 'date';
}

const LINE_OF = { length: /\r\ncontent-length:[\t ]*/iu, date: /\r\ndate:[\t ]*/iu } as const;

function holeOf(text: string, before: Hole['before'], value: string | undefined): Hole | undefined {
  const line = value === undefined ? null : LINE_OF[before].exec(text);
  if (line === null || value === undefined) return undefined;
  const at = line.index + line[0].length;
  return { at, end: at + value.length, before };
}

/** A plain loop: it stands in the way of every message, most often before it is compiled. */
function matching({ shape, stretches }: Familiar, bytes: Buffer): Head | undefined {
  let at = 0;
  let length: string | undefined;
  let date: string | undefined;
  for (let index = 0; index < stretches.length; index++) {
    const stretch = stretches[index];
    const next = stretch === undefined ? Infinity : at + stretch.bytes.length;
    if (stretch === undefined || next > bytes.length) return undefined;
    if (bytes.compare(stretch.bytes, 0, next - at, at, next) !== 0) return undefined;
    if (stretch.before === 'body') return { shape, length, date, end: next };
    const isLength = stretch.before === 'length';
    at = isLength ? endOfDigits(bytes, next) : endOfDate(bytes, next);
    if (at === -1) return undefined;
    if (isLength) length = bytes.toString('latin1', next, at);
    else date = bytes.toString('latin1', next, at);
  }
  return undefined;
}

/** Index behind the digits from `at` on, where a line end follows; else -1. */
function endOfDigits(bytes: Buffer, at: number): number {
  let end = at;
  while (end - at <= MAX_DIGITS && isDigit(bytes[end])) end++;
  return end > at && bytes[end] === CR ? end : -1;
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

/** Index behind a date from `at` on, where a line end follows, else -1: visible characters at both ends, none beyond ASCII. */
function endOfDate(bytes: Buffer, at: number): number {
  const end = at + DATE_CHARACTERS;
  if (bytes[end] !== CR) return -1;
  for (let index = at; index < end; index++) {
    const byte = bytes[index] ?? 0;
    const isInside = index > at && index < end - 1;
    if (byte < (isInside ? 0x20 : 0x21) || byte > 0x7e) return -1;
  }
  return end;
}
