/** Random streams of samples for the statistics, and a brute force that looks at everything anew after each arrival. */
import fc from 'fast-check';
import type { Condition } from '../../../detectors/statistics/plan.ts';
import type { Sample } from '../../../detectors/statistics/sample.ts';

export type TestSample = Sample<number>;

/** Times on a coarse grid, so that ties and windows that just fit are common; arrival order is the list's order. */
export const streams = fc
  .array(
    fc.record({
      timeMs: fc.integer({ min: 0, max: 30 }).map((n) => n * 500),
      partition: fc.integer({ min: 0, max: 2 }),
      value: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: -3, max: 6 }).map(String) },
        { weight: 1, arbitrary: fc.constantFrom('0.25', '-1.5', 'word', '') },
        { weight: 1, arbitrary: fc.constant(null) },
      ),
      sorted: fc.boolean(),
    }),
    { minLength: 1, maxLength: 60, size: 'max' },
  )
  .map((drawn) => {
    // Half of the samples come in order of time, the others wherever they were drawn.
    const times = drawn.filter((d) => d.sorted).map((d) => d.timeMs);
    times.sort((a, b) => a - b);
    let at = 0;
    return drawn.map((d, index): TestSample => {
      const timeMs = d.sorted ? (times[at++] as number) : d.timeMs;
      return { timeMs, partition: d.partition, offset: index, line: 0, value: d.value, tag: index };
    });
  });

export const conditions = fc.array(
  fc.record({
    operator: fc.constantFrom('gt', 'gte', 'lt', 'lte', 'eq', 'neq') as fc.Arbitrary<Condition['operator']>,
    value: fc.integer({ min: -2, max: 8 }),
  }),
  { minLength: 1, maxLength: 2 },
);

const TESTS = {
  gt: (a: number, b: number) => a > b,
  gte: (a: number, b: number) => a >= b,
  lt: (a: number, b: number) => a < b,
  lte: (a: number, b: number) => a <= b,
  eq: (a: number, b: number) => a === b,
  neq: (a: number, b: number) => a !== b,
};

function isBefore(a: TestSample, b: TestSample): boolean {
  const left = [a.timeMs, a.partition, a.offset, a.line];
  const right = [b.timeMs, b.partition, b.offset, b.line];
  const at = left.findIndex((part, index) => part !== right[index]);
  return at >= 0 && (left[at] as number) < (right[at] as number);
}

/** Tags of the samples at which, after some arrival, all conditions hold. */
export function bruteForce(
  stream: readonly TestSample[],
  withinMs: number,
  measure: (window: readonly TestSample[]) => number | undefined,
  tests: readonly Condition[],
): number[] {
  const fired = new Set<number>();
  stream.forEach((_, arrived) => {
    const known = stream.slice(0, arrived + 1);
    for (const sample of known) {
      const window = known.filter(
        (other) => (other === sample || isBefore(other, sample)) && other.timeMs >= sample.timeMs - withinMs,
      );
      const measured = measure(window);
      if (measured === undefined) continue;
      if (tests.every((test) => TESTS[test.operator](measured, test.value))) fired.add(sample.tag);
    }
  });
  return [...fired].toSorted((a, b) => a - b);
}
