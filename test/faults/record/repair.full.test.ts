/** Rows that are lost come back exactly as they were, wherever a repair is cut off; and only where the signed heads prove them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TriplineError } from '../../../schemas/errors.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import type { SignedPartition } from '../../../services/record/repair/holes.ts';
import { planRepair, type PartitionPlan } from '../../../services/record/repair/repair.ts';
import {
  append,
  callLine,
  openBench,
  recordOf,
  runWriter,
  SETTINGS,
  TOPIC,
  verified,
  type Bench,
} from '../../integration/record/harness.ts';

const TABLES = ['ledger', 'payloads', 'events', 'dead_letters'] as const;
type Table = (typeof TABLES)[number];

/** Two tenants; an unreadable line, a gap, something late, an equivocation, a repeat; cut into records that share streams. */
async function seed(bench: Bench, partition: number): Promise<void> {
  const name = (stream: string): string => `${stream}${partition}`;
  const [a, b] = [name('a'), name('b')];
  const lines = [
    recordOf(a, 0, [callLine(a, 0), '{"broken"', callLine(a, 2)]),
    recordOf(b, 0, [callLine(b, 0)], { tenant: 'other' }),
    recordOf(a, 3, [callLine(a, 3), callLine(a, 4)]),
    recordOf(a, 6, [callLine(a, 6)]),
    recordOf(b, 1, [callLine(b, 1), callLine(b, 2)], { tenant: 'other' }),
    recordOf(a, 5, [callLine(a, 5)]),
    recordOf(a, 4, [callLine(a, 4, { tool: 'other' })]),
    recordOf(a, 6, [callLine(a, 6)]),
    recordOf(a, 7, [callLine(a, 7)]),
  ];
  for (const line of lines) {
    await append(bench, [line], partition);
    await runWriter(bench, bench, { topic: TOPIC, partition });
  }
}

async function logsOf(bench: Bench, partition: number): Promise<SignedPartition> {
  const found = (await bench.signer.heads()).find(
    (one) => one.topic === TOPIC && one.partition === partition,
  );
  assert.ok(found);
  return found;
}

/** Every column of every row of the partition's logs. */
async function contents(bench: Bench, at: SignedPartition): Promise<Record<Table, readonly string[]>> {
  const logs = at.heads.map(({ logId }) => `unhex('${logId}')`).join(', ');
  const rowsOf = async (table: Table): Promise<readonly string[]> => {
    const rows = await bench.store.query<{ row: string }>(
      `SELECT formatRowNoNewline('JSONEachRow', *) AS row FROM ${table} WHERE log_id IN (${logs}) ORDER BY log_id, idx`,
    );
    return rows.map(({ row }) => row);
  };
  return {
    ledger: await rowsOf('ledger'),
    payloads: await rowsOf('payloads'),
    events: await rowsOf('events'),
    dead_letters: await rowsOf('dead_letters'),
  };
}

async function remove(bench: Bench, table: Table, where: string): Promise<void> {
  await bench.store.command(`ALTER TABLE ${table} DELETE WHERE ${where} SETTINGS mutations_sync = 2`);
}

async function lose(
  bench: Bench,
  at: SignedPartition,
  condition: string,
  tables: readonly Table[] = TABLES,
): Promise<void> {
  const logs = at.heads.map(({ logId }) => `unhex('${logId}')`).join(', ');
  for (const table of tables) await remove(bench, table, `log_id IN (${logs}) AND ${condition}`);
}

/** As what the ledger holds and what the bus holds go by: no keys, as the writer of the bench. */
const plan = (bench: Bench, at: SignedPartition, store: Store = bench.store): Promise<PartitionPlan> =>
  planRepair({ bus: bench.bus, store, keys: undefined }, SETTINGS, { at, onlyEntries: false });

const total = (parts: PartitionPlan['repairable']): number => parts.reduce((sum, { rows }) => sum + rows, 0);

