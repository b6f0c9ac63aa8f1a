/** Reads a block in ClickHouse's Native format back into rows, independently of the code that writes it. */

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  length(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  fixed(size: number): Buffer {
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  text(): string {
    return this.fixed(this.length()).toString();
  }

  u64(): number {
    return Number(this.fixed(8).readBigUInt64LE());
  }
}

const times = <Value>(count: number, read: () => Value): Value[] => Array.from({ length: count }, read);

/** Bytes of a cell by the type's name; FixedString(N) says its own. */
const CELL_BYTES: Readonly<Record<string, number>> = { UInt16: 2, UInt32: 4, UInt64: 8, Float64: 8 };

function readList(reader: Reader, rows: number): unknown[] {
  const ends = times(rows, () => reader.u64());
  const texts = times(ends.at(-1) ?? 0, () => reader.text());
  return ends.map((end, row) => texts.slice(ends[row - 1] ?? 0, end));
}

function readRepeated(reader: Reader): unknown[] {
  reader.u64();
  const indexBytes = 2 ** (reader.u64() & 0xff);
  const keys = times(reader.u64(), () => reader.text());
  return times(reader.u64(), () => keys[reader.fixed(indexBytes).readUIntLE(0, indexBytes)]);
}

function readColumn(reader: Reader, type: string, rows: number): unknown[] {
  if (type === 'String') return times(rows, () => reader.text());
  if (type === 'Array(String)') return readList(reader, rows);
  if (type === 'LowCardinality(String)') return readRepeated(reader);
  if (type === 'Nullable(Bool)') {
    const isNull = reader.fixed(rows);
    return [...reader.fixed(rows)].map((value, row) => (isNull[row] === 1 ? null : value));
  }
  const size = CELL_BYTES[type] ?? (type.startsWith('DateTime64') ? 8 : Number(/\d+/.exec(type)?.[0]));
  return times(rows, () => reader.fixed(size).toString('hex'));
}

/** Rows as [name, value] cells in the order of the columns; none for no bytes. */
export function readNativeBlock(bytes: Uint8Array): readonly (readonly [string, unknown])[][] {
  if (bytes.length === 0) return [];
  const reader = new Reader(bytes);
  const columns = reader.length();
  const rows = reader.length();
  const named = times(columns, () => {
    const name = reader.text();
    return { name, cells: readColumn(reader, reader.text(), rows) };
  });
  if (!reader.isAtEnd) throw new RangeError('the block goes on after its last column');
  return times(rows, () => 0).map((_, row) => named.map(({ name, cells }) => [name, cells[row]]));
}
