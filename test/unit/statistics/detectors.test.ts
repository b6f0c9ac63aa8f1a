import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adwin, newAdwin } from '../../../detectors/statistics/adwin.ts';
import { cusum, newCusum } from '../../../detectors/statistics/cusum.ts';
import { newPageHinkley, pageHinkley } from '../../../detectors/statistics/page-hinkley.ts';

function near(actual: number | undefined, expected: number, tolerance = 1e-9): void {
  assert.ok(actual !== undefined && Math.abs(actual - expected) < tolerance, `${actual} is not ${expected}`);
}

// D. C. Montgomery, Introduction to Statistical Quality Control, table 9.1 (mean 10, shifted by 1 from sample 21 on) and
// the C+ column of table 9.2 (K = 0.5, H = 5: the first signal is at sample 29, C+ = 5.28).
const MONTGOMERY = [
  9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.2, 10.34, 9.03, 11.47, 10.51, 9.4, 10.08, 9.37, 10.62,
  10.31, 8.52, 10.84, 10.9, 9.33, 12.29, 11.5, 10.6, 11.08, 10.38, 11.62, 11.31,
];
const MONTGOMERY_SUMS = [
  0, 0, 0, 1.16, 2.82, 2.5, 0.04, 1, 0, 0, 0, 0.97, 0.98, 0, 0, 0, 0.12, 0, 0, 0.34, 0.74, 0, 1.79, 2.79,
  2.89, 3.47, 3.35, 4.47,
];

test("CUSUM follows Montgomery's table and signals at sample 29", () => {
  const state = newCusum();
  MONTGOMERY.forEach((x, index) => {
    const told = cusum(state, x, { mean: 10, delta: 0.5, lambda: 5 });
    if (index === 28) near(told, 5.28);
    else {
      assert.equal(told, undefined, `sample ${index + 1}`);
      near(state.sum, MONTGOMERY_SUMS[index] as number);
    }
  });
  assert.equal(state.sum, 0, 'starts anew');
});

test('Page-Hinkley: a small series by hand', () => {
  // alpha = 0.9999, delta = 0.1. Means: 1, 1, 4/3. m: -0.1; -0.1 x 0.9999 - 0.1 = -0.19999;
  // -0.19999 x 0.9999 + 2 - 4/3 - 0.1 = 0.366696668. M = -0.19999, so m - M = 0.566686668.
  const state = newPageHinkley();
  const by = { delta: 0.1, lambda: 0.5, minCount: 1 };
  assert.equal(pageHinkley(state, 1, by), undefined);
  assert.equal(pageHinkley(state, 1, by), undefined);
  near(state.sum, -0.19999);
  near(pageHinkley(state, 2, by), 0.566686667666667, 1e-8);
  assert.deepEqual(state, newPageHinkley());
});

test('Page-Hinkley says nothing before it has seen enough values', () => {
  const state = newPageHinkley();
  const by = { delta: 0, lambda: 0.5, minCount: 4 };
  const told = [0, 0, 9, 9].map((x) => pageHinkley(state, x, by) !== undefined);
  assert.deepEqual(told, [false, false, false, true]);
});

/** Uniform values of glibc's old linear congruential generator, 0.6 higher in [400, 800) and from 1,500 on. */
function series(): number[] {
  const values: number[] = [];
  let state = 12_345;
  for (let index = 0; index < 2_000; index++) {
    state = (Math.imul(1_103_515_245, state) + 12_345) & 0x7fffffff;
    const isHigh = (index >= 400 && index < 800) || index >= 1_500;
    values.push(state / 2 ** 31 + (isHigh ? 0.6 : 0));
  }
  return values;
}

function toldAt(values: readonly number[], step: (x: number) => number | undefined): [number, number][] {
  return values.flatMap((x, index) => {
    const told = step(x);
    return told === undefined ? [] : [[index, told] as [number, number]];
  });
}

// From river 0.26.1 (PyPI): PageHinkley(min_instances=30, delta, threshold, alpha=1-0.0001, mode="up") on series().
test('Page-Hinkley tells the same changes as river', () => {
  const at = (delta: number, lambda: number): [number, number][] => {
    const state = newPageHinkley();
    return toldAt(series(), (x) => pageHinkley(state, x, { delta, lambda, minCount: 30 }));
  };
  const indexes = (told: [number, number][]): number[] => told.map(([index]) => index);
  assert.deepEqual(indexes(at(0.005, 50)), [489, 1625]);
  assert.deepEqual(indexes(at(0.1, 5)), [405, 1521]);
  const told = at(0.005, 10);
  assert.deepEqual(indexes(told), [413, 1526]);
  near(told[0]?.[1], 10.339123294778414);
  near(told[1]?.[1], 10.204488587149484);
});

// From river 0.26.1: ADWIN(delta, clock=32) on series() / 1.6 tells changes at 447, 863 (the fall), 1535 for delta = 0.002
// and at 447, 831 (the fall), 1535 for delta = 0.05. Its bound counts LEAST_PART - 1
// values less in each part than the paper's, so that it may need one more look, 32 values; and it forgets its whole
// window after each change, where ours keeps the newer part.
test('ADWIN tells the rises where river does, and no fall', () => {
  for (const delta of [0.002, 0.05]) {
    const state = newAdwin();
    const told = toldAt(series(), (x) => adwin(state, x / 1.6, delta));
    const indexes = told.map(([index]) => index);
    assert.ok(indexes[0] === 415 || indexes[0] === 447, indexes.join(' '));
    assert.ok(indexes.includes(1_503) || indexes.includes(1_535), indexes.join(' '));
    assert.ok(
      indexes.every((index) => (index >= 400 && index < 800) || index >= 1_500),
      indexes.join(' '),
    );
  }
});

// From river 0.26.1: ADWIN(delta=0.002) on the values 0.2, 0.4, 0.3, 0.1 over and over, 0.5 higher from 1,000 on.
test('ADWIN sees a step of a periodic series at 1,023', () => {
  const state = newAdwin();
  const values = Array.from(
    { length: 2_000 },
    (_, index) => ([0.2, 0.4, 0.3, 0.1][index % 4] as number) + (index >= 1_000 ? 0.5 : 0),
  );
  const told = toldAt(values, (x) => adwin(state, x, 0.002));
  assert.equal(told[0]?.[0], 1_023);
});

test('ADWIN stays small and silent while nothing changes', () => {
  const state = newAdwin();
  let told = 0;
  let random = 1;
  for (let index = 0; index < 50_000; index++) {
    random = (Math.imul(1_103_515_245, random) + 12_345) & 0x7fffffff;
    if (adwin(state, random / 2 ** 31, 0.002) !== undefined) told++;
  }
  assert.equal(told, 0);
  assert.ok(state.rows.length <= 15 && state.rows.every((row) => row.length <= 5));
});
