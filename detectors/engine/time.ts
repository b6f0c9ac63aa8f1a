/**
 * Effective time: what orders calls across streams. An event's own clock is a claim, so it may run at most
 * MAX_EVENT_SKEW_MS ahead of the bus (one future-dated event would otherwise make everyone else late), and it never
 * runs backwards inside a stream.
 */
export const MAX_EVENT_SKEW_MS = 5_000;

/**
 * Effective time in Unix ms: min(event time, append time + 5 s), never below `previousMs`, the effective time of the
 * stream's event before (Number.NEGATIVE_INFINITY where there is none). A time that is no number counts as the append
 * time.
 */
export function effectiveTimeMs(eventMs: number, appendMs: number, previousMs: number): number {
  const claimed = Number.isNaN(eventMs) ? appendMs : Math.min(eventMs, appendMs + MAX_EVENT_SKEW_MS);
  return Math.max(claimed, previousMs);
}

const DIGIT_ZERO = 48;

function twoDigits(text: string, at: number): number {
  return (text.charCodeAt(at) - DIGIT_ZERO) * 10 + text.charCodeAt(at + 1) - DIGIT_ZERO;
}

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar (H. Hinnant, "days_from_civil"). */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/**
 * Unix ms of the event schema's time form (2026-01-31T12:00:00.000Z), NaN for anything that is not 24 characters long.
 * Several times as fast as Date.parse; day numbers past the end of a month run on into the next one.
 */
export function parseTimeMs(time: string): number {
  if (time.length !== 24) return Number.NaN;
  const year = twoDigits(time, 0) * 100 + twoDigits(time, 2);
  const days = daysFromCivil(year, twoDigits(time, 5), twoDigits(time, 8));
  const seconds = twoDigits(time, 11) * 3600 + twoDigits(time, 14) * 60 + twoDigits(time, 17);
  return days * 86_400_000 + seconds * 1000 + twoDigits(time, 20) * 10 + time.charCodeAt(22) - DIGIT_ZERO;
}

const pairAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) - DIGIT_ZERO) * 10 + (bytes[at + 1] as number) - DIGIT_ZERO;

/** The same of the form's 24 bytes from `at` on. */
export function timeMsAt(bytes: Uint8Array, at: number): number {
  const year = pairAt(bytes, at) * 100 + pairAt(bytes, at + 2);
  const days = daysFromCivil(year, pairAt(bytes, at + 5), pairAt(bytes, at + 8));
  const seconds = pairAt(bytes, at + 11) * 3600 + pairAt(bytes, at + 14) * 60 + pairAt(bytes, at + 17);
  return (
    days * 86_400_000 + seconds * 1000 + pairAt(bytes, at + 20) * 10 + (bytes[at + 22] as number) - DIGIT_ZERO
  );
}

/** The second written last, up to its dot: neighbours in time share it. */
let lastSecond = Number.NaN;
let lastText = '';

/** RFC 3339 in UTC with ms; times outside the years 0-9999 are held at their ends. */
export function isoTime(timeMs: number): string {
  const clamped = Math.min(Math.max(timeMs, -62_167_219_200_000), 253_402_300_799_999);
  const second = Math.floor(clamped / 1000);
  if (second !== lastSecond) {
    lastText = new Date(second * 1000).toISOString().slice(0, 20);
    lastSecond = second;
  }
  const rest = Math.floor(clamped - second * 1000);
  return `${lastText}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
}
