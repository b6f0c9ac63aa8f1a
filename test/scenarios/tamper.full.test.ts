/** `tripline verify` on a stopped data directory finds what somebody with write access to the store has done. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { TOPICS } from '../../schemas/topics.ts';
import { openChdbStore } from '../../services/platform/store/chdb/open.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { CALLS, StreamWriter } from '../support/scenario/events.ts';
import { settled } from '../support/scenario/ledger.ts';
import { killAll, tripline, up } from '../support/scenario/tripline.ts';

const SESSION = 'tampered';
const EVENTS = 12;
const COLUMNS =
  'log_id, idx, type, leaf_hash, prev_leaf_hash, topic, partition, offset, line, append_ms, stream_id, seq, ev_hash, key_id, flags, tenant, session_id';
const NOW = 'SETTINGS mutations_sync = 2';
const OWN = `topic = '${TOPICS.toolcalls.name}' AND session_id = '${SESSION}'`;

/** The middle entry is idx 7; every case is undone by `restore` from a copy of the tables. */
const CASES: readonly { readonly name: string; readonly index: number; readonly sql: readonly string[] }[] = [
  {
    name: 'an edited row',
    index: 7,
    sql: [`ALTER TABLE ledger UPDATE flags = 1 WHERE ${OWN} AND idx = 7 ${NOW}`],
  },
  { name: 'a deleted row', index: 7, sql: [`ALTER TABLE ledger DELETE WHERE ${OWN} AND idx = 7 ${NOW}`] },
  {
    name: 'an inserted row',
    index: 7,
    sql: [`INSERT INTO ledger (${COLUMNS}) SELECT ${COLUMNS} FROM ledger WHERE ${OWN} AND idx = 7`],
  },
  {
    name: 'two rows in another order',
    index: 6,
    sql: [
      `CREATE TABLE swapped ENGINE = Memory AS SELECT * REPLACE (13 - idx AS idx) FROM ledger WHERE ${OWN} AND idx IN (6, 7)`,
      `ALTER TABLE ledger DELETE WHERE ${OWN} AND idx IN (6, 7) ${NOW}`,
      `INSERT INTO ledger (${COLUMNS}) SELECT ${COLUMNS} FROM swapped`,
      'DROP TABLE swapped',
    ],
  },
  {
    name: 'a truncated end',
    index: 10,
    sql: [`ALTER TABLE ledger DELETE WHERE ${OWN} AND idx >= 10 ${NOW}`],
  },
  {
    name: 'an edited column of events',
    index: 7,
    sql: [`ALTER TABLE events UPDATE tool = 'harmless' WHERE ${OWN} AND idx = 7 ${NOW}`],
  },
  {
    name: 'another payload of the same block',
    index: 7,
    sql: [
      `ALTER TABLE payloads UPDATE place = if(place > 0, place - 1, 1) WHERE (log_id, idx) IN (SELECT log_id, idx FROM ledger WHERE ${OWN} AND idx = 7) ${NOW}`,
    ],
  },
];
const TABLES = ['ledger', 'events', 'payloads'];

describe('verify on a stopped data directory', () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-tamper-'));
  const dataDir = join(root, 'data');
  after(async () => {
    await killAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Somebody with the files and time, while nothing runs. */
  async function withStore(act: (store: Store) => Promise<void>): Promise<void> {
    const limits = { maxMemoryBytes: 1024 ** 3, queryTimeoutMs: 30_000, log: pino({ level: 'silent' }) };
    const store = await openChdbStore({ dir: join(dataDir, 'clickhouse'), ...limits });
    try {
      await act(store);
    } finally {
      await store.close();
    }
  }

  before(async () => {
    const writer = new StreamWriter('default', SESSION);
    const events = Array.from({ length: EVENTS }, () => writer.event(CALLS.search, Date.now()));
    const file = join(root, 'events.ndjson');
    writeFileSync(file, events.map(({ line }) => `${line}\n`).join(''));
    const service = up({ dataDir, logFile: join(root, 'service.log') });
    const url = await service.url;
    const env = {
      TRIPLINE_URL: url,
      TRIPLINE_TOKEN: readFileSync(join(dataDir, 'producer.token'), 'utf8').trim(),
    };
    assert.equal((await tripline(['replay', file], env)).code, 0);
    await settled(() => url, readFileSync(join(dataDir, 'admin.token'), 'utf8').trim(), 60_000);
    assert.equal(await service.stop(), 0);
    await withStore(async (store) => {
      for (const table of TABLES)
        await store.command(
          `CREATE TABLE ${table}_sound ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM ${table}`,
        );
    });
  });

  it('is sound before', async () => {
    const { code, items, stderr } = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir });
    assert.equal(code, 10, stderr);
    assert.deepEqual([items.at(-1)?.['verdict'], items.at(-1)?.['firstFault']], ['verified', null]);
  });

  for (const { name, index, sql } of CASES) {
    it(`finds ${name}, with its place`, async () => {
      await withStore(async (store) => {
        for (const table of TABLES) {
          await store.command(`TRUNCATE TABLE ${table}`);
          await store.command(`INSERT INTO ${table} SELECT * FROM ${table}_sound`);
        }
        for (const statement of sql) await store.command(statement);
      });
      const { code, items, stderr } = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir });
      assert.equal(code, 40, JSON.stringify(items) + stderr);
      const fault = items.at(-1)?.['firstFault'] as Readonly<Record<string, unknown>>;
      const { topic, session, index: at } = fault;
      assert.deepEqual([topic, session, at], [TOPICS.toolcalls.name, SESSION, index], JSON.stringify(fault));
      assert.equal(typeof fault['offset'], 'number', JSON.stringify(fault));
    });
  }
});
