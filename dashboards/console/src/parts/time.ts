/** Times and durations as the console shows them. Input times are attacker-controlled: anything else stays as it came. */

/** `2026-01-31T12:00:00.000Z` → `12:00:00.000`; other text unchanged. */
export function clockTime(value: string): string {
  const match = /^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d(?:\.\d{1,3})?)/.exec(value);
  return match?.[1] ?? value;
}

/** `2026-01-31 12:00:00` in UTC; other text unchanged. */
export function dateTime(value: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(value);
  return match === null ? value : `${match[1] ?? ''} ${match[2] ?? ''}`;
}

/** Unix ms; NaN where the text is no time. */
export function unixMs(value: string): number {
  return Date.parse(value);
}

/** 0.4 ms, 12 ms, 1.20 s, 3 min 4 s, 2 h 5 min, 3 d 4 h. */
export function duration(ms: number): string {
  if (ms < 1) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`;
  return span(ms);
}

/** Whole seconds and up: 9 s, 3 min 4 s, 2 h 5 min, 3 d 4 h. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${seconds % 60} s`;
  return `${seconds} s`;
}
