/** A disposition is one line of topic audit and one row, however often the line is delivered or its batch is begun again. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TriplineError } from '../../../schemas/errors.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { BinaryInsert, Store } from '../../../services/platform/store/port.ts';
import {
  append,
  openBench,
  recordOf,
  runWriter,
  streamOf,
  verified,
  type Bench,
} from '../../integration/record/harness.ts';

const ALERT = 'ab'.repeat(32);
const AT = { topic: TOPICS.audit.name, partition: 0 };

interface Audit {
  readonly action?: string;
  readonly outcome?: string;
  readonly target?: string;
  readonly details?: Readonly<Record<string, string>>;
}

function auditLine(stream: string, seq: number, audit: Audit): string {
  return JSON.stringify({
    v: 1,
    kind: 'audit',
    stream: streamOf(stream),
    seq,
    nonce: streamOf(`${stream}/${seq}`),
    time: `2026-11-23T12:00:0${seq}.000Z`,
    session: 'tripline',
    agent: 'tripline-service',
    audit: {
      action: 'alert.disposition',
      actor: 'ana',
      role: 'analyst',
      target: ALERT,
      reason: 'looked into it',
      outcome: 'ok',
      ...audit,
    },
  });
}

const said = (disposition: string): Audit => ({ details: { disposition, rule: 'chain.test' } });

interface Row {
  readonly alert_id: string;
  readonly disposition: string;
  readonly idx: string;
}
const rowsOf = (store: Store): Promise<Row[]> =>
  store.query('SELECT alert_id, disposition, toString(idx) AS idx FROM dispositions ORDER BY idx');

/** Fails the insert into one table once, after it took effect or before. */
function failingOnce(store: Store, table: string, persisted: boolean): Store {
  let fired = false;
  const insertBinary = async (insert: BinaryInsert): Promise<void> => {
    const fails = insert.table === table && !fired;
    if (!fails || persisted) await store.insertBinary(insert);
    if (!fails) return;
    fired = true;
    throw new TriplineError('store_timeout');
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'insertBinary') return insertBinary;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('dispositions on record', () => {
  let bench: Bench;
  before(async () => {
    bench = await openBench();
  });
  after(() => bench.close());

  it('are the audit events that say one; all others have no row', async () => {
    const lines = [
      auditLine('a', 0, said('false_positive')),
      auditLine('a', 1, { action: 'read', target: '/v1/alerts' }),
      auditLine('a', 2, { ...said('true_positive'), outcome: 'denied' }),
      auditLine('a', 3, said('of another version')),
      auditLine('a', 4, said('true_positive')),
    ];
    await append(bench, [recordOf('a', 0, lines)], AT.partition, AT.topic);
    await runWriter(bench, bench, AT);
    assert.deepEqual(await rowsOf(bench.store), [
      { alert_id: ALERT, disposition: 'false_positive', idx: '0' },
      { alert_id: ALERT, disposition: 'true_positive', idx: '4' },
    ]);
  });

  it('delivered a second time, in the next batch or a later life, write nothing more', async () => {
    const earlier = await rowsOf(bench.store);
    const again = recordOf('a', 0, [auditLine('a', 0, said('false_positive'))]);
    await append(bench, [again, again], AT.partition, AT.topic);
    await runWriter(bench, bench, AT);
    await runWriter(bench, bench, AT);
    assert.deepEqual(await rowsOf(bench.store), earlier);
  });

  for (const [seq, table] of ['dispositions', 'ledger'].entries()) {
    for (const persisted of [false, true]) {
      it(`are written once where record ends at ${table} (${persisted ? 'written' : 'not written'}) and starts again`, async () => {
        const stream = `${table} ${persisted}`;
        const line = auditLine(stream, 0, { ...said('undetermined'), target: String(seq) });
        await append(bench, [recordOf(stream, 0, [line])], AT.partition, AT.topic);
        const store = failingOnce(bench.store, table, persisted);
        const earlier = (await rowsOf(bench.store)).length;
        await assert.rejects(runWriter(bench, { store, signer: bench.signer }, AT));
        await runWriter(bench, bench, AT);
        await runWriter(bench, bench, AT);
        assert.equal((await rowsOf(bench.store)).length, earlier + 1);
        assert.equal((await verified(bench)).firstFault, null);
      });
    }
  }
});
