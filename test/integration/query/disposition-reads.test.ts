/** What listings make of the rows of `dispositions`, over both store drivers: rows as record encodes them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { RowWriter } from '../../../services/evidence/row-binary.ts';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { openClickHouseStore } from '../../../services/platform/store/clickhouse/open.ts';
import { migrate } from '../../../services/platform/store/migrate.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { alertsOfSession, listAlerts } from '../../../services/query/alerts.ts';
import { zAlertQuery } from '../../../services/query/filters.ts';
import { DISPOSITION_COLUMNS, writeDispositionRow } from '../../../services/record/tables.ts';
import { startClickHouseHttp } from '../../support/clickhouse-http/start.ts';

const HOSTILE = "it's ours'; DROP TABLE alerts; -- \n\t\u0000";

type Item = Readonly<Record<string, unknown>>;

/** Alerts 1 to 4 of tenant a, and 1 of tenant b: the id that only a forger gives twice. */
const ALERTS = ['a/1', 'a/2', 'a/3', 'a/4', 'b/1'].map((name) => {
  const [tenant, id] = name.split('/');
  return {
    tenant,
    alert_id: id,
    rule_id: 'chain.test',
    level: 'high',
    session_id: 's',
    effective_time: `2026-01-31 12:00:0${id}.000`,
    append_time: '2026-01-31 12:00:09.000',
    body: JSON.stringify({ id, calls: [] }),
  };
});

/** (tenant, alert, disposition) by index in the log of the tenant. Times run against the order: the order counts. */
const SAID = [
  ['a', '1', 'true_positive'],
  ['a', '2', 'undetermined'],
  ['a', '1', 'false_positive'],
  ['a', '3', 'benign_true_positive'],
  ['b', '1', 'true_positive'],
] as const;

/** A page as large as pages get, of ids as long as ids are. */
const MANY = Array.from({ length: 1000 }, (_, index) => index.toString(16).padStart(64, '0'));
const rowOf = (id: string, index: number): Item => ({
  tenant: 'many',
  alert_id: id,
  effective_time: '2026-01-31 12:00:00.000',
  append_time: '2026-01-31 12:00:00.000',
  body: '{}',
  idx: index,
});

async function seed(store: Store): Promise<void> {
  await migrate(store, 'tripline');
  await store.insertRows('alerts', [...ALERTS, ...MANY.map(rowOf)]);
  const saidOfMany = { tenant: 'many', disposition: 'undetermined', event_time: '2026-02-01 12:00:00.000' };
  const manyRows = MANY.map((id, idx) => ({ ...saidOfMany, alert_id: id, reason: id, idx }));
  await store.insertRows('dispositions', manyRows);
  const rows = new RowWriter(64);
  for (const [index, [tenant, alert, disposition]] of SAID.entries()) {
    const logId = Buffer.alloc(32, tenant);
    const at = { tenant, logId, index, topic: 't', partition: 0, offset: 0, line: 0, seq: 0 };
    const stream = Buffer.alloc(16);
    writeDispositionRow(
      rows,
      { ...at, stream, appendMs: Date.parse('2026-02-01T00:00:00Z') },
      {
        alert_id: alert,
        rule_id: 'chain.test',
        disposition,
        reason: `${HOSTILE}${index}`,
        actor: 'ana',
        role: 'analyst',
        event_time: Date.parse('2026-02-01T12:00:00Z') - index * 1000,
      },
    );
  }
  const columns = DISPOSITION_COLUMNS;
  await store.insertBinary({
    table: 'dispositions',
    columns,
    data: rows.bytes(),
    rows: rows.rows,
    token: 'seed',
  });
}

async function listed(store: Store, tenant: string, query: Item): Promise<readonly Item[]> {
  return (await listAlerts(store, tenant, zAlertQuery.parse(query))).items;
}
const names = (items: readonly Item[]): string[] =>
  items.map((item) => `${String(item['tenant'])}/${String(item['id'])}`);

