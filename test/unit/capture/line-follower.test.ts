/** Two threads with one memory: what the one lets go, the other has, in its order; and none goes once its leave is taken back. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { QueuedLine } from '../../../services/capture/line-queue.ts';
import { readJournal } from '../../../services/capture/recorder/journal-reader.ts';
import { LineAppender, type JournalPlace } from '../../../services/capture/recorder/line-appender.ts';
import { LineFollower } from '../../../services/capture/recorder/line-follower.ts';
import { JOURNAL_FILE, MAX_JOURNALLED_BYTES } from '../../../services/capture/recorder/line-parts.ts';
import {
  CELL,
  newSharedMemory,
  processMs,
  sharedLinesIn,
} from '../../../services/capture/recorder/shared-lines.ts';
import { threadModule } from '../../../services/platform/thread-module.ts';
import type { AppendingThreadData } from '../../support/capture/appending-thread.ts';
import { ROOT } from '../../support/mcp/host.ts';

const ALL = { answers: true, requests: true };
const NONE = { answers: false, requests: false };
const call = (id: number, text = ''): Buffer =>
  Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { text } }));
const answer = (id: number): Buffer => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result: {} }));
const idOf = ({ line }: QueuedLine): number =>
  (JSON.parse(Buffer.from(line).toString()) as { readonly id: number }).id;

function followed(context: TestContext) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tripline-follower-'));
  const memory = newSharedMemory();
  const shared = sharedLinesIn(memory);
  const places: JournalPlace[] = [];
  const follower = new LineFollower({
    shared,
    server: 'calls',
    transport: 'stdio',
    opened: (place) => void places.push(place),
  });
  follower.directory = directory;
  context.after(() => {
    follower.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const journal = (): ReturnType<typeof readJournal> =>
    readJournal(readFileSync(path.join(directory, JOURNAL_FILE)), 1);
  return { directory, memory, shared, follower, places, journal };
}

function inOneThread(context: TestContext) {
  const all = followed(context);
  let woken = 0;
  const appender = new LineAppender({
    shared: all.shared,
    nowMs: () => 7,
    monotonicMs: processMs,
    wake: () => void woken++,
  });
  all.follower.allow(ALL);
  for (const place of all.places) appender.open(place);
  return { ...all, appender, woken: () => woken };
}

describe('lines that another thread lets go', () => {
  it('come in their order with the time at which they went, and the journal has those that are left', (context) => {
    const { appender, follower, journal } = inOneThread(context);
    const before = performance.now();
    for (const id of [1, 2, 3]) assert.ok(appender.keeps('to_server', call(id)));
    assert.ok(appender.keeps('to_client', answer(1)));
    const lines = follower.take(3);
    assert.deepEqual(lines.map(idOf), [1, 2, 3]);
    for (const { timeMs, monotonicMs } of lines) {
      assert.equal(timeMs, 7);
      assert.ok(monotonicMs >= before - 1 && monotonicMs <= performance.now() + 1, `${monotonicMs}`);
    }
    follower.looksAt(3, 1, 1);
    follower.looked(3);
    assert.deepEqual(
      journal()?.lines.map(({ direction }) => direction),
      ['to_client'],
    );
    const [last] = follower.take(Infinity);
    assert.equal(last?.direction, 'to_client');
  });

  it('what is taken stays as it was when the next batch is written over it', (context) => {
    const { appender, follower } = inOneThread(context);
    assert.ok(appender.keeps('to_server', call(1, 'first')));
    const [first] = follower.take(1);
    follower.looked(1);
    assert.ok(appender.keeps('to_server', call(2, 'other')));
    assert.equal(Buffer.from(first?.line ?? []).toString(), call(1, 'first').toString());
  });

  it('a batch begins with the calls that are open, and none begins after a line that went another way', (context) => {
    const { appender, follower, journal } = inOneThread(context);
    const open = [{ key: 'to_server n:7', callId: 'ab'.repeat(16) }];
    assert.ok(appender.keeps('to_server', call(1)));
    follower.waitFor(open);
    appender.beginAnew();
    assert.equal(appender.keeps('to_server', call(2)), false, 'the batch before it is not looked at');
    follower.take(1);
    follower.looked(1);
    assert.ok(appender.keeps('to_server', call(2)));
    assert.deepEqual(journal()?.openCalls, open);
    assert.deepEqual(follower.take(Infinity).map(idOf), [2]);
  });

  it('takes none that is too long, for which there is no room, or that a person may have typed', (context) => {
    const { appender, follower } = inOneThread(context);
    assert.equal(appender.keeps('to_server', call(1, 'x'.repeat(MAX_JOURNALLED_BYTES))), false);
    assert.equal(appender.keeps('to_server', answer(1)), false);
    let kept = 0;
    while (appender.keeps('to_server', call(kept, 'x'.repeat(40_000)))) kept++;
    assert.ok(kept > 20, `${kept} lines of 40 kB`);
    assert.equal(follower.take(Infinity).length, kept);
    follower.looked(kept);
    assert.ok(appender.keeps('to_server', call(kept)), 'once they are looked at there is room');
  });

  it('requests need a leave of their own; answers go while a call may be refused', (context) => {
    const { appender, follower } = inOneThread(context);
    follower.allow({ answers: true, requests: false });
    assert.deepEqual(
      [appender.keeps('to_server', call(1)), appender.keeps('to_client', answer(1))],
      [false, true],
    );
    follower.allow(NONE);
    assert.equal(appender.keeps('to_client', answer(2)), false);
  });

  it('a sleeper is told of the next line once, and none sleeps while there is one', (context) => {
    const { appender, follower, woken } = inOneThread(context);
    assert.equal(follower.sleep(), true);
    for (const id of [1, 2]) assert.ok(appender.keeps('to_server', call(id)));
    assert.equal(woken(), 1);
    assert.equal(follower.sleep(), false);
  });

  it('no line goes once its leave is taken back, however fast they go, and none is lost or changed', async (context) => {
    const { memory, shared, follower, places } = followed(context);
    follower.allow(ALL);
    const [place] = places;
    assert.ok(place !== undefined);
    const over = new SharedArrayBuffer(4);
    const module = pathToFileURL(path.join(ROOT, 'test/support/capture/appending-thread.ts'));
    const workerData: AppendingThreadData = { memory, place, over };
    const thread = new Worker(threadModule(module), { workerData, execArgv: [] });
    let next = 0;
    const takeAll = (): void => {
      for (let lines = follower.take(64); lines.length > 0; lines = follower.take(64)) {
        for (const line of lines) assert.equal(idOf(line), next++);
        follower.looked(lines.length);
      }
    };
    const added = (): number => Atomics.load(shared.cells, CELL.added);
    while (added() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    for (let n = 0; n < 500; n++) {
      follower.allow(NONE);
      const gone = added();
      takeAll();
      assert.deepEqual([added(), next], [gone, gone]);
      follower.allow(ALL);
      const until = gone + (n % 3);
      while (added() < until) takeAll();
    }
    Atomics.store(new Int32Array(over), 0, 1);
    const [{ kept }] = (await once(thread, 'message')) as [{ readonly kept: number }];
    takeAll();
    assert.equal(next, kept);
  });
});
