/** What the gate reads for itself is what Node's own HTTP reads in the same bytes, random and mutated. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compareAnswers, comparePlainRequests } from '../../support/capture/wire-differences.ts';

const RUNS = 600;

it('plain requests, and where the next one begins', async () => {
  const count = await comparePlainRequests(RUNS);
  assert.ok(count > RUNS / 4, `${count} plain requests`);
});

it('answers of servers, however they are cut', async () => {
  const count = await compareAnswers(RUNS);
  assert.ok(count > RUNS / 4, `${count} whole answers`);
});
