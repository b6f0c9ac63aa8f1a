/** `npm run demo -- --hold --once` from source: the post itself is refused, and nothing arrives outside. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const WITHIN_MS = 480_000;

test('with hold the post that completes the chain never leaves, and other calls do not wait', async () => {
  const words = ['--import', 'tsx', join(root, 'services/cli/demo/main.ts'), '--once', '--hold'];
  const child = spawn(process.execPath, words, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(WITHIN_MS),
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (shown += chunk.toString('utf8')));
  const exitCode = await new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  assert.equal(exitCode, 0, shown);
  const lines = stripVTControlCharacters(shown).split('\n');
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
