/** A process that was killed and whose parent takes no note must free its data directory and its spool. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readProcess } from '../../../services/capture/processes.ts';
import { isRunning } from '../../../services/platform/process-alive.ts';

const onLinux = { skip: process.platform === 'linux' ? false : 'only Linux shows them' };

test('we run; a process id that nobody has does not', () => {
  assert.equal(isRunning(process.pid), true);
  assert.equal(isRunning(2 ** 22 + 1), false);
});

test('a process that its parent has not waited for is over', onLinux, async () => {
  // The shell becomes a program that waits for no child.
  const parent = spawn('sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [text] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(text.toString());
    const isZombie = (): boolean => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    while (!isZombie()) await sleep(20);
    process.kill(pid, 0); // The kernel still knows it.
    assert.equal(isRunning(pid), false);
    assert.equal(readProcess(pid), undefined);
  } finally {
    parent.kill('SIGKILL');
  }
});
