/**
 * A real `tripline up` whose system calls fail with EIO while it records, one kind after the other (strace --inject), and
 * which is then killed: nothing acknowledged is lost, nothing is doubled, and its history goes on from where it was.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { TOPICS } from '../../../schemas/topics.ts';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { CALLS, StreamWriter, type Sent } from '../../support/scenario/events.ts';
import { assertStored } from '../../support/scenario/ledger.ts';
import { killAll, lastLines, tripline, up, type Tripline } from '../../support/scenario/tripline.ts';

/** The call, and which of its uses in each thread fail. */
const CASES = [
  ['fsync', '1..2'],
  ['fdatasync', '1..2'],
  ['openat', '3+7'],
  ['rename,renameat,renameat2', '1..2'],
  ['pwrite64', '2+5'],
  ['write', '40+40'],
] as const;
const INJECT_MS = 4_000;
const EVENTS_PER_CASE = 40;

function whyNot(): string | false {
  const tried = spawnSync('strace', ['-e', 'trace=none', 'true'], { stdio: 'ignore', timeout: 10_000 });
  if (tried.error !== undefined) return 'strace is not installed';
  return tried.status === 0 ? false : 'ptrace is not permitted here';
}

/** The process and those that it started. */
function family(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
      } catch {
        return false; // It has ended meanwhile.
      }
    });
  return [pid, ...children.map(Number)];
}

describe('system calls that fail', { skip: whyNot() }, () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-syscalls-'));
  const dataDir = join(root, 'data');
  const logFile = join(root, 'service.log');
  const configFile = join(root, 'tripline.json');
  const acknowledged: Sent[] = [];
  let service: Tripline;
  let cases = 0;

  const start = (): Tripline => up({ dataDir, configFile, logFile });
  before(() => {
    writeFileSync(configFile, JSON.stringify({ rules: { builtin: false } }));
    service = start();
  });
  after(async () => {
    await killAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Sends until it is acknowledged or the service is gone; the same bytes each time. */
  async function send(sent: Sent, untilMs: number): Promise<boolean> {
    const token = readFileSync(join(dataDir, 'producer.token'), 'utf8').trim();
    while (performance.now() < untilMs && service.running()) {
      try {
        const response = await fetch(`${await service.url}/v1/events`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
          body: sent.line,
          signal: AbortSignal.timeout(3_000),
        });
        if (response.status === 202) return true;
      } catch {
        // Gone, or too slow: its outcome is unknown.
      }
      await sleep(50);
    }
    return false;
  }

  async function withFaults(calls: string, when: string, act: () => Promise<void>): Promise<number> {
    const out = join(root, `strace-${cases}`);
    const pids = family(service.pid).flatMap((pid) => ['-p', String(pid)]);
    const inject = `inject=${calls}:error=EIO:when=${when}`;
    const strace = spawn('strace', ['-f', '-q', '-o', out, '-e', `trace=${calls}`, '-e', inject, ...pids], {
      stdio: 'ignore',
    });
    const ended = once(strace, 'exit');
    await sleep(500);
    await act();
    strace.kill('SIGINT');
    await ended;
    return readFileSync(out, 'utf8').split('(INJECTED)').length - 1;
  }

  async function expectWhole(kept: string | undefined): Promise<void> {
    const more = kept === undefined ? [] : ['--checkpoint', kept];
    const { code, items, stderr } = await tripline(['verify', ...more], { TRIPLINE_DATA_DIR: dataDir });
    assert.equal(code, 10, JSON.stringify(items) + stderr + lastLines(logFile));
    const store = await openChdbStore({
      dir: join(dataDir, 'clickhouse'),
      maxMemoryBytes: 1024 ** 3,
      queryTimeoutMs: 30_000,
      log: pino({ level: 'silent' }),
    });
    try {
      await assertStored(store, acknowledged, dataDir);
    } finally {
      await store.close();
    }
  }

  for (const [calls, when] of CASES)
    it(`${calls}: what was acknowledged is on record once, in one history`, async () => {
      cases += 1;
      await service.url;
      const checkpoint = join(dataDir, 'root-log/checkpoint');
      const kept = join(root, `kept-${cases}`);
      const isKept = cases > 1;
      if (isKept) writeFileSync(kept, readFileSync(checkpoint));
      const writer = new StreamWriter('default', `case-${cases}`);
      const events = Array.from({ length: EVENTS_PER_CASE }, () => writer.event(CALLS.search, Date.now()));
      const untilMs = performance.now() + INJECT_MS;
      let next = 0;
      const failed = await withFaults(calls, when, async () => {
        for (; next < events.length && (await send(events[next]!, untilMs)); next += 1)
          acknowledged.push(events[next]!);
        await sleep(Math.max(0, untilMs - performance.now()));
      });
      assert.ok(failed > 0, 'no call failed');
      await service.kill();
      service = start();
      await service.url;
      // What is not known to have arrived is sent again, as hosts do.
      for (const event of events.slice(next)) {
        assert.ok(await send(event, performance.now() + 30_000), lastLines(logFile));
        acknowledged.push(event);
      }
      await recorded();
      assert.equal(await service.stop(), 0);
      await expectWhole(isKept ? kept : undefined);
      service = start();
    });

  /** Until record has caught up with the bus. */
  async function recorded(): Promise<void> {
    const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
    for (let at = 0; at < 300; at += 1) {
      const response = await fetch(`${await service.url}/v1/ledger`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const { partitions } = (await response.json()) as {
        partitions: { topic: string; lag: number }[];
      };
      if (partitions.every(({ topic, lag }) => topic !== TOPICS.toolcalls.name || lag === 0)) return;
      await sleep(100);
    }
    assert.fail(lastLines(logFile));
  }
});
