import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareWithOracle } from './compare.ts';

test('20,000 random streams: completing events equal brute force, through a restart too', () => {
  const result = compareWithOracle({ seed: 20_260_101, rules: 400, streamsPerRule: 50 });
  assert.equal(result.streams, 20_000);
  assert.ok(result.alerts > 2_000, `only ${result.alerts} alerts: the comparison would prove little`);
  for (const [part, alerts] of Object.entries(result.byPart)) {
    assert.ok(alerts > 40, `only ${alerts} alerts of rules with ${part}`);
  }
});
