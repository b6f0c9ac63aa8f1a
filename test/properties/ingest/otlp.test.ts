import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../bench/random.ts';
import { runMutations } from './otlp-mutations.ts';

test('4,000 broken OTLP requests: each is read, or refused by name; every call that comes out is an event', () => {
  const counts = runMutations(4_000, randomBelow(4318));
  assert.equal(counts.inputs, 4_000);
  // Both ways are taken: neither a reader that takes nothing nor one that takes everything would pass.
  assert.ok(counts.malformed > 400, `${counts.malformed} malformed`);
  assert.ok(counts.calls > 1_000, `${counts.calls} calls`);
});
