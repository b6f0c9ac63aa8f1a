/**
 * Calls that are sifted (detectors/engine/sieve.ts): first the times, places and fitting selections of all calls, as
 * bytes; then the columns of those that are left. Memory: 64 bytes a call of a round, and the offsets that are left.
 */
import { sift, type SiftedCalls } from '../../detectors/engine/sieve.ts';
import type { CallPart, CallRequest, CallSieve } from '../../schemas/event/columns.ts';
import type { Store } from '../platform/store/port.ts';
import { fitsEach, rangeOf, readPart, slicesOf, type LogOverview, type Where } from './call-rows.ts';

/** Calls of one round; sessions are dealt out to rounds by their hash. */
const MAX_ROUND_CALLS = 4_000_000;
/** Each round reads the whole range: with more of them, reading all calls is no longer the longer way. */
const MAX_ROUNDS = 4;

export const canSift = (calls: number): boolean => calls <= MAX_ROUND_CALLS * MAX_ROUNDS;

/** Offsets that are left, by partition: a record is of one tenant. */
type SiftedOffsets = ReadonlyMap<number, ReadonlySet<number>>;

/** `calls`: how many there are, about. */
export async function siftCalls(
  store: Store,
  tenant: string,
  request: CallRequest & { readonly sieve: CallSieve },
  calls: number,
): Promise<SiftedOffsets> {
  const rounds = Math.max(1, Math.ceil(calls / MAX_ROUND_CALLS));
  const left = new Map<number, Set<number>>();
  for (let round = 0; round < rounds; round++) {
    const rows = new Rows(Math.ceil(calls / rounds) + 1024);
    const { sql, params } = placesOf(tenant, request);
    const dealt = { params: { ...params, rounds, round } };
    const share = rounds === 1 ? '' : ` AND ${SESSION} % {rounds:UInt8} = {round:UInt8}`;
    for await (const bytes of store.queryBinary(`${sql}${share}`, dealt)) rows.add(bytes);
    rows.keep(sift(rows.calls(), request.sieve), left);
  }
  return left;
}

const SESSION = 'sipHash64(tenant, session_id)';

/** Seven numbers a call, ROW_BYTES of RowBinary. */
function placesOf(tenant: string, request: CallRequest): Where {
  const range = rangeOf(tenant, request);
  const each = fitsEach(request);
  const bits = each.sql.map((sql, n) => `bitShiftLeft(toUInt32(${sql}), ${n})`);
  const sql = `SELECT ${SESSION}, toUInt32(partition), toUInt64(offset), toUInt16(line),
      toInt64(toUnixTimestamp64Milli(effective_time)), toInt64(toUnixTimestamp64Milli(append_time)),
      toUInt32(${bits.join(' + ')})
    FROM events WHERE ${range.sql} AND (${each.sql.join(' OR ')})`;
  return { sql, params: { ...range.params, ...each.params } };
}
const ROW_BYTES = 42;

