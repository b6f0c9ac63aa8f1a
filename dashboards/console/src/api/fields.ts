/** Light checks of answers: a missing or misshapen field becomes an empty value, never an exception in a view. */
export type Fields = Readonly<Record<string, unknown>>;

/** The value as an object with unknown fields; anything else is empty. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** First of the named fields that holds a text or number, as text. */
export function text(from: Fields, ...names: readonly string[]): string {
  for (const name of names) {
    const value = from[name];
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number') return String(value);
  }
  return '';
}

/** First of the named fields that holds a finite number (64-bit counts come as decimal text); null where none. */
export function count(from: Fields, ...names: readonly string[]): number | null {
  for (const name of names) {
    const value = from[name];
    const number = typeof value === 'string' && value !== '' ? Number(value) : value;
    if (typeof number === 'number' && Number.isFinite(number)) return number;
  }
  return null;
}

/** First of the named fields that is an array; bounded, since a page of the API is. */
export function list(from: Fields, ...names: readonly string[]): readonly unknown[] {
  for (const name of names) {
    const value = from[name];
    if (Array.isArray(value)) return value.slice(0, 10_000) as readonly unknown[];
  }
  return [];
}

/** The texts of an array field. */
export function texts(from: Fields, ...names: readonly string[]): readonly string[] {
  return list(from, ...names).filter((value) => typeof value === 'string');
}

/** First of the named fields that is an object. */
export function inner(from: Fields, ...names: readonly string[]): Fields | null {
  for (const name of names) {
    const value = from[name];
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  }
  return null;
}

/** A ClickHouse DateTime64 (`2026-01-31 12:00:00.000`, UTC) or Unix ms as RFC 3339. */
export function time(from: Fields, ...names: readonly string[]): string {
  const value = text(from, ...names);
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.test(value)) return `${value.replace(' ', 'T')}Z`;
  if (/^\d{12,14}$/.test(value)) return new Date(Number(value)).toISOString();
  return value;
}
