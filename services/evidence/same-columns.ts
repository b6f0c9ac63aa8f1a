/** Whether a row in a block holds exactly the columns that are expected, compared on its bytes: nothing is made of them. */
import { fromHex, STREAM_ID_BYTES, utf8 } from './bytes.ts';
import type { RowReader } from './row-reader.ts';
import type { ColumnType, Layout } from './table-layout.ts';

/** Columns by name, times and numbers as numbers. */
export type Expected = Readonly<Record<string, unknown>>;

type Same = (row: RowReader, value: unknown) => boolean;

const SAME: Readonly<Record<ColumnType, Same>> = {
  text: isText,
  texts: isTexts,
  // Nothing that is read so often.
  bytes: () => false,
  stream: isStream,
  u16: (row, value) => row.u16() === value,
  u32: (row, value) => row.u32() === value,
  u64: (row, value) => row.u64() === value,
  ms: (row, value) => row.i64() === value,
  f64: (row, value) => row.f64() === value,
  'bool?': isOptionalBool,
};

/** False says that the columns must be looked at one by one: they may still mean the same. */
export function hasColumns(row: RowReader, layout: Layout, place: Expected, columns: Expected): boolean {
  for (const [name, type] of layout) {
    const value = columns[name];
    if (!SAME[type](row, value === undefined ? place[name] : value)) return false;
  }
  return row.isOver;
}

function isText(row: RowReader, value: unknown): boolean {
  return typeof value === 'string' && isTextHere(row, value);
}

/** Whether the text that begins here is this one, as ClickHouse keeps it: in UTF-8, lone surrogates as U+FFFD. */
export function isTextHere(row: RowReader, text: string): boolean {
  const count = row.length();
  const at = row.skip(count);
  const { bytes } = row;
  const { length } = text;
  if (count < length) return false;
  for (let place = 0; place < length; place += 1) {
    const code = text.charCodeAt(place);
    if (code > 127) return isEncoded(row, at, count, text);
    if (bytes[at + place] !== code) return false;
  }
  return count === length;
}

function isEncoded({ bytes }: RowReader, at: number, count: number, text: string): boolean {
  const encoded = utf8(text);
  if (encoded.length !== count) return false;
  for (let place = 0; place < count; place += 1) if (encoded[place] !== bytes[at + place]) return false;
  return true;
}

export function isTexts(row: RowReader, value: unknown): boolean {
  if (!Array.isArray(value) || row.length() !== value.length) return false;
  return (value as readonly unknown[]).every((text) => isText(row, text));
}

function isStream(row: RowReader, value: unknown): boolean {
  const stream = typeof value === 'string' ? fromHex(value, STREAM_ID_BYTES) : undefined;
  const at = row.skip(STREAM_ID_BYTES);
  return stream !== undefined && stream.every((byte, place) => row.bytes[at + place] === byte);
}

/** A null has no value behind it. */
export function isOptionalBool(row: RowReader, value: unknown): boolean {
  return row.u8() === 0 ? (row.u8() !== 0) === value : value === null;
}
