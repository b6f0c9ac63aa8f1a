import assert from 'node:assert/strict';
import test, { after, before, describe, it } from 'node:test';
import { TriplineError } from '../../../schemas/errors.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { PartitionWriter } from '../../../services/record/loop.ts';
import type { Signer } from '../../../services/record/ports.ts';
import {
  append,
  callLine,
  openBench,
  OWNED,
  readAll,
  recordOf,
  runWriter,
  SETTINGS,
  TOPIC,
  verified,
  type Bench,
} from '../../integration/record/harness.ts';

type Mode = 'not persisted' | 'persisted but reported failed';
const MODES: readonly Mode[] = ['not persisted', 'persisted but reported failed'];
const STEPS = ['reserve', 'payloads', 'events', 'dead_letters', 'ledger', 'commit'] as const;
type StepName = (typeof STEPS)[number];

/** Fails once, at one step, before or after it took effect. */
class Faults {
  readonly #at: StepName;
  readonly #mode: Mode;
  fired = false;

  constructor(at: StepName, mode: Mode) {
    this.#at = at;
    this.#mode = mode;
  }

  async around<Result>(step: string, act: () => Promise<Result>): Promise<Result> {
    if (this.fired || step !== this.#at) return act();
    this.fired = true;
    if (this.#mode === 'persisted but reported failed') await act();
    throw new TriplineError(step === 'reserve' || step === 'commit' ? 'unreachable' : 'store_timeout');
  }

  store(store: Store): Store {
    const insertBinary: Store['insertBinary'] = (insert) =>
      this.around(insert.table, () => store.insertBinary(insert));
    return new Proxy(store, {
      get: (target, name) => {
        if (name === 'insertBinary') return insertBinary;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  signer(signer: Signer): Signer {
    return {
      state: (topic, partition) => signer.state(topic, partition),
      reserve: (manifest) => this.around('reserve', () => signer.reserve(manifest)),
      commit: (manifest) => this.around('commit', () => signer.commit(manifest)),
      heads: () => signer.heads(),
      publicKey: () => signer.publicKey(),
    };
  }
}

async function seed(bench: Bench, partition = 0): Promise<void> {
  const first = [
    recordOf('a', 0, [callLine('a', 0), '{"broken"', callLine('a', 2)]),
    recordOf('b', 0, [callLine('b', 0)], { tenant: 'other' }),
  ];
  await append(bench, first, partition);
  await runWriter(bench, bench, { topic: TOPIC, partition });
  const second = [
    recordOf('a', 3, [callLine('a', 3), '{"broken"', callLine('a', 5)]),
    recordOf('b', 1, [callLine('b', 1)], { tenant: 'other' }),
  ];
  await append(bench, second, partition);
}

async function rows(bench: Bench, table: string, partition: number): Promise<number> {
  const [row] = await bench.store.query<{ rows: string }>(
    `SELECT toString(count()) AS rows FROM ${table}
     WHERE log_id IN (SELECT log_id FROM ledger WHERE partition = {partition:UInt32})`,
    { params: { partition } },
  );
  return Number(row?.rows);
}

async function expectWhole(bench: Bench, partition = 0): Promise<void> {
  const report = await verified(bench);
  assert.deepEqual([report.firstFault, report.exitCode, report.pending], [null, 10, 0]);
  const counts = ['ledger', 'payloads', 'events', 'dead_letters'].map((table) =>
    rows(bench, table, partition),
  );
  assert.deepEqual(await Promise.all(counts), [8, 8, 6, 2]);
}

describe('a write fails once', () => {
  let bench: Bench;
  before(async () => {
    bench = await openBench();
  });
  after(() => bench.close());

  const cases = STEPS.flatMap((step) => MODES.map((mode) => ({ step, mode })));
  for (const [partition, { step, mode }] of cases.entries()) {
    it(`${step}, ${mode}: the next life finishes the batch, nothing lost, nothing twice`, async () => {
      await seed(bench, partition);
      const faults = new Faults(step, mode);
      const ports = { store: faults.store(bench.store), signer: faults.signer(bench.signer) };
      const at = { topic: TOPIC, partition };
      await assert.rejects(
        runWriter(bench, ports, at),
        (error) => error instanceof TriplineError && error.retryable,
      );
      assert.ok(faults.fired);
      await runWriter(bench, bench, at);
      await expectWhole(bench, partition);
    });
  }
});

test('an insert whose token the store remembers and whose rows never came to be is made again', async () => {
  const bench = await openBench();
  try {
    for (const [partition, table] of (['payloads', 'events', 'dead_letters', 'ledger'] as const).entries()) {
      const at = { topic: TOPIC, partition };
      await seed(bench, partition);
      const faults = new Faults('commit', 'not persisted');
      const ports = { store: bench.store, signer: faults.signer(bench.signer) };
      await assert.rejects(runWriter(bench, ports, at));
      const whole = await rows(bench, table, partition);
      // As a part that could not be renamed leaves it: a token, no rows.
      const second = `partition = ${partition} AND offset >= 2`;
      const where =
        table === 'ledger' ? second : `(log_id, idx) IN (SELECT log_id, idx FROM ledger WHERE ${second})`;
      await bench.store.command(`ALTER TABLE ${table} DELETE WHERE ${where} SETTINGS mutations_sync = 2`);
      assert.ok((await rows(bench, table, partition)) < whole);
      await runWriter(bench, bench, at);
      await expectWhole(bench, partition);
    }
  } finally {
    await bench.close();
  }
});

test('two writers on one partition end with one ledger', async () => {
  const bench = await openBench();
  try {
    await seed(bench);
    const write = async (): Promise<void> => {
      const at = { topic: TOPIC, partition: 0 };
      const writer = new PartitionWriter(
        at,
        { ...bench, clock: systemClock },
        { ...SETTINGS, maxBatchEvents: 1 },
      );
      for (let attempt = 0; attempt < 10; attempt += 1) {
        try {
          await writer.start();
          await writer.onBatch({ records: await readAll(bench.bus) }, OWNED);
          return;
        } catch (error) {
          assert.ok(error instanceof TriplineError, String(error));
        }
      }
      assert.fail('a writer never came through');
    };
    await Promise.all([write(), write()]);
    await expectWhole(bench);
  } finally {
    await bench.close();
  }
});

test('no insert starts later than 10 s after its reserve, by the clock of the writer', async () => {
  const bench = await openBench();
  try {
    await append(bench, [recordOf('a', 0, [callLine('a', 0)])]);
    let asleepMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + asleepMs };
    const reserve: Signer['reserve'] = async (manifest) => {
      const outcome = await bench.signer.reserve(manifest);
      asleepMs = 10_001;
      return outcome;
    };
    const signer: Signer = {
      state: (topic, partition) => bench.signer.state(topic, partition),
      reserve,
      commit: (manifest) => bench.signer.commit(manifest),
      heads: () => bench.signer.heads(),
      publicKey: () => bench.signer.publicKey(),
    };
    const at = { topic: TOPIC, partition: 0 };
    const writer = new PartitionWriter(at, { bus: bench.bus, clock, store: bench.store, signer }, SETTINGS);
    await writer.start();
    const records = await readAll(bench.bus);
    await assert.rejects(writer.onBatch({ records }, OWNED), { code: 'ledger_reserved' });
    const written = await bench.store.query('SELECT 1 FROM payloads UNION ALL SELECT 1 FROM ledger');
    assert.equal(written.length, 0);
    await runWriter(bench, bench);
    assert.equal((await verified(bench)).exitCode, 10);
  } finally {
    await bench.close();
  }
});

test('a store that holds less than was signed is not signed over', async () => {
  const bench = await openBench();
  try {
    await seed(bench);
    await bench.store.command('ALTER TABLE ledger DELETE WHERE seq = 2 SETTINGS mutations_sync = 2');
    await assert.rejects(runWriter(bench, bench), { code: 'ledger_behind_head' });
  } finally {
    await bench.close();
  }
});

test('rows beyond the signed head that nobody reserved are an alarm', async () => {
  const bench = await openBench();
  try {
    await seed(bench);
    await bench.store.command(
      'INSERT INTO ledger SELECT log_id, idx + 100, type, leaf_hash, prev_leaf_hash, topic, partition, offset + 100, line, append_ms, stream_id, seq, ev_hash, key_id, flags, tenant, session_id FROM ledger WHERE seq = 2',
    );
    await assert.rejects(runWriter(bench, bench), { code: 'ledger_diverges' });
  } finally {
    await bench.close();
  }
});

test('a writer that starts cold knows the effective time of a stream whose clock was once before 1970', async () => {
  const bench = await openBench();
  try {
    await append(bench, [
      recordOf('a', 0, [callLine('a', 0, { time: '1960-01-01T00:00:00.000Z' }), callLine('a', 1)]),
    ]);
    await runWriter(bench, bench);
    // A life each: the engine compiles an aggregation only after it has run it some times.
    for (let seq = 2; seq < 8; seq += 1) {
      await append(bench, [recordOf('a', seq, [callLine('a', seq, { time: '2000-01-01T00:00:00.000Z' })])]);
      await runWriter(bench, bench);
    }
    const { firstFault, exitCode } = await verified(bench);
    assert.deepEqual([firstFault, exitCode], [null, 10]);
  } finally {
    await bench.close();
  }
});

test('a writer that starts cold reads the state of its streams back from the ledger', async () => {
  const bench = await openBench();
  try {
    await seed(bench);
    await runWriter(bench, bench);
    await append(bench, [
      recordOf('a', 0, [callLine('a', 0)]),
      recordOf('a', 2, [callLine('a', 2, { tool: 'other' })]),
      recordOf('a', 8, [callLine('a', 8)]),
    ]);
    await runWriter(bench, bench);
    const types = await bench.store.query<{ type: number; seq: string }>(
      'SELECT type, seq FROM ledger WHERE offset >= 4 ORDER BY idx',
    );
    assert.deepEqual(
      types.map(({ type, seq }) => [type, Number(seq)]),
      [
        [18, 2],
        [16, 6],
        [0, 8],
      ],
    );
    const report = await verified(bench);
    assert.deepEqual([report.firstFault, report.exitCode, report.gapCount], [null, 20, 1]);
    assert.deepEqual([report.gaps[0]?.firstSeq, report.gaps[0]?.lastSeq], [6, 7]);
  } finally {
    await bench.close();
  }
});
