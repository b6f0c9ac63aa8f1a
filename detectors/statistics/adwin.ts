/**
 * ADWIN2 (A. Bifet, R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007): a window that
 * grows while its mean stays and drops its older part when two parts of it differ. The window is an exponential
 * histogram: rows of at most MAX_BUCKETS buckets, row r of 2^r values each. Two parts of n0 and n1 values differ when
 *
 *   |mean0 - mean1| > sqrt(2/m · variance · ln(2/δ')) + 2/(3m) · ln(2/δ'),   1/m = 1/n0 + 1/n1,   δ' = δ / ln n
 *
 * for values in [0, 1]. Only a rise (the newer part greater) is told; a fall shortens the window in silence.
 */
const MAX_BUCKETS = 5;
/** Values between two looks at the cuts, and fewest values of a part: those of the authors' implementation. */
const LOOK_EVERY = 32;
const LEAST_PART = 5;
const LEAST_WINDOW = 10;

/** Sum, and sum of squared deviations from the bucket's own mean. */
type Bucket = readonly [total: number, deviations: number];

export interface Adwin {
  ticks: number;
  /** rows[r]: oldest bucket first; the last row holds the oldest values. */
  rows: Bucket[][];
}

export function newAdwin(): Adwin {
  return { ticks: 0, rows: [[]] };
}

interface Part {
  count: number;
  total: number;
  deviations: number;
}

/** Two groups as one (Chan, Golub, LeVeque 1979). */
function joined(a: Part, b: Part): Part {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const apart = a.total / a.count - b.total / b.count;
  const count = a.count + b.count;
  const deviations = a.deviations + b.deviations + (apart * apart * a.count * b.count) / count;
  return { count, total: a.total + b.total, deviations };
}

const partOf = ([total, deviations]: Bucket, row: number): Part => ({ count: 2 ** row, total, deviations });

/** Buckets as parts, oldest first. */
function partsOf(state: Adwin): Part[] {
  return state.rows.flatMap((row, r) => row.map((bucket) => partOf(bucket, r)).toReversed()).toReversed();
}

function insertValue(state: Adwin, x: number): void {
  const { rows } = state;
  rows[0]?.push([x, 0]);
  for (let r = 0; r < rows.length; r++) {
    const row = rows[r] as Bucket[];
    if (row.length <= MAX_BUCKETS) return;
    const [first, second] = row.splice(0, 2) as [Bucket, Bucket];
    const both = joined(partOf(first, r), partOf(second, r));
    const next = (rows[r + 1] ??= []);
    next.push([both.total, both.deviations]);
  }
}

function dropOldestBucket(state: Adwin): void {
  const { rows } = state;
  rows.at(-1)?.shift();
  while (rows.length > 1 && rows.at(-1)?.length === 0) rows.pop();
}

/** newer mean - older mean of the first cut whose parts differ, undefined where none do. */
function firstCut(parts: readonly Part[], delta: number): number | undefined {
  // Newer parts joined from the end, so that nothing is ever subtracted.
  const newer: Part[] = [];
  let rest: Part = { count: 0, total: 0, deviations: 0 };
  for (const part of parts.toReversed()) newer.unshift((rest = joined(part, rest)));
  const whole = rest;
  const logTerm = Math.log((2 * Math.log(whole.count)) / delta);
  const variance = whole.deviations / whole.count;
  let older: Part = { count: 0, total: 0, deviations: 0 };
  for (let at = 0; at + 1 < parts.length; at++) {
    older = joined(older, parts[at] as Part);
    const recent = newer[at + 1] as Part;
    if (older.count < LEAST_PART || recent.count < LEAST_PART) continue;
    const inverse = 1 / older.count + 1 / recent.count;
    const bound = Math.sqrt(2 * inverse * variance * logTerm) + (2 / 3) * inverse * logTerm;
    const rise = recent.total / recent.count - older.total / older.count;
    if (Math.abs(rise) > bound) return rise;
  }
  return undefined;
}

/** By how much the mean rose where a rise is told, undefined otherwise. */
export function adwin(state: Adwin, x: number, delta: number): number | undefined {
  insertValue(state, x);
  state.ticks++;
  if (state.ticks % LOOK_EVERY !== 0) return undefined;
  let told: number | undefined;
  for (;;) {
    const parts = partsOf(state);
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    const rise = count > LEAST_WINDOW ? firstCut(parts, delta) : undefined;
    if (rise === undefined) return told;
    if (rise > 0) told = Math.max(told ?? 0, rise);
    dropOldestBucket(state);
  }
}
