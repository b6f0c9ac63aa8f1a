/** kill -9 of the process that delivers, at the moments that matter. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { Store } from '../../../services/platform/store/port.ts';
import {
  alertBody,
  eventually,
  openHarness,
  publishAlert,
  temporaryDir,
} from '../../integration/respond/harness.ts';
import { startReceiver, type Receiver } from '../../integration/respond/receiver.ts';
import { LOADER } from '../../support/sources/words.ts';

const ALERTS = 5;

suite('the delivering process is killed', () => {
  let place: Awaited<ReturnType<typeof temporaryDir>>;
  let receiver: Receiver;
  const children = new Set<ChildProcess>();

  beforeEach(async () => {
    place = await temporaryDir();
    receiver = await startReceiver();
    const harness = await openHarness({ dir: place.dir, store: {} as Store });
    for (let index = 0; index < ALERTS; index += 1)
      await publishAlert(harness.context, alertBody(`alert ${index}`));
    await harness.close();
  });
  afterEach(async () => {
    for (const child of children) await end(child, 'SIGKILL');
    await receiver.close();
    await place.remove();
  });

  async function start(): Promise<ChildProcess> {
    const file = join(import.meta.dirname, 'child.ts');
    const child = spawn(process.execPath, [...LOADER, file, place.dir, receiver.url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')]);
    return child;
  }
  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    children.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
  const ids = () => new Set(receiver.deliveries.map(({ id }) => id));
  const quiet = () => new Promise((resolve) => setTimeout(resolve, 500));

  test('between delivered and marked: the message comes again, the same, and then no more', async () => {
    let child: ChildProcess | undefined;
    const killed: string[] = [];
    receiver.answer = async ({ id }) => {
      // The receiver has the message; the sender dies before it can have the answer.
      if (killed.length === 0) {
        killed.push(id);
        await eventually('child', () => child);
        if (child !== undefined) await end(child, 'SIGKILL');
      }
      return { status: 204 };
    };
    child = await start();
    const first = child;
    await eventually('kill', () => killed.length === 1 && first.signalCode === 'SIGKILL');
    const afterKill = receiver.deliveries.length;
    const second = await start();
    await eventually('all', () => ids().size === ALERTS);
    await quiet();
    const again = receiver.deliveries.filter(({ id }) => id === killed[0]);
    assert.ok(again.length >= 2 && new Set(again.map(({ body }) => body)).size === 1);
    assert.ok(receiver.deliveries.length - afterKill <= ALERTS, 'one more try at most of each');
    const delivered = receiver.deliveries.length;
    await end(second, 'SIGTERM');
    await start();
    await quiet();
    assert.equal(receiver.deliveries.length, delivered, 'marked deliveries do not come again');
    assert.ok(receiver.deliveries.every(({ isVerified }) => isVerified));
  });

  test('at random moments, again and again: every alert arrives, and what was marked never again', async () => {
    // The first process or two fail and retry; whatever is cut, the last one finishes.
    for (let round = 0; round < 4; round += 1) {
      const child = await start();
      await new Promise((resolve) => setTimeout(resolve, 3 * round * round));
      await end(child, 'SIGKILL');
    }
    const last = await start();
    await eventually('all', () => ids().size === ALERTS);
    await quiet();
    const count = receiver.deliveries.length;
    await end(last, 'SIGTERM');
    await start();
    await quiet();
    assert.equal(receiver.deliveries.length, count);
  });
});
