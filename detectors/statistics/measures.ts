/** What is measured over the values of a window that slides: add one, remove one, read. */
import { lowerBound } from './lower-bound.ts';
import { hash52 } from '../flow/hash52.ts';
import { ExactSum, MAX_SUMMAND } from './exact-sum.ts';
import type { TimedPlan } from './plan.ts';

export interface Measure {
  add(value: string | number): void;
  remove(value: string | number): void;
  /** undefined where the values say nothing. */
  read(): number | undefined;
}

class Count implements Measure {
  private count = 0;

  add(): void {
    this.count++;
  }

  remove(): void {
    this.count--;
  }

  read(): number {
    return this.count;
  }
}

class Distinct implements Measure {
  private readonly counts = new Map<string | number, number>();

  add(value: string | number): void {
    this.counts.set(value, (this.counts.get(value) ?? 0) + 1);
  }

  remove(value: string | number): void {
    const left = (this.counts.get(value) ?? 0) - 1;
    if (left > 0) this.counts.set(value, left);
    else this.counts.delete(value);
  }

  read(): number {
    return this.counts.size;
  }
}

class Sum implements Measure {
  private readonly sum = new ExactSum();
  private readonly isMean: boolean;
  private count = 0;

  constructor(isMean: boolean) {
    this.isMean = isMean;
  }

  add(value: string | number): void {
    this.sum.add(value as number);
    this.count++;
  }

  remove(value: string | number): void {
    this.sum.add(-(value as number));
    this.count--;
  }

  read(): number | undefined {
    if (this.count === 0) return undefined;
    return this.isMean ? this.sum.value() / this.count : this.sum.value();
  }
}

/** Nearest rank: an observed value, never an interpolated one. */
class Percentile implements Measure {
  private readonly sorted: number[] = [];
  private readonly p: number;
  private readonly minCount: number;

  constructor(p: number, minCount: number) {
    this.p = p;
    this.minCount = Math.max(1, minCount);
  }

  add(value: string | number): void {
    this.sorted.splice(lowerBound(this.sorted, value as number), 0, value as number);
  }

  remove(value: string | number): void {
    this.sorted.splice(lowerBound(this.sorted, value as number), 1);
  }

  read(): number | undefined {
    const { length } = this.sorted;
    if (length < this.minCount) return undefined;
    // p × n first: 0.07 × 100 is more than 7.
    const rank = Math.max(1, Math.ceil((this.p * length) / 100));
    return this.sorted[Math.min(rank, length) - 1];
  }
}

export function newMeasure(plan: TimedPlan): Measure {
  switch (plan.kind) {
    case 'count':
    case 'rate':
      return new Count();
    case 'distinct':
      return new Distinct();
    case 'sum':
      return new Sum(false);
    case 'avg':
      return new Sum(true);
    case 'percentile':
      return new Percentile(plan.p, plan.minCount);
  }
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A decimal number, null for everything else; hexadecimal, blank or endless text measures nothing. */
function decimal(text: string): number | null {
  if (text.length > 64 || !DECIMAL.test(text)) return null;
  const value = Number(text);
  // -0 would be a value of its own to nobody but Object.is.
  return Math.abs(value) <= MAX_SUMMAND ? value + 0 : null;
}

/** What a sample contributes; null: nothing, it is left out as if it had not been. */
export function measuredValue(plan: TimedPlan, value: string | null): string | number | null {
  switch (plan.kind) {
    case 'count':
    case 'rate':
      return 0;
    case 'distinct':
      return value === null ? null : boundedText(value);
    case 'sum':
    case 'avg':
    case 'percentile':
      return value === null ? null : decimal(value);
  }
}

const MAX_TEXT = 256;

/**
 * A value as it is kept: a long one as its length and 104 bits of hash, so that 4,096 values of a hostile sender do not
 * hold megabytes. (A piece of the text would keep the whole of it alive.)
 */
export function boundedText(value: string): string {
  if (value.length <= MAX_TEXT) return value;
  return `#${value.length}:${hash52(value, 1).toString(36)}:${hash52(value, 2).toString(36)}`;
}