/** Rows as they come, side by side. */
class Rows {
  #count = 0;
  #hashes: Uint32Array;
  #partition: Uint32Array;
  #offset: Float64Array;
  #line: Uint16Array;
  #effectiveMs: Float64Array;
  #appendMs: Float64Array;
  #fits: Uint32Array;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(capacity: number) {
    this.#hashes = new Uint32Array(capacity * 2);
    this.#partition = new Uint32Array(capacity);
    this.#offset = new Float64Array(capacity);
    this.#line = new Uint16Array(capacity);
    this.#effectiveMs = new Float64Array(capacity);
    this.#appendMs = new Float64Array(capacity);
    this.#fits = new Uint32Array(capacity);
  }

  /** A piece of the answer, cut anywhere. */
  add(piece: Uint8Array): void {
    let bytes = piece;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + piece.length);
      bytes.set(this.#rest);
      bytes.set(piece, this.#rest.length);
    }
    const whole = Math.floor(bytes.length / ROW_BYTES);
    this.#reserve(this.#count + whole);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let row = 0; row < whole; row++) this.#row(view, row * ROW_BYTES);
    this.#rest = bytes.slice(whole * ROW_BYTES);
  }

  #row(view: DataView, at: number): void {
    const row = this.#count++;
    this.#hashes[row * 2] = view.getUint32(at, true);
    this.#hashes[row * 2 + 1] = view.getUint32(at + 4, true);
    this.#partition[row] = view.getUint32(at + 8, true);
    this.#offset[row] = numberAt(view, at + 12);
    this.#line[row] = view.getUint16(at + 20, true);
    this.#effectiveMs[row] = numberAt(view, at + 22);
    this.#appendMs[row] = numberAt(view, at + 30);
    this.#fits[row] = view.getUint32(at + 38, true);
  }

  #reserve(rows: number): void {
    if (rows <= this.#partition.length) return;
    const capacity = Math.max(rows, this.#partition.length * 2);
    this.#hashes = copied(this.#hashes, new Uint32Array(capacity * 2));
    this.#partition = copied(this.#partition, new Uint32Array(capacity));
    this.#offset = copied(this.#offset, new Float64Array(capacity));
    this.#line = copied(this.#line, new Uint16Array(capacity));
    this.#effectiveMs = copied(this.#effectiveMs, new Float64Array(capacity));
    this.#appendMs = copied(this.#appendMs, new Float64Array(capacity));
    this.#fits = copied(this.#fits, new Uint32Array(capacity));
  }

  calls(): SiftedCalls {
    const { session, sessions } = this.#sessions();
    return {
      count: this.#count,
      session,
      sessions,
      offset: this.#offset,
      line: this.#line,
      effectiveMs: this.#effectiveMs,
      appendMs: this.#appendMs,
      fits: this.#fits,
    };
  }

  /** Numbers of sessions by hash and partition: an open hash table of the first row of each. */
  #sessions(): { readonly session: Uint32Array; readonly sessions: number } {
    const session = new Uint32Array(this.#count);
    let size = 1024;
    while (size < this.#count * 2) size *= 2;
    const table = new Int32Array(size).fill(-1);
    let sessions = 0;
    for (let row = 0; row < this.#count; row++) {
      let slot = ((this.#hashes[row * 2] as number) ^ (this.#partition[row] as number)) & (size - 1);
      let first = table[slot] as number;
      while (first >= 0 && !this.#isSame(first, row)) {
        slot = (slot + 1) & (size - 1);
        first = table[slot] as number;
      }
      if (first < 0) {
        table[slot] = row;
        session[row] = sessions++;
      } else session[row] = session[first] as number;
    }
    return { session, sessions };
  }

  #isSame(a: number, b: number): boolean {
    return (
      this.#hashes[a * 2] === this.#hashes[b * 2] &&
      this.#hashes[a * 2 + 1] === this.#hashes[b * 2 + 1] &&
      this.#partition[a] === this.#partition[b]
    );
  }

  keep(kept: Uint8Array, left: Map<number, Set<number>>): void {
    for (let row = 0; row < this.#count; row++) {
      if (kept[row] !== 1) continue;
      const partition = this.#partition[row] as number;
      const offsets = left.get(partition) ?? new Set();
      left.set(partition, offsets);
      offsets.add(this.#offset[row] as number);
    }
  }
}

/** 64 bits below 2^53, as offsets and times are. */
function numberAt(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

function copied<Numbers extends Uint16Array | Uint32Array | Float64Array>(
  from: Numbers,
  to: Numbers,
): Numbers {
  to.set(from);
  return to;
}

/** Bits of the mark by which the engine leaves most calls out; the others go by the offsets themselves. */
const MIN_MARK_BITS = 2 ** 10;
/** As hex in the statement: ClickHouse takes 256 KiB of it. */
const MAX_MARK_BITS = 2 ** 19;
const BITS_PER_OFFSET = 16;

/** A Bloom filter of one hash over partitions and offsets: all that are left, and some more. */
function marked(left: SiftedOffsets): Where {
  const count = countOf(left);
  let bits = MIN_MARK_BITS;
  while (bits < MAX_MARK_BITS && bits < count * BITS_PER_OFFSET) bits *= 2;
  const marks = new Uint8Array(bits / 8);
  for (const [partition, offsets] of left) {
    for (const offset of offsets) {
      const bit = bitOf(partition, offset, bits);
      marks[bit >> 3] = (marks[bit >> 3] as number) | (1 << (bit & 7));
    }
  }
  const hex = Array.from(marks, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const bit = `((offset * ${OFFSET_SPREAD} + partition * ${PARTITION_SPREAD}) % ${bits})`;
  const byte = `reinterpretAsUInt8(substring(unhex('${hex}'), 1 + intDiv(${bit}, 8), 1))`;
  return { sql: `bitTest(${byte}, toUInt8(${bit} % 8))`, params: {} };
}

/** Small and odd, so that an offset up to 2^43 stays exact in both languages. */
const OFFSET_SPREAD = 769;
const PARTITION_SPREAD = 389;

const bitOf = (partition: number, offset: number, bits: number): number =>
  (offset * OFFSET_SPREAD + partition * PARTITION_SPREAD) % bits;

export const countOf = (left: SiftedOffsets): number =>
  [...left.values()].reduce((sum, offsets) => sum + offsets.size, 0);

/** The calls at these offsets as columns, log by log. */
export async function* readSifted(
  store: Store,
  wanted: { readonly tenant: string; readonly request: CallRequest },
  { left, logs }: { readonly left: SiftedOffsets; readonly logs: readonly LogOverview[] },
): AsyncGenerator<CallPart> {
  if (countOf(left) === 0) return;
  const mark = marked(left);
  for (const slice of slicesOf(logs, false)) {
    for await (const part of readPart(store, { ...wanted, slice }, mark)) {
      const offsets = left.get(part.partition);
      const at = part.offset.flatMap((offset, index) => (offsets?.has(offset) === true ? [index] : []));
      if (at.length > 0) yield picked(part, at);
    }
  }
}

function picked(part: CallPart, at: readonly number[]): CallPart {
  const pick = <T>(values: readonly T[]): T[] => at.map((index) => values[index] as T);
  return {
    ...part,
    offset: pick(part.offset),
    line: pick(part.line),
    appendMs: pick(part.appendMs),
    effectiveMs: pick(part.effectiveMs),
    kind: pick(part.kind),
    toolClass: pick(part.toolClass),
    ...(part.seq === undefined ? {} : { seq: pick(part.seq) }),
    columns: Object.fromEntries(Object.entries(part.columns).map(([name, values]) => [name, pick(values)])),
  };
}
