/** ClickHouse RowBinary: little endian, strings with LEB128 length. One growing buffer a table and batch. */
const encoder = new TextEncoder();
/** Up to here a loop beats TextEncoder. */
const SHORT_STRING = 64;

export class RowWriter {
  readonly format = 'RowBinary';
  rows = 0;
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(initialBytes = 64 * 1024) {
    this.#bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** What was written so far; valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  /** From the start again. */
  clear(): void {
    this.#at = 0;
  }

  u8(value: number): void {
    if (this.#at + 1 > this.#bytes.length) this.#grow(1);
    this.#bytes[this.#at] = value;
    this.#at += 1;
  }

  u16(value: number): void {
    if (this.#at + 2 > this.#bytes.length) this.#grow(2);
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  u32(value: number): void {
    if (this.#at + 4 > this.#bytes.length) this.#grow(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  /** Non-negative safe integer as UInt64. */
  u64(value: number): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8);
    this.#view.setUint32(this.#at, value >>> 0, true);
    this.#view.setUint32(this.#at + 4, Math.floor(value / 0x1_0000_0000), true);
    this.#at += 8;
  }

  /** Unix ms as DateTime64(3). */
  time(valueMs: number): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8);
    const high = Math.floor(valueMs / 0x1_0000_0000);
    this.#view.setUint32(this.#at, valueMs - high * 0x1_0000_0000, true);
    this.#view.setInt32(this.#at + 4, high, true);
    this.#at += 8;
  }

  f64(value: number): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  /** FixedString: the caller gives exactly its bytes. */
  fixed(value: Uint8Array): void {
    if (this.#at + value.length > this.#bytes.length) this.#grow(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  blob(value: Uint8Array): void {
    this.length(value.length);
    this.fixed(value);
  }

  string(value: string): void {
    const { length } = value;
    if (length === 0) this.u8(0);
    else if (length > SHORT_STRING || !this.#ascii(value)) this.#utf8(value);
  }

  strings(values: readonly string[]): void {
    this.length(values.length);
    for (const value of values) this.string(value);
  }

  /** Nullable(Bool). */
  optionalBool(value: boolean | null): void {
    this.u8(value === null ? 1 : 0);
    if (value !== null) this.u8(value ? 1 : 0);
  }

  /** False, with nothing written, when the text is not plain ASCII. */
  #ascii(value: string): boolean {
    const { length } = value;
    if (this.#at + length + 1 > this.#bytes.length) this.#grow(length + 1);
    const bytes = this.#bytes;
    const start = this.#at + 1;
    for (let index = 0; index < length; index += 1) {
      const code = value.charCodeAt(index);
      if (code > 127) return false;
      bytes[start + index] = code;
    }
    bytes[start - 1] = length;
    this.#at = start + length;
    return true;
  }

  #utf8(value: string): void {
    // Lone surrogates become U+FFFD; a UTF-16 unit takes at most three bytes.
    const most = value.length * 3 + 5;
    if (this.#at + most > this.#bytes.length) this.#grow(most);
    // Room for the length that is likely; the text moves when its bytes need another one.
    const guess = lengthBytes(value.length);
    const start = this.#at + guess;
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(start));
    const needed = lengthBytes(written);
    if (needed !== guess) this.#bytes.copyWithin(this.#at + needed, start, start + written);
    this.length(written);
    this.#at += written;
  }

  /** Length of what follows, LEB128. */
  length(value: number): void {
    if (this.#at + 5 > this.#bytes.length) this.#grow(5);
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.#at] = (rest & 127) | 128;
      this.#at += 1;
      rest >>>= 7;
    }
    this.#bytes[this.#at] = rest;
    this.#at += 1;
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(this.#at + bytes, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Bytes of a length in LEB128. */
function lengthBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 127; rest >>>= 7) bytes += 1;
  return bytes;
}
