/** What a benchmark is: a name and a run that answers one or more figures, each beside a baseline of the same run. */
import { quantile as quantileOf } from 'simple-statistics';

export interface BenchResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The plain way to do the same, measured in turn with it; null where there is none (a goal is no baseline). */
  readonly baseline: number | null;
  /** value / baseline. */
  readonly ratio: number | null;
  /** What was measured, where the name does not say it. */
  readonly note?: string;
}

export interface Bench {
  readonly name: string;
  /** One line for the table and --help. */
  readonly about: string;
  /** Throws Skipped where this machine cannot run it. */
  run(): Promise<readonly BenchResult[]>;
}

/** The benchmark cannot run here; the message says what is missing. */
export class Skipped extends Error {}

/** Value of the sample at `q` (0 to 1), 0 for an empty one. */
export function quantile(sample: readonly number[], q: number): number {
  return sample.length === 0 ? 0 : quantileOf([...sample], q);
}

/** The ways of a round in another order each time: what one leaves behind must not always meet the same next one. */
export function rotated<Way>(ways: readonly Way[], round: number): readonly Way[] {
  const from = round % ways.length;
  return [...ways.slice(from), ...ways.slice(0, from)];
}

export const median = (sample: readonly number[]): number => quantile(sample, 0.5);

/** Three significant digits and more for large numbers: a benchmark does not know better. */
function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

export function result(
  name: string,
  measured: { readonly value: number; readonly baseline: number | null; readonly unit: string },
  note?: string,
): BenchResult {
  const { value, baseline, unit } = measured;
  return {
    name,
    value: rounded(value),
    unit,
    baseline: baseline === null ? null : rounded(baseline),
    ratio: baseline === null || baseline === 0 ? null : Number((value / baseline).toPrecision(3)),
    ...(note === undefined ? {} : { note }),
  };
}

/** Milliseconds of processor time of this process (all its threads) that `act` took. */
export async function cpuMs(act: () => void | Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Milliseconds of wall-clock time that `act` took. */
export async function wallMs(act: () => void | Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
}
