/** Precision of a rule by dispositions: counts and ratios worked out by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import {
  CitedCalls,
  precisionText,
  rulePrecision,
  zLiveAlert,
  type LiveAlert,
  type Position,
} from '../../../services/cli/precision.ts';

const at = (offset: number, partition = 0): Position => ({ partition, offset, line: 0 });

/** An alert that calls at `from` and `to` make. */
const would = (from: number, to: number, more: Partial<AlertBody> = {}): AlertBody =>
  ({ id: `new-${from}-${to}`, calls: [at(from), at(to)], ...more }) as unknown as AlertBody;

const told = (from: number, to: number, value?: string, time = '2026-01-01T00:00:00Z'): LiveAlert =>
  zLiveAlert.parse({
    id: `old-${from}-${to}`,
    calls: [at(from), at(to)],
    disposition: value === undefined ? null : { value, time },
  });

function judged(wouldBe: readonly AlertBody[], live: readonly LiveAlert[], read: readonly Position[] = []) {
  const cited = new CitedCalls(live);
  for (const position of read) cited.see(position);
  return rulePrecision(wouldBe, live, cited);
}

test('benign ones count as true, undetermined ones as neither: 3 true and 1 false are 0.75', () => {
  const found = judged(
    [would(1, 2), would(3, 4), would(5, 6), would(7, 8), would(9, 10), would(11, 12), would(13, 14)],
    [
      told(1, 2, 'true_positive'),
      told(3, 4, 'true_positive'),
      told(5, 6, 'benign_true_positive'),
      told(7, 8, 'false_positive'),
      told(9, 10, 'undetermined'),
      told(11, 12),
    ],
  );
  assert.deepEqual(found, {
    dispositions: {
      true_positive: 2,
      benign_true_positive: 1,
      false_positive: 1,
      undetermined: 1,
      none: 2,
    },
    true: 3,
    false: 1,
    precision: 0.75,
    lost: 0,
  });
  assert.equal(
    precisionText(found),
    'precision 0.75: 3 true (1 of them benign), 1 false; 1 undetermined, 2 without disposition; 0 true alerts are lost by this version',
  );
});

test('without a true or a false one there is no precision', () => {
  const found = judged([would(1, 2), would(3, 4)], [told(1, 2, 'undetermined'), told(3, 4)]);
  assert.deepEqual([found.precision, found.true, found.false], [null, 0, 0]);
  assert.match(precisionText(found), /^precision unknown: /);
  assert.equal(judged([], []).precision, null);
  assert.equal(judged([would(1, 2)], [told(1, 2, 'false_positive')]).precision, 0);
});

test('what was found true and is not raised is lost, where all of its calls were read', () => {
  const live = [
    told(1, 2, 'true_positive'),
    told(3, 4, 'benign_true_positive'),
    told(5, 6, 'false_positive'),
    told(7, 8, 'undetermined'),
    told(9, 10, 'true_positive'),
    told(9, 10),
  ];
  const all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((offset) => at(offset));
  const found = judged([would(0, 2)], live, all);
  assert.deepEqual([found.true, found.lost], [1, 2]);
  // Call 9 lies before the part that was read, or call 10 in another partition than what stood there.
  assert.equal(judged([would(0, 2)], live, all.toSpliced(8, 1)).lost, 1);
  assert.equal(judged([would(0, 2)], live, [...all.slice(0, 9), at(10, 1)]).lost, 1);
  assert.match(precisionText({ ...found, lost: 1 }), /1 true alert is lost by this version$/);
});

test('an alert under an exception pages nobody: it counts as not raised', () => {
  const live = [told(1, 2, 'false_positive'), told(3, 4, 'true_positive')];
  const excepted = [would(1, 2, { exception: 'our mirror' }), would(3, 4, { exception: 'our mirror' })];
  const found = judged(excepted, live, [at(3), at(4)]);
  assert.deepEqual([found.precision, found.true, found.false, found.lost], [null, 0, 0, 1]);
});

test('alerts that one call completes are one finding, and the latest word on it counts', () => {
  const found = judged(
    [would(1, 9), would(2, 9)],
    [
      told(1, 9, 'true_positive', '2026-01-02T00:00:00Z'),
      told(2, 9, 'false_positive', '2026-01-03T00:00:00Z'),
      told(3, 9, 'undetermined', '2026-01-01T00:00:00Z'),
      told(4, 9),
    ],
  );
  assert.deepEqual([found.true, found.false, found.dispositions.none], [0, 1, 0]);
});
