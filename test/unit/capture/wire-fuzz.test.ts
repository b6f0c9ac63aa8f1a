/** Whatever the wire does: see test/support/capture/wire-fuzz.ts. The long run is wire-fuzz.full.test.ts. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fuzzWire } from '../../support/capture/wire-fuzz.ts';

it('bytes go on untouched, and every request has exactly one result, over 4,000 lines of anything', () => {
  let requests = 0;
  for (let seed = 1; seed <= 20; seed++) requests += fuzzWire(seed, 200).requests;
  assert.ok(requests > 800, String(requests));
});