function dispositionReads(driver: string, open: () => Promise<[Store, () => Promise<void>]>): void {
  describe(`dispositions over ${driver}`, () => {
    let store: Store;
    let close: () => Promise<void>;
    before(async () => {
      [store, close] = await open();
      await seed(store);
    });
    after(async () => await close());

    it('the latest entry of the log is the disposition, with its own words; without one it is null', async () => {
      const items = await listed(store, 'a', {});
      assert.deepEqual(names(items), ['a/4', 'a/3', 'a/2', 'a/1']);
      assert.deepEqual(
        items.map((item) => item['disposition']),
        [
          null,
          {
            value: 'benign_true_positive',
            reason: `${HOSTILE}3`,
            actor: 'ana',
            time: '2026-02-01T11:59:57.000Z',
          },
          { value: 'undetermined', reason: `${HOSTILE}1`, actor: 'ana', time: '2026-02-01T11:59:59.000Z' },
          { value: 'false_positive', reason: `${HOSTILE}2`, actor: 'ana', time: '2026-02-01T11:59:58.000Z' },
        ],
      );
    });

    it('the filter takes the latest one only, and `none` those without any', async () => {
      const by = async (tenant: string, disposition: string): Promise<string[]> =>
        names(await listed(store, tenant, { disposition }));
      assert.deepEqual(await by('a', 'true_positive'), []);
      assert.deepEqual(await by('a', 'false_positive'), ['a/1']);
      assert.deepEqual(await by('a', 'undetermined'), ['a/2']);
      assert.deepEqual(await by('a', 'benign_true_positive'), ['a/3']);
      assert.deepEqual(await by('a', 'none'), ['a/4']);
    });

    it('what one tenant says of an id is nothing that another tenant has said', async () => {
      const [item = {}] = await listed(store, 'b', {});
      assert.equal((item['disposition'] as Item)['value'], 'true_positive');
      const all = await listed(store, '*', { disposition: 'true_positive' });
      assert.deepEqual(names(all), ['b/1']);
      assert.deepEqual(names(await listed(store, 'b', { disposition: 'none' })), []);
    });

    it('a page of a thousand alerts has them all', async () => {
      const items = await listed(store, 'many', { limit: 1000 });
      assert.deepEqual(
        items.map((item) => (item['disposition'] as Item)['reason']),
        MANY.toReversed(),
      );
    });

    it('a session shows it with its alerts', async () => {
      const items = await alertsOfSession(store, 'a', 's', 10);
      assert.deepEqual(
        items.map((item) => (item['disposition'] as Item | null)?.['value']),
        [undefined, 'benign_true_positive', 'undetermined', 'false_positive'],
      );
    });

    it('goes with the other filters, page by page', async () => {
      const query = zAlertQuery.parse({ disposition: 'none', level: 'high', rule: 'chain.test' });
      assert.deepEqual(names((await listAlerts(store, '*', query)).items), ['a/4']);
      const first = await listAlerts(store, 'a', zAlertQuery.parse({ limit: 2 }));
      const second = await listAlerts(store, 'a', zAlertQuery.parse({ limit: 2, cursor: first.nextCursor }));
      assert.deepEqual(
        second.items.map((item) => (item['disposition'] as Item)['value']),
        ['undetermined', 'false_positive'],
      );
    });
  });
}

dispositionReads('chdb', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-said-'));
  const log = pino({ level: 'silent' });
  const store = await openChdbStore({ dir, maxMemoryBytes: 1_000_000_000, queryTimeoutMs: 20_000, log });
  const close = async (): Promise<void> => {
    await store.close();
    rmSync(dir, { recursive: true });
  };
  return [store, close];
});

dispositionReads('clickhouse', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-said-http-'));
  const front = await startClickHouseHttp({ dir });
  const at = { url: front.url, username: 'default', database: 'tripline', queryTimeoutMs: 20_000 };
  const store = await openClickHouseStore(at);
  const close = async (): Promise<void> => {
    await store.close();
    await front.kill();
    rmSync(dir, { recursive: true, force: true });
  };
  return [store, close];
});
