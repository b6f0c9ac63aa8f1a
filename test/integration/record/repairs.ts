/** A service that lost rows, over any deployment: `ledger repair` brings back exactly what the bus holds, on record. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { it } from 'node:test';
import { TOPICS } from '../../../schemas/topics.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { CALLS, StreamWriter } from '../../support/scenario/events.ts';
import { getJson } from '../../support/scenario/ledger.ts';
import { tripline, type Tripline } from '../../support/scenario/tripline.ts';

export interface Deployment {
  readonly dataDir: string;
  /** Environment of commands beside the service, while it is stopped too. */
  readonly env: Readonly<Record<string, string>>;
  start(): Tripline;
  /** The tables, while no service runs. */
  openStore(): Promise<Store>;
}

const TABLES = ['ledger', 'payloads', 'events', 'alerts', 'dispositions'] as const;
type Rows = ReadonlyMap<string, readonly string[]>;

const WITHIN_MS = 120_000;

async function until<Value>(what: string, look: () => Promise<Value | undefined>): Promise<Value> {
  const endMs = performance.now() + WITHIN_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < endMs, what);
    await sleep(100);
  }
}

/** All that hosts sent and rules found is in the ledger, and that somebody judged of it. The look itself is audited: topic audit is never quiet. */
async function recorded(url: string, token: string): Promise<void> {
  await until('not all is recorded', async () => {
    const state = await getJson<{ partitions: { topic: string; lag: number }[] }>(`${url}/v1/ledger`, token);
    const said = state?.partitions.filter(({ topic }) => topic !== TOPICS.audit.name);
    return said?.every(({ lag }) => lag === 0) === true ? true : undefined;
  });
  await until('the disposition is not recorded', async () => {
    const alerts = await getJson<{ items: { disposition: unknown }[] }>(
      `${url}/v1/alerts?tenant=default`,
      token,
    );
    return alerts?.items.some(({ disposition }) => disposition !== null) === true ? true : undefined;
  });
}

async function firstAlert(url: string, token: string): Promise<{ readonly id: string }> {
  return await until('no alert', async () => {
    const alerts = await getJson<{ items: { id: string }[] }>(`${url}/v1/alerts?tenant=default`, token);
    return alerts?.items[0];
  });
}

export function repairs(deployment: () => Deployment): void {
  let service: Tripline;
  let whole: Rows;

  const token = (name: 'admin' | 'producer'): string =>
    readFileSync(join(deployment().dataDir, `${name}.token`), 'utf8').trim();
  const command = (...args: string[]) => tripline(args, deployment().env);
  const repair = (...more: string[]) => command('ledger', 'repair', '--reason', 'disk of tuesday', ...more);

  async function inStore<Result>(act: (store: Store) => Promise<Result>): Promise<Result> {
    const store = await deployment().openStore();
    try {
      return await act(store);
    } finally {
      await store.close();
    }
  }

  /** Reading is audited, so the logs of topic audit grow: what is compared of them is their beginning. */
  const contents = (): Promise<Rows> =>
    inStore(async (store) => {
      const found = new Map<string, string[]>();
      for (const table of TABLES)
        for (const { log, row } of await store.query<{ log: string; row: string }>(
          `SELECT lower(hex(log_id)) AS log, formatRowNoNewline('JSONEachRow', *) AS row FROM ${table} ORDER BY log_id, idx`,
          { maxResultRows: 100_000 },
        ))
          found.set(`${table} ${log}`, [...(found.get(`${table} ${log}`) ?? []), row]);
      return found;
    });

  async function stopped(): Promise<void> {
    const url = await service.url;
    await recorded(url, token('admin'));
    assert.equal(await service.stop(), 0);
  }

  it('is sound before', async () => {
    service = deployment().start();
    const url = await service.url;
    const timeMs = Date.now() - 60_000;
    for (const session of ['one', 'two', 'three']) {
      const writer = new StreamWriter('default', session);
      for (const [at, call] of [CALLS.search, CALLS.list, CALLS.vault, CALLS.post].entries()) {
        const response = await fetch(`${url}/v1/events`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token('producer')}`, 'content-type': 'application/x-ndjson' },
          body: writer.event(call, timeMs + at * 1000).line,
        });
        assert.equal(response.status, 202, await response.text());
      }
    }
    const alert = await firstAlert(url, token('admin'));
    const said = await command(
      'disposition',
      alert.id,
      '--as',
      'false_positive',
      '--reason',
      'ours',
      '--tenant',
      'default',
    );
    assert.equal(said.code, 0, said.stderr);
    await stopped();
    whole = await contents();
    for (const table of TABLES)
      assert.ok(
        [...whole.keys()].some((key) => key.startsWith(table)),
        table,
      );
  });

  it('has lost rows of every table', async () => {
    const lost: readonly (readonly [string, string])[] = [
      ['ledger', `topic = 'tripline.toolcalls.v1' AND idx IN (1, 2)`],
      ['payloads', `topic = 'tripline.toolcalls.v1' AND idx IN (2, 3)`],
      ['events', 'idx = 0'],
      ['alerts', 'idx = 0'],
      ['dispositions', '1'],
    ];
    await inStore(async (store) => {
      for (const [table, where] of lost)
        await store.command(`ALTER TABLE ${table} DELETE WHERE ${where} SETTINGS mutations_sync = 2`);
    });
    const verified = await command('verify');
    assert.equal(verified.code, 40, verified.stderr);
  });

  it('says what can be repaired, and changes nothing', async () => {
    service = deployment().start();
    const url = await service.url.catch(() => undefined);
    assert.ok(url !== undefined);
    const planned = await repair('--dry-run');
    assert.equal(planned.code, 0, JSON.stringify(planned.items) + planned.stderr);
    assert.deepEqual(
      new Set(
        ((planned.items[0]?.['repaired'] ?? []) as readonly { table: string }[]).map(({ table }) => table),
      ),
      new Set(TABLES),
    );
  });

  it('has them again, exactly, once; who and why is on record; verify finds nothing', async () => {
    const done = await repair();
    assert.equal(done.code, 0, JSON.stringify(done.items) + done.stderr);
    const again = await repair();
    assert.deepEqual([again.code, again.items[0]?.['repaired'], again.items[0]?.['left']], [0, [], []]);
    const url = await service.url;
    await until('not ready', async () => ((await fetch(`${url}/readyz`)).status === 200 ? true : undefined));
    await stopped();
    const now = await contents();
    for (const [key, rows] of whole) assert.deepEqual((now.get(key) ?? []).slice(0, rows.length), rows, key);
    const verified = await command('verify');
    assert.equal(verified.code, 10, JSON.stringify(verified.items) + verified.stderr);
    const said = [...now].flatMap(([key, rows]) => (key.startsWith('payloads') ? rows : []));
    const records = said.filter((row) => row.includes('evidence.repair'));
    assert.ok(records.length > 0 && records.every((row) => row.includes('disk of tuesday')), 'on record');
  });
}
