/** Reads ClickHouse RowBinary, as row-binary.ts writes it. Whoever wrote the bytes may have written anything: nothing is read beyond `end`. */
import { TriplineError } from '../../schemas/errors.ts';

// As ClickHouse hands out text that is no UTF-8; an order mark is a character like others.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
/** Up to here a loop beats TextDecoder. */
const SHORT_TEXT = 24;

/** Throws export_invalid where a value is cut off. */
export class RowReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at = 0;
  end: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.end = bytes.length;
  }

  /** Between these places from now on. */
  over(at: number, end: number): this {
    this.at = at;
    this.end = end;
    return this;
  }

  get isOver(): boolean {
    return this.at === this.end;
  }

  /** Moves on by `count` bytes; where they begin. */
  skip(count: number): number {
    const at = this.at;
    if (count > this.end - at) throw new TriplineError('export_invalid', 'a row of the bundle is cut off');
    this.at = at + count;
    return at;
  }

  u8(): number {
    return this.bytes[this.skip(1)] as number;
  }

  u16(): number {
    return this.view.getUint16(this.skip(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  /** Above 2^53 the next number that there is. */
  u64(): number {
    const at = this.skip(8);
    return this.view.getUint32(at + 4, true) * 0x1_0000_0000 + this.view.getUint32(at, true);
  }

  i64(): number {
    const at = this.skip(8);
    return this.view.getInt32(at + 4, true) * 0x1_0000_0000 + this.view.getUint32(at, true);
  }

  f64(): number {
    return this.view.getFloat64(this.skip(8), true);
  }

  /** Of what follows: LEB128, below 2^32. */
  length(): number {
    const first = this.bytes[this.at] as number;
    if (first < 128 && this.at < this.end) {
      this.at += 1;
      return first;
    }
    let value = 0;
    for (let shift = 0; shift < 32; shift += 7) {
      const byte = this.u8();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new TriplineError('export_invalid', 'a length in the bundle has no end');
  }

  /** A view. */
  fixed(count: number): Uint8Array {
    const at = this.skip(count);
    return this.bytes.subarray(at, at + count);
  }

  /** A view. */
  blob(): Uint8Array {
    return this.fixed(this.length());
  }

  text(): string {
    const count = this.length();
    const at = this.skip(count);
    return textAt(this.bytes, at, at + count);
  }
}

export function textAt(bytes: Uint8Array, at: number, end: number): string {
  if (end - at > SHORT_TEXT) return decoder.decode(bytes.subarray(at, end));
  let text = '';
  for (let place = at; place < end; place += 1) {
    const byte = bytes[place] as number;
    if (byte > 127) return decoder.decode(bytes.subarray(at, end));
    text += String.fromCharCode(byte);
  }
  return text;
}
