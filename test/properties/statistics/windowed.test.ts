import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packStatistic, unpackStatistic, type PackedStatistic } from '../../../detectors/statistics/pack.ts';
import type { StatisticPlan } from '../../../detectors/statistics/plan.ts';
import type { Fired } from '../../../detectors/statistics/sample.ts';
import { applyStatistic, newStatisticState } from '../../../detectors/statistics/statistic.ts';
import { bruteForce, conditions, streams, type TestSample } from './streams.ts';

function run(plan: StatisticPlan, stream: readonly TestSample[], packAt = -1): Fired<number>[] {
  let state = newStatisticState<number>(plan);
  return stream.flatMap((sample, index) => {
    if (index === packAt) {
      const text = JSON.stringify(packStatistic(state, (tag) => ({ tag })));
      state = unpackStatistic(plan, JSON.parse(text) as PackedStatistic, (p) => (p as { tag: number }).tag);
    }
    const outcome = applyStatistic(plan, state, sample);
    assert.equal(outcome.evicted, 0);
    assert.equal(outcome.unrepaired, false);
    return outcome.fired;
  });
}

const isNumber = (value: string | null): value is string => value !== null && /^-?\d/.test(value);
/** Of samples that are numbers. */
const numbers = (window: readonly TestSample[]): number[] => window.map((sample) => Number(sample.value));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Samples that a kind leaves out are no samples to it: the brute force is given the rest. */
const KINDS = {
  count: { takes: () => true, measure: (window: readonly TestSample[]) => window.length },
  distinct: {
    takes: (s: TestSample) => s.value !== null,
    measure: (window: readonly TestSample[]) => new Set(window.map((s) => s.value)).size,
  },
  sum: {
    takes: (s: TestSample) => isNumber(s.value),
    measure: (window: readonly TestSample[]) => sum(numbers(window)),
  },
  avg: {
    takes: (s: TestSample) => isNumber(s.value),
    measure: (window: readonly TestSample[]) => sum(numbers(window)) / window.length,
  },
};

for (const kind of ['count', 'distinct', 'sum', 'avg'] as const) {
  test(`${kind}: the samples that fire are those of the brute force, late ones and ties included`, () => {
    const { takes, measure } = KINDS[kind];
    let firings = 0;
    fc.assert(
      fc.property(
        streams,
        fc.integer({ min: 0, max: 12 }).map((n) => n * 500),
        conditions,
        (stream, withinMs, tests) => {
          const fired = run({ kind, withinMs, conditions: tests }, stream).map((f) => f.completing);
          firings += fired.length;
          const expected = bruteForce(stream.filter(takes), withinMs, measure, tests);
          assert.deepEqual(
            fired.toSorted((a, b) => a - b),
            expected,
          );
        },
      ),
      { numRuns: 600 },
    );
    assert.ok(firings > 1_000, `${firings} firings`);
  });
}

/** By the definition: the smallest value that at least p per cent of the values do not exceed. */
function percentileOf(values: readonly number[], p: number): number | undefined {
  const candidates = values.filter((v) => values.filter((w) => w <= v).length * 100 >= p * values.length);
  return candidates.length === 0 ? undefined : Math.min(...candidates);
}

test('percentile: the samples that fire are those of the brute force, late ones and ties included', () => {
  let firings = 0;
  fc.assert(
    fc.property(
      streams,
      fc.record({
        p: fc.integer({ min: 1, max: 100 }),
        minCount: fc.integer({ min: 1, max: 5 }),
        withinMs: fc.integer({ min: 0, max: 12 }).map((n) => n * 500),
      }),
      conditions,
      (stream, { p, minCount, withinMs }, tests) => {
        const plan: StatisticPlan = { kind: 'percentile', p, minCount, withinMs, conditions: tests };
        const fired = run(plan, stream).map((f) => f.completing);
        firings += fired.length;
        const measure = (window: readonly TestSample[]): number | undefined =>
          window.length < minCount ? undefined : percentileOf(numbers(window), p);
        const expected = bruteForce(
          stream.filter((s) => isNumber(s.value)),
          withinMs,
          measure,
          tests,
        );
        assert.deepEqual(
          fired.toSorted((a, b) => a - b),
          expected,
        );
      },
    ),
    { numRuns: 600 },
  );
  assert.ok(firings > 1_000, `${firings} firings`);
});

const plans: fc.Arbitrary<StatisticPlan> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('count' as const, 'distinct' as const, 'sum' as const, 'avg' as const),
    withinMs: fc.integer({ min: 0, max: 8_000 }),
    conditions,
  }),
  fc.record({
    kind: fc.constant('percentile' as const),
    p: fc.integer({ min: 1, max: 100 }),
    withinMs: fc.integer({ min: 0, max: 8_000 }),
    minCount: fc.integer({ min: 1, max: 4 }),
    conditions,
  }),
  fc.record({
    kind: fc.constant('rate' as const),
    withinMs: fc.constant(1_000),
    factor: fc.integer({ min: 1, max: 3 }),
    baselineMs: fc.integer({ min: 1_000, max: 9_000 }),
    operator: fc.constantFrom('gt' as const, 'gte' as const, 'lt' as const),
    minCount: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    kind: fc.constant('drift' as const),
    method: fc.constantFrom('page_hinkley' as const, 'cusum' as const, 'adwin' as const),
    delta: fc.constantFrom(0.005, 0.3),
    lambda: fc.constantFrom(0.5, 3),
    warmup: fc.integer({ min: 0, max: 10 }),
  }),
  fc.record({
    kind: fc.constant('novel_ngram' as const),
    n: fc.integer({ min: 1, max: 4 }),
    window: fc.integer({ min: 1, max: 10 }),
    gte: fc.integer({ min: 1, max: 4 }),
    warmup: fc.integer({ min: 0, max: 10 }),
  }),
);

test('packed as JSON and restored at any point, a statistic goes on as if nothing had been', () => {
  let firings = 0;
  fc.assert(
    fc.property(plans, streams, fc.nat(), (plan, stream, cut) => {
      const whole = run(plan, stream);
      firings += whole.length;
      assert.deepEqual(run(plan, stream, cut % stream.length), whole);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(firings > 5_000, `${firings} firings`);
});

test('a sample fires at most once and cites at most eight, itself last, none after it', () => {
  fc.assert(
    fc.property(plans, streams, (plan, stream) => {
      const fired = run(plan, stream);
      assert.equal(new Set(fired.map((f) => f.completing)).size, fired.length);
      for (const { completing, evidence } of fired) {
        assert.ok(evidence.length <= 8);
        assert.equal(evidence.at(-1), completing);
      }
    }),
    { numRuns: 1_000 },
  );
});