/** Fails at the insert of this number, before or after it took effect. */
function failingAt(store: Store, at: number, isPersisted: boolean) {
  const state = { inserts: 0 };
  const insertBinary: Store['insertBinary'] = async (insert) => {
    state.inserts += 1;
    if (state.inserts !== at) return await store.insertBinary(insert);
    if (isPersisted) await store.insertBinary(insert);
    throw new TriplineError('store_timeout');
  };
  const faulty = new Proxy(store, {
    get: (target, name) => {
      if (name === 'insertBinary') return insertBinary;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { faulty, state };
}

/** Two entries, and some more by the bits of `n`: the store remembers the tokens of the same rows. */
function lossOf(n: number): string {
  const more = [0, 3, 4, 5, 7, 8].filter((_, bit) => (n & (1 << bit)) !== 0);
  return `idx IN (${[2, 6, ...more].join(', ')})`;
}

describe('rows that are lost', () => {
  let bench: Bench;
  let partition = -1;
  let at: SignedPartition;
  let whole: Record<Table, readonly string[]>;
  before(async () => {
    bench = await openBench();
  });
  after(() => bench.close());

  async function fresh(): Promise<void> {
    partition += 1;
    await seed(bench, partition);
    at = await logsOf(bench, partition);
    whole = await contents(bench, at);
    assert.ok(whole.ledger.length === 13 && whole.dead_letters.length === 1, String(whole.ledger.length));
  }

  const LOSSES: readonly (readonly [string, string, (readonly Table[])?])[] = [
    ['in the middle', 'idx BETWEEN 2 AND 4'],
    ['at the start', 'idx < 2'],
    ['at the end', 'idx >= 6'],
    ['here and there', 'idx IN (0, 3, 5, 9)'],
    ['all of them', 'idx >= 0'],
    ['in ledger alone', 'idx IN (1, 4, 8)', ['ledger']],
    ['beside it alone', 'idx IN (1, 2, 7)', ['payloads', 'events', 'dead_letters']],
  ];
  for (const [where, condition, tables] of LOSSES)
    it(`${where}: they are again what they were, and no more`, async () => {
      await fresh();
      await lose(bench, at, condition, tables);
      const left = await contents(bench, at);
      const lost = TABLES.reduce((sum, table) => sum + whole[table].length - left[table].length, 0);
      const planned = await plan(bench, at);
      assert.deepEqual([total(planned.repairable), planned.left], [lost, []]);
      assert.deepEqual(await contents(bench, at), left, 'a plan changes nothing');
      assert.equal(await planned.apply(), lost);
      assert.deepEqual(await contents(bench, at), whole);
      assert.equal((await verified(bench)).exitCode, 10);
      const again = await plan(bench, at);
      assert.deepEqual([again.repairable, again.left, await again.apply()], [[], [], 0]);
      if (where !== 'in the middle') return;
      // The store remembers the tokens of rows that it lost twice.
      await lose(bench, at, condition, tables);
      await (await plan(bench, at)).apply();
      assert.deepEqual(await contents(bench, at), whole);
    });

  it('do not come back while an erasure is at work', async () => {
    await fresh();
    await lose(bench, at, 'idx >= 0');
    const left = await contents(bench, at);
    const take = () => Promise.reject(new TriplineError('erasure_under_way'));
    const ports = { bus: bench.bus, store: bench.store, keys: undefined, turns: { take } };
    const planned = await planRepair(ports, SETTINGS, { at, onlyEntries: false });
    await assert.rejects(planned.apply(), { code: 'erasure_under_way' });
    assert.deepEqual(await contents(bench, at), left);
    await (await plan(bench, at)).apply();
    assert.deepEqual(await contents(bench, at), whole);
  });

  it('come back once, wherever the repair was cut off', async () => {
    await fresh();
    let failed = 0;
    let losses = 0;
    for (const isPersisted of [false, true])
      for (let insert = 1; ; insert += 1) {
        await lose(bench, at, lossOf(losses++));
        const { faulty, state } = failingAt(bench.store, insert, isPersisted);
        const outcome = await (await plan(bench, at, faulty)).apply().catch((error: unknown) => error);
        const { inserts } = state;
        await (await plan(bench, at)).apply();
        assert.deepEqual(await contents(bench, at), whole, `insert ${insert}`);
        if (inserts < insert) break;
        assert.ok(outcome instanceof TriplineError);
        failed += 1;
      }
    assert.ok(failed >= 6, String(failed));
    assert.equal((await verified(bench)).exitCode, 10);
  });

  it('do not come back below a row that was altered, and the place is told', async () => {
    await fresh();
    const [first] = at.heads.toSorted((one, other) => other.size - one.size);
    assert.ok(first);
    const own = `log_id = unhex('${first.logId}')`;
    await remove(bench, 'ledger', `${own} AND idx = 2`);
    await bench.store.command(
      `ALTER TABLE ledger UPDATE flags = 7 WHERE ${own} AND idx = 7 SETTINGS mutations_sync = 2`,
    );
    const left = await contents(bench, at);
    const planned = await plan(bench, at);
    assert.deepEqual(planned.repairable, []);
    assert.deepEqual(
      planned.left.map(({ table, indexes, reason, at: place }) => [table, indexes, reason, place]),
      [['ledger', '2', 'not_proven', 7]],
    );
    assert.equal(await planned.apply(), 0);
    assert.deepEqual(await contents(bench, at), left);
  });

  it('come back without what was said where nobody knows what was erased', async () => {
    await fresh();
    await lose(bench, at, 'idx = 0');
    const ports = { bus: bench.bus, store: bench.store, keys: undefined };
    const planned = await planRepair(ports, SETTINGS, { at, onlyEntries: true });
    assert.deepEqual([...new Set(planned.repairable.map(({ table }) => table))], ['ledger']);
    assert.ok(planned.left.length > 0 && planned.left.every(({ reason }) => reason === 'erasure_unknown'));
    await planned.apply();
    const now = await contents(bench, at);
    assert.deepEqual([now.ledger, now.payloads.length], [whole.ledger, whole.payloads.length - 2]);
    await (await plan(bench, at)).apply();
    assert.deepEqual(await contents(bench, at), whole);
  });

  it('do not come back out of a bus that says something else', async () => {
    await fresh();
    await lose(bench, at, 'idx BETWEEN 2 AND 4');
    const read: Bench['bus']['read'] = async function* (what) {
      for await (const records of bench.bus.read(what))
        yield records.map((record) => {
          const value = Buffer.from(
            Buffer.from(record.value ?? [])
              .toString()
              .replaceAll('agent ü', 'agent û'),
          );
          return { ...record, value };
        });
    };
    const bus = { offsets: (topic: string) => bench.bus.offsets(topic), read };
    const planned = await planRepair({ bus, store: bench.store, keys: undefined }, SETTINGS, {
      at,
      onlyEntries: false,
    });
    assert.deepEqual(planned.repairable, []);
    assert.ok(planned.left.length > 0 && planned.left.every(({ reason }) => reason !== 'gone_from_bus'));
  });

  it('that the bus does not hold any more stay missing, and those above them come back', async () => {
    await fresh();
    await lose(bench, at, 'idx IN (0, 1, 8)');
    const bus = {
      offsets: async (topic: string) =>
        (await bench.bus.offsets(topic)).map((one) => ({ ...one, earliest: Math.min(4, one.latest) })),
      read: (what: Parameters<Bench['bus']['read']>[0]) => {
        assert.ok(what.from >= 4);
        return bench.bus.read(what);
      },
    };
    const planned = await planRepair({ bus, store: bench.store, keys: undefined }, SETTINGS, {
      at,
      onlyEntries: false,
    });
    assert.ok(
      planned.left.every(({ reason, indexes }) => reason === 'gone_from_bus' && /^[01](-1)?$/u.test(indexes)),
    );
    assert.ok(planned.repairable.length > 0 && planned.repairable.every(({ indexes }) => indexes === '8'));
    await planned.apply();
    const now = await contents(bench, at);
    assert.equal(now.ledger.length, whole.ledger.length - 4);
  });
});
