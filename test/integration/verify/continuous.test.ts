/** Step verify over a real store: what somebody does to rows while the service runs is found, told once, and paged. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { zAlertLine, type AlertLine } from '../../../schemas/alert/v1.ts';
import { zConfig } from '../../../schemas/config/v1.ts';
import { splitLines } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import type { StepContext } from '../../../services/platform/step.ts';
import type { Signer } from '../../../services/record/ports.ts';
import { startVerify, type RunningVerify } from '../../../services/verify/main.ts';
import type { VerifiedSigner } from '../../../services/verify/ports.ts';
import { append, callLine, openBench, readAll, recordOf, runWriter } from '../record/harness.ts';
import type { Bench } from '../record/harness.ts';

const MUTATION = 'SETTINGS mutations_sync = 2';
const NEVER_MS = 3_600_000;

interface Times {
  readonly everyMs: number;
  readonly firstSweepAfterMs: number;
  readonly sweepEveryMs?: number;
}

interface Started {
  readonly run: RunningVerify;
  readonly metrics: Registry;
  /** Until then the signer tells what it told before. */
  hold(): Promise<void>;
  release(): void;
}

async function startOver(bench: Bench, times: Times): Promise<Started> {
  const metrics = new Registry();
  const config = zConfig.parse({ deployment: 'test', dataDir: bench.dir, verify: times });
  const { bus, store, dir: dataDir } = bench;
  const log = pino({ level: 'silent' });
  const producer = await bus.producer();
  const parts = { config, dataDir, clock: systemClock, log, metrics, bus, producer, store };
  let held: Awaited<ReturnType<Signer['heads']>> | undefined;
  const signer: VerifiedSigner = {
    heads: async () => held ?? (await bench.signer.heads()),
    state: (topic, partition) => bench.signer.state(topic, partition),
    publicKey: () => bench.signer.publicKey(),
  };
  return {
    run: startVerify(parts as unknown as StepContext, signer),
    metrics,
    hold: async () => void (held = await bench.signer.heads()),
    release: () => void (held = undefined),
  };
}

async function alertLines(bench: Bench): Promise<{ readonly bytes: string; readonly line: AlertLine }[]> {
  const found = [];
  const topic = TOPICS.alerts.name;
  for (const { partition, latest } of await bench.bus.offsets(topic)) {
    if (latest === 0) continue;
    for (const record of await readAll(bench.bus, partition, 0, topic))
      for (const line of splitLines(record.value ?? new Uint8Array(0))) {
        const bytes = Buffer.from(line).toString();
        found.push({ bytes, line: zAlertLine.parse(JSON.parse(bytes)) });
      }
  }
  return found;
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let at = 0; at < 1600; at += 1) {
    if (await holds()) return;
    await sleep(25);
  }
  assert.fail(what);
}

async function seed(bench: Bench, stream: string, firstSeq: number, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, at) => callLine(stream, firstSeq + at));
  await append(bench, [recordOf(stream, firstSeq, lines)]);
  await runWriter(bench, bench);
}

describe('the continuous verifier', () => {
  let bench: Bench;
  before(async () => {
    bench = await openBench();
    await seed(bench, 'a', 0, 4);
  });
  after(() => bench.close());

  it('follows what is signed, and finds a row that was edited before it came to it', async () => {
    const { run, metrics } = await startOver(bench, { everyMs: 100, firstSweepAfterMs: NEVER_MS });
    await until(() => run.ledger().state === 'sound', 'no pass');
    await seed(bench, 'a', 4, 2);
    await until(async () => (await metrics.metrics()).includes('{how="follow"} 2'), 'not read again');
    assert.deepEqual([run.ledger().state, run.ledger().unreadEntries], ['sound', 0]);
    await run.stop();

    const later = await startOver(bench, { everyMs: 100, firstSweepAfterMs: NEVER_MS });
    await until(() => later.run.ledger().state === 'sound', 'no pass');
    await later.hold();
    await seed(bench, 'a', 6, 2);
    await bench.store.command(`ALTER TABLE payloads UPDATE bytes = 'x' WHERE idx = 7 ${MUTATION}`);
    later.release();
    await until(() => later.run.ledger().state === 'faulty', 'not found');
    const [fault] = later.run.ledger().faults;
    assert.deepEqual(
      [fault?.code, fault?.index, fault?.offset, fault?.session, fault?.detail],
      ['payload_altered', 7, 2, 'session a', 'bytes'],
    );
    assert.match(later.run.health().detail, /^payload_altered: test\/.* index 7$/);
    assert.equal(later.run.health().ready, true);
    await sleep(700);
    await later.run.stop();
    const alerts = await alertLines(bench);
    assert.equal(alerts.length, 1, 'told once, however often it is read');
    const { alert, session } = alerts[0]!.line;
    assert.deepEqual(
      [alert.ruleId, alert.level, session],
      ['tripline.ledger-tampered', 'critical', 'session a'],
    );
    assert.deepEqual([alert.key['code'], alert.key['index']], ['payload_altered', '7']);
    assert.match(await later.metrics.metrics(), /tripline_ledger_faults 1/);
  });

  it('sweeps all that is stored, tells the same fault in the same bytes, and takes it back when it is mended', async () => {
    const { run } = await startOver(bench, { everyMs: 100, firstSweepAfterMs: 50, sweepEveryMs: 1000 });
    await until(() => run.ledger().sweptAtMs !== null, 'no sweep');
    assert.equal(run.ledger().faults[0]?.code, 'payload_altered');
    const alerts = await alertLines(bench);
    assert.equal(new Set(alerts.map(({ bytes }) => bytes)).size, 1);
    const line = callLine('a', 7);
    await bench.store.command(`ALTER TABLE payloads UPDATE bytes = '${line}' WHERE idx = 7 ${MUTATION}`);
    await until(() => run.ledger().state === 'sound', 'not taken back');
    assert.equal(run.ledger().sweptEntries, 8);
    await run.stop();
  });

  it('finds what was cut off, and a row that nobody signed', async () => {
    const cases = [
      [
        'INSERT INTO ledger SELECT log_id, idx + 100, type, leaf_hash, prev_leaf_hash, topic, partition, offset, line, append_ms, stream_id, seq, ev_hash, key_id, flags, tenant, session_id FROM ledger WHERE idx = 5',
        'row_unsigned',
        105,
      ],
      [`ALTER TABLE ledger DELETE WHERE idx >= 6 ${MUTATION}`, 'entry_missing', 6],
    ] as const;
    for (const [sql, code, index] of cases) {
      await bench.store.command(sql);
      const { run } = await startOver(bench, { everyMs: NEVER_MS, firstSweepAfterMs: 0 });
      await until(() => run.ledger().sweptAtMs !== null, 'no sweep');
      const [fault] = run.ledger().faults;
      assert.deepEqual([fault?.code, fault?.index], [code, index]);
      await run.stop();
    }
  });
});
