/** `npm run demo -- --hold --once` from source: the post itself is refused, and nothing arrives outside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDemo } from '../support/scenario/demo.ts';

const WITHIN_MS = 480_000;

test('with hold the post that completes the chain never leaves, and other calls do not wait', async () => {
  const { exitCode, shown, lines } = await runDemo(WITHIN_MS, ['--hold']);
  assert.equal(exitCode, 0, shown);
  for (const fact of [
    'the post that completes the chain was refused itself (-32090)',
    'nothing was posted to the outside host, as its server counts',
    'harmless posts waited for their verdict and went out',
    'calls of other classes did not wait',
    'the harmless session raised no alert',
  ])
    assert.ok(lines.includes(`    ✓ ${fact}`), shown);
  assert.match(shown, /p50 \d+\.\d ms, p99 \d+\.\d ms to 101 posts that waited/);
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
    'lines fit 80 columns',
  );
});
