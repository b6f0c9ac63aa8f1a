/**
 * Columns of a block in ClickHouse's Native format: little endian, column by column. For a wide table it costs the engine
 * a third of RowBinary, and a text that repeats is encoded once a block.
 */
import { RowWriter } from '../evidence/row-binary.ts';

export interface NativeColumn {
  /** As ClickHouse spells it. */
  readonly type: string;
  writeTo(block: RowWriter): void;
}

/** One cell after another, without anything around them. */
export class PlainColumn implements NativeColumn {
  readonly type: string;
  readonly cells: RowWriter;

  constructor(type: string, expectedBytes: number) {
    this.type = type;
    this.cells = new RowWriter(expectedBytes);
  }

  writeTo(block: RowWriter): void {
    block.fixed(this.cells.bytes());
  }
}

/** Nullable(Bool). */
export class OptionalBoolColumn implements NativeColumn {
  readonly type = 'Nullable(Bool)';
  readonly #isNull: RowWriter;
  readonly #values: RowWriter;

  constructor(expectedRows: number) {
    this.#isNull = new RowWriter(expectedRows);
    this.#values = new RowWriter(expectedRows);
  }

  add(value: boolean | null): void {
    this.#isNull.u8(value === null ? 1 : 0);
    this.#values.u8(value === true ? 1 : 0);
  }

  writeTo(block: RowWriter): void {
    block.fixed(this.#isNull.bytes());
    block.fixed(this.#values.bytes());
  }
}

/** Array(String); the engine makes a dictionary of it where the table wants one. */
export class TextListColumn implements NativeColumn {
  readonly type = 'Array(String)';
  /** Where each row's list ends, counted in texts. */
  readonly #ends: RowWriter;
  readonly #texts = new RowWriter(0);
  #count = 0;

  constructor(expectedRows: number) {
    this.#ends = new RowWriter(expectedRows * 8);
  }

  add(values: readonly string[]): void {
    for (const value of values) this.#texts.string(value);
    this.#count += values.length;
    this.#ends.u64(this.#count);
  }

  writeTo(block: RowWriter): void {
    block.fixed(this.#ends.bytes());
    block.fixed(this.#texts.bytes());
  }
}

/** LowCardinality's own serialisation: a dictionary in the block, and none outside of it. */
const KEYS_VERSION = 1;
const HAS_KEYS_AND_RENEWS_DICTIONARY = 0x600;
const INDEX_OF_1_BYTE = 0;
const INDEX_OF_4_BYTES = 2;
const MAX_KEYS_OF_1_BYTE = 256;

/** LowCardinality(String): each text once, in order of appearance, and a number a row. */
export class RepeatedTextColumn implements NativeColumn {
  readonly type = 'LowCardinality(String)';
  readonly #ids = new Map<string, number>();
  readonly #keys = new RowWriter(256);
  #rows: Uint32Array;
  #count = 0;
  #last = '';
  #lastId = 0;

  constructor(expectedRows: number) {
    this.#rows = new Uint32Array(Math.max(expectedRows, 16));
    // The empty text is the dictionary's default, at its first place.
    this.#idOf('');
  }

  add(value: string): void {
    if (value !== this.#last) {
      this.#lastId = this.#idOf(value);
      this.#last = value;
    }
    if (this.#count === this.#rows.length) this.#grow();
    this.#rows[this.#count] = this.#lastId;
    this.#count += 1;
  }

  #idOf(value: string): number {
    const known = this.#ids.get(value);
    if (known !== undefined) return known;
    const id = this.#ids.size;
    this.#ids.set(value, id);
    this.#keys.string(value);
    return id;
  }

  #grow(): void {
    const grown = new Uint32Array(this.#rows.length * 2);
    grown.set(this.#rows);
    this.#rows = grown;
  }

  writeTo(block: RowWriter): void {
    const isNarrow = this.#ids.size <= MAX_KEYS_OF_1_BYTE;
    block.u64(KEYS_VERSION);
    block.u64(HAS_KEYS_AND_RENEWS_DICTIONARY | (isNarrow ? INDEX_OF_1_BYTE : INDEX_OF_4_BYTES));
    block.u64(this.#ids.size);
    block.fixed(this.#keys.bytes());
    block.u64(this.#count);
    const rows = this.#rows.subarray(0, this.#count);
    if (isNarrow) block.fixed(Uint8Array.from(rows));
    else for (const id of rows) block.u32(id);
  }
}

/** One block of `rows` rows. */
export function encodeBlock(columns: Readonly<Record<string, NativeColumn>>, rows: number): Uint8Array {
  const block = new RowWriter(64 * 1024 + rows * 512);
  const named = Object.entries(columns);
  block.length(named.length);
  block.length(rows);
  for (const [name, column] of named) {
    block.string(name);
    block.string(column.type);
    column.writeTo(block);
  }
  return block.bytes();
}
