/** As wire-reading.test.ts, in many more runs. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compareAnswers, comparePlainRequests } from '../../support/capture/wire-differences.ts';

const RUNS = 20_000;

it(`${RUNS} connections of clients`, async () => {
  const count = await comparePlainRequests(RUNS);
  assert.ok(count > RUNS / 4, `${count} plain requests`);
});

it(`${RUNS} answers of servers`, async () => {
  const count = await compareAnswers(RUNS);
  assert.ok(count > RUNS / 4, `${count} whole answers`);
});
