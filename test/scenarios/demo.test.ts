/** `npm run demo -- --once` from source: its own checks decide, and a person can read it in 80 columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDemo } from '../support/scenario/demo.ts';

/** A hang is a fault; a busy machine is none. */
const WITHIN_MS = 240_000;

test('the demo happens as it says, and leaves nothing behind', async () => {
  const { exitCode, shown, lines } = await runDemo(WITHIN_MS);
  assert.equal(exitCode, 0, shown);
  assert.equal(lines.filter((line) => line.includes('✓')).length >= 7, true, shown);
  assert.deepEqual(
    lines.filter((line) => line.includes('✗') && !line.includes('refused')),
    [],
  );
  for (const words of ['ALERT', 'REFUSED', 'VERIFIED', 'chain.search-vault-post', 'collect.attacker.example'])
    assert.ok(shown.includes(words), words);
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
    'lines fit 80 columns',
  );
});
