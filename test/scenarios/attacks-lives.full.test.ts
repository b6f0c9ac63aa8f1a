/**
 * The threat table, second half (services/evidence/ATTACKS.md): attacks that need the log key, the bus, a producer or a moment of
 * the writer's life. Each happens in a copy of a real deployment, with copies of its witnesses.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { open } from 'lmdb';
import { encodeEventRecord } from '../../schemas/bus/record.ts';
import { HEADERS, LEDGER_TOPICS } from '../../schemas/topics.ts';
import { decodeRootLeaf } from '../../services/evidence/root-leaf.ts';
import { parseCheckpoint } from '../../services/evidence/tlog/checkpoint.ts';
import { decodeBundle } from '../../services/evidence/tlog/tiles.ts';
import { createAuditTrail } from '../../services/platform/audit/trail.ts';
import { EmbeddedStorage } from '../../services/platform/bus/embedded/storage.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { Bench, nextEvent, plainly } from '../support/attacks/bench.ts';
import { EVENTS, SESSION, TOPIC, type Life, type Outcome } from '../support/attacks/deployment.ts';
import { ATTACKS } from '../support/attacks/table.ts';
import { SigningProducer } from '../support/producers/signing.ts';

const OWN = `topic = '${TOPIC}' AND session_id = '${SESSION}'`;

describe('attacks on the life of a deployment', () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.restore());
  after(() => bench.deployment.close());

  it('append a row with the right link', async () => {
    // Recorded as it would be, in a copy of which nobody knows; then its signer's state is thrown away.
    const life = await bench.copy('appended');
    await bench.append(life, nextEvent());
    await life.record();
    const { report, peers } = await (await bench.deployment.sound()).verify();
    bench.expectRow('append-row', { report, peers }, { index: EVENTS, offset: 4, session: SESSION });
  });

  it('delete the tail and show the older head', async () => {
    const ahead = await bench.copy('ahead');
    await bench.append(ahead, nextEvent());
    await ahead.recordAll();
    const now = await ahead.verify();
    assert.deepEqual([now.report.exitCode, ahead.forks], [0, []]);
    const kept = readFileSync(join(ahead.dir, 'root-log/cosigned'), 'utf8');
    const { head } = await ahead.head();
    assert.equal(head.size, EVENTS + 1);
    // The operator puts the copy of before back.
    await bench.deployment.restore();
    const outcome = await (await bench.deployment.sound()).verify({ kept, keptHead: head });
    bench.expectRow('set-back', outcome);
    // It verifies as on its day for whoever kept nothing: that is what the witnesses are for.
    assert.equal((await (await bench.deployment.sound()).verify()).report.exitCode, 0);
    const back = await bench.copy('back', { witnessesOf: 'ahead' });
    await back.recordAll();
    assert.deepEqual(
      back.forks.map(({ status }) => status),
      [409, 409, 409],
    );
  });

  describe('rewrite all with the log key', () => {
    /** The same bus without what index 7 says, a fresh state, the real key. */
    async function rewritten(name: string): Promise<Life> {
      const life = await bench.copy(name, { parts: ['log.key', 'log.pub'] });
      const source = await bench.copy(`${name}-source`);
      await bench.deployment.sql('TRUNCATE TABLE ledger', 'TRUNCATE TABLE payloads', 'TRUNCATE TABLE events');
      const producer = await life.needBus().producer();
      for (const topic of LEDGER_TOPICS)
        for (const { partition, latest } of await source.needBus().offsets(topic)) {
          if (latest === 0) continue;
          for (const record of await source.records({ topic, partition })) {
            const text = Buffer.from(record.value ?? []).toString();
            const value = Buffer.from(
              record.offset === 2 && topic === TOPIC ? text.replace('invoices', 'receipts') : text,
            );
            // Nor does any record say what stood before it.
            const { [HEADERS.prev]: _, ...headers } = record.headers;
            await producer.send(topic, partition, [{ key: record.key, value, headers }]);
          }
        }
      await life.recordAll();
      return life;
    }

    it('is not cosigned, and contradicts what was kept', async () => {
      const life = await rewritten('rewritten');
      const fresh = await life.verify();
      assert.deepEqual([fresh.report.exitCode, fresh.report.verdict], [10, 'verified']);
      assert.equal(life.forks.length, 3);
      assert.ok(
        life.forks.every(
          ({ status, file }) => [409, 422].includes(status) && existsSync(join(life.dir, 'root-log', file)),
        ),
      );
      bench.expectRow('rewrite', await life.verify({ kept: bench.deployment.keptCheckpoint }));
    });

    it('is invalid beside the cosigned checkpoint of the history that it replaces', async () => {
      const life = await rewritten('shown');
      const { keptCheckpoint } = bench.deployment;
      const size = parseCheckpoint(keptCheckpoint)?.size ?? 0;
      // As long as the old one, so that the old note may stand beside it.
      for (let at = 0; life.root.sizes().size <= size; at += 1) {
        await bench.append(life, nextEvent(at));
        await life.record();
        life.root.moved();
        await life.root.epoch();
      }
      await life.signer.rootLedger.setCosigned({ size, note: keptCheckpoint });
      bench.expectRow('rewrite-shown', await life.verify());
    });
  });

  it('fork, split view', async () => {
    const first = await bench.copy('first', { asks: [0, 2] });
    await bench.append(first, nextEvent());
    await first.recordAll();
    const shown = await first.verify();
    assert.deepEqual([shown.report.exitCode, first.forks], [0, []]);
    const kept = readFileSync(join(first.dir, 'root-log/cosigned'), 'utf8');
    await bench.deployment.restore();
    const second = await bench.copy('second', { asks: [1, 2], witnessesOf: 'first' });
    await bench.append(second, nextEvent(0, { tool: 'another' }));
    await second.recordAll();
    // The one that both asked refuses; the one that saw only this history cosigns it, and that is one of two.
    assert.deepEqual(
      second.forks.map(({ witness }) => witness),
      ['w3'],
    );
    bench.expectRow('fork', await second.verify());
    assert.equal((await second.verify({ kept })).report.exitCode, 30);
  });

  it('replay', async () => {
    const life = await bench.copy('replayed');
    const [again] = await life.records();
    assert.ok(again);
    const producer = await life.needBus().producer();
    await producer.send(TOPIC, bench.deployment.victim.partition, [again]);
    await life.recordAll();
    const replayed = await life.verify();
    assert.deepEqual([replayed.report.exitCode, replayed.report.equivocations], [0, 0]);
    const size = (outcome: Outcome): number | undefined =>
      outcome.report.logs.find(({ origin }) => origin === bench.deployment.victim.origin)?.entries;
    assert.equal(size(replayed), EVENTS);
    const value = Buffer.from(
      Buffer.from(again.value ?? [])
        .toString()
        .replace('invoices', 'receipts'),
    );
    await producer.send(TOPIC, bench.deployment.victim.partition, [{ ...again, value }]);
    await life.recordAll();
    const forged = await life.verify();
    assert.ok(forged.report.equivocations >= 1);
    const contents = (await life.records()).flatMap(({ value: lines }) =>
      Buffer.from(lines ?? [])
        .toString()
        .split('\n'),
    );
    bench.expectRow('replay', { ...forged, peers: plainly(contents, EVENTS) });
  });

  it('back-date', async () => {
    const life = await bench.copy('dated');
    for (const at of [0, 1]) {
      await bench.append(life, nextEvent(at));
      await life.recordAll();
    }
    const honest = await life.verify();
    assert.deepEqual([honest.report.exitCode, honest.report.firstFault], [0, null]);
    assert.ok((honest.report.notBefore?.checked ?? 0) + (honest.report.notBefore?.unknown ?? 0) > 0);
    const note = bench.deployment.keptCheckpoint;
    // Its files name their owner while they are open.
    await life.bus?.close();
    life.bus = undefined;
    const dated = await bench.copy('back-dated', {
      of: 'dated',
      edit: async (dataDir) => {
        const database = open({ path: join(dataDir, 'signer.lmdb'), noSubdir: false, compression: false });
        await database.put(['root-cosigned'], { size: parseCheckpoint(note)?.size, note });
        await database.close();
      },
    });
    await bench.append(dated, nextEvent(2));
    await dated.recordAll();
    const outcome = await dated.verify();
    bench.expectRow('back-date', outcome);
    assert.equal(outcome.report.firstFault?.detail, 'not_before');
  });

  it('producer impersonation', async () => {
    const life = await bench.copy('impersonated');
    const stream = 'ee'.repeat(16);
    const line = JSON.stringify({ ...JSON.parse(nextEvent().line), stream, seq: 0 });
    const who = { tenant: 'default', session: SESSION, stream };
    const { message } = new SigningProducer().record(who, 0, [line]);
    const producer = await life.needBus().producer();
    await producer.send(TOPIC, bench.deployment.victim.partition, [message]);
    await life.recordAll();
    const outcome = await life.verify();
    bench.expectRow('impersonate', outcome);
    const { signed, unregistered, unsigned } = outcome.report.producers;
    assert.deepEqual({ signed, unregistered, unsigned }, { signed: 0, unregistered: 1, unsigned: EVENTS });
  });

  it('erasure that an ERASURE entry names', async () => {
    const life = await bench.copy('erased');
    const bus = life.needBus();
    const producer = await bus.producer();
    const trail = createAuditTrail({ bus, producer, clock: systemClock, randomBytes });
    const id = 'ab'.repeat(16);
    const logs = [{ log: bench.deployment.victim.logId, indexes: '7' }];
    const erasure = { id, by: 'principal', logs } as const;
    const who = { actor: 'dpo', role: 'admin', target: id, reason: 'request 17', outcome: 'ok' } as const;
    await trail.record('default', { action: 'erasure', ...who, erasure });
    await life.recordAll();
    await bench.deployment.sql(...bench.asErased(7));
    const outcome = await life.verify();
    bench.expectRow('erase-lawful', outcome);
    assert.deepEqual([outcome.report.erased, outcome.report.erasures], [1, 1]);
  });

  it('silent end of a stream', async () => {
    const life = await bench.copy('silent');
    const producer = await life.needBus().producer();
    const stream = 'dd'.repeat(16);
    const opening = { ...JSON.parse(nextEvent().line), kind: 'stream.open', stream, seq: 0 };
    const call = { ...JSON.parse(nextEvent().line), stream, seq: 1 };
    const { victim } = bench.deployment;
    const lines = [opening, call].map((event) => Buffer.from(JSON.stringify(event)));
    const first = encodeEventRecord({ tenant: 'default', session: SESSION, stream, firstSeq: 0, lines });
    await producer.send(TOPIC, victim.partition, [first]);
    await life.recordAll();
    assert.equal((await life.verify()).report.exitCode, 0, 'it may still go on');
    // Three heartbeats of 30 s later others go on.
    await life.bus?.close();
    await life.reopenBus({ ...systemClock, nowMs: () => systemClock.nowMs() + 91_000 });
    await bench.append(life, nextEvent());
    await life.recordAll();
    const { report } = await life.verify();
    const contents = Array.from({ length: EVENTS + 3 }, (_, at) => `event ${at}`);
    bench.expectRow('silent-end', { report, peers: plainly(contents, EVENTS) });
    const [end] = report.producers.openEnds;
    assert.deepEqual([report.producers.openEndCount, end?.stream, end?.nextSeq], [1, stream, 2]);
  });

  it('drop before ingest', async () => {
    const life = await bench.copy('dropped');
    await bench.append(life, nextEvent(1));
    await life.recordAll();
    const { report } = await life.verify();
    const contents = Array.from({ length: EVENTS + 1 }, (_, at) => `event ${at}`);
    bench.expectRow('drop', { report, peers: plainly(contents, EVENTS) });
    const { stream } = nextEvent();
    const [gap] = report.gaps;
    assert.deepEqual(
      [report.gapCount, gap?.stream, gap?.firstSeq, gap?.lastSeq],
      [1, stream, EVENTS, EVENTS],
    );
  });

  it('crash in mid-batch', async () => {
    const life = await bench.copy('crashed');
    await bench.append(life, nextEvent());
    await bench.append(life, nextEvent(1));
    const { store } = bench.deployment;
    const dying: Store = Object.assign(Object.create(store) as Store, {
      query: store.query.bind(store),
      insertBinary: async (insert: Parameters<Store['insertBinary']>[0]) => {
        await store.insertBinary(insert);
        if (insert.table === 'ledger') throw new Error('the process died here');
      },
    });
    await assert.rejects(life.record(life.place(), { store: dying }), /died here/);
    const [left] = await store.query<{ rows: string }>(
      `SELECT toString(count()) AS rows FROM ledger WHERE ${OWN}`,
    );
    assert.equal(left?.rows, String(EVENTS + 2), 'the rows are there, unsigned');
    await life.recordAll();
    const outcome = await life.verify();
    const [now] = await store.query<{ rows: string; different: string }>(
      `SELECT toString(count()) AS rows, toString(uniqExact(seq)) AS different FROM ledger WHERE ${OWN}`,
    );
    assert.deepEqual(now, { rows: String(EVENTS + 2), different: String(EVENTS + 2) });
    // One that commits its offset after its write writes again what it does not know that it wrote.
    const contents = Array.from({ length: EVENTS + 2 }, (_, at) => `event ${at}`);
    bench.expectRow('crash', { ...outcome, peers: plainly([...contents, ...contents.slice(-2)], EVENTS) });
  });

  it('partial loss of the bus', async () => {
    const life = await bench.copy('lost');
    for (const at of [0, 1, 2]) await bench.append(life, nextEvent(at));
    await life.bus?.close();
    const storage = new EmbeddedStorage(join(life.dir, 'bus'));
    const topic = storage.topics().get(TOPIC);
    assert.ok(topic);
    const partitionId = topic.id * 2 ** 16 + bench.deployment.victim.partition;
    await storage.removeBlocks(partitionId, [5], 7);
    await storage.close();
    await life.reopenBus();
    await assert.rejects(life.record(), { code: 'bus_offset_lost' });
    await life.signer.report?.({
      code: 'bus_offset_lost',
      ...life.place(),
      detail: 'goes on at 6 instead of 5',
    });
    life.root.moved();
    await life.root.epoch();
    await life.root.cosign();
    const { report } = await life.verify();
    const { head } = await life.head();
    assert.equal(head.size, EVENTS + 1, 'up to the hole');
    const contents = [...Array(EVENTS).keys(), EVENTS, EVENTS + 2].map((at) => `event ${at}`);
    bench.tried.add('bus-loss');
    const row = ATTACKS.find(({ id }) => id === 'bus-loss');
    assert.ok(row);
    assert.equal(report.exitCode, row.ours.exit);
    assert.deepEqual(plainly(contents, EVENTS), { chain: row.chain, tree: row.tree, keeper: row.keeper });
    const bundle = await life.root.read(`tile/entries/000.p/${life.root.sizes().size}`);
    const leaves = (decodeBundle(bundle ?? new Uint8Array(0)) ?? []).map((leaf) => decodeRootLeaf(leaf));
    assert.ok(leaves.some((leaf) => leaf?.type === 'finding' && leaf.code === 'bus_offset_lost'));
    const decision = { actor: 'ops', reason: 'disk replaced' };
    await life.signer.acceptLoss?.({ ...life.place(), fromOffset: 5, toOffset: 6, ...decision });
    await life.recordAll();
    const accepted = await life.verify();
    assert.deepEqual([accepted.report.exitCode, accepted.report.losses], [20, 1]);
  });

  it('is all that the table says of this suite', () => bench.expectAll('lives'));
});
