/** What the store holds, against what was acknowledged; and when a service has come to rest. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../../schemas/topics.ts';
import { openKeyStore } from '../../../services/platform/payloads/key-store.ts';
import { PayloadReader, SEALED_COLUMNS, type SealedRow } from '../../../services/platform/payloads/read.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import type { Sent } from './events.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

interface StreamRow {
  readonly tenant: string;
  readonly stream: string;
  readonly rows: string;
  readonly seqs: string;
  readonly next: string;
}

/** Rows, sequences and bytes of topic toolcalls are exactly those that were acknowledged: none missing, none twice. */
export async function assertStored(
  store: Store,
  acknowledged: readonly Sent[],
  dataDir: string,
): Promise<void> {
  const expected = new Map<string, number>();
  for (const { tenant, stream } of acknowledged) {
    const name = `${tenant} ${stream}`;
    expected.set(name, (expected.get(name) ?? 0) + 1);
  }
  const params = { topic: TOPICS.toolcalls.name };
  for (const table of ['events', 'ledger']) {
    const rows = await store.query<StreamRow>(
      `SELECT tenant, lower(hex(stream_id)) AS stream, toString(count()) AS rows, toString(uniqExact(seq)) AS seqs,
         toString(max(seq) + 1) AS next FROM ${table} WHERE topic = {topic:String} GROUP BY tenant, stream_id`,
      { params },
    );
    const wrong = rows.filter((row) => row.rows !== row.seqs || row.rows !== row.next);
    assert.deepEqual(wrong, [], `${table}: a sequence twice or missing`);
    const held = new Map(rows.map((row) => [`${row.tenant} ${row.stream}`, Number(row.rows)]));
    assert.deepEqual(held, expected, `${table}: other events than were acknowledged`);
  }
  const kinds = await store.query<{ type: number }>(
    'SELECT DISTINCT type FROM ledger WHERE topic = {topic:String}',
    { params },
  );
  assert.deepEqual(kinds, [{ type: 0 }], 'no gap, nothing late, no equivocation');
  await assertBytes(store, acknowledged, dataDir);
}

/** Payloads are sealed: `dataDir` is that of the process that ran step sign, and stopped. */
async function assertBytes(store: Store, acknowledged: readonly Sent[], dataDir: string): Promise<void> {
  const keys = openKeyStore(dataDir, randomBytes);
  const reader = new PayloadReader(store, keys);
  const held: string[] = [];
  const rows = store.queryStream<SealedRow>(
    `SELECT ${SEALED_COLUMNS} FROM payloads WHERE topic = {topic:String} ORDER BY log_id, idx`,
    { params: { topic: TOPICS.toolcalls.name } },
  );
  for await (const some of rows) {
    for (const opened of await reader.open(some)) {
      if (opened.kind !== 'read') assert.fail(`payloads: a line is ${opened.kind}`);
      held.push(createHash('sha256').update(opened.bytes).digest('hex'));
    }
  }
  await keys.close();
  held.sort();
  const sent = acknowledged.map(({ line }) => sha256Hex(line)).toSorted();
  assert.equal(held.length, sent.length, 'payloads: another number of lines');
  assert.ok(
    held.every((hash, at) => hash === sent[at]),
    'payloads: other bytes than were sent',
  );
}

/** Ids of alerts in the store, sorted; fails where one is there twice. */
export async function storedAlertIds(store: Store): Promise<string[]> {
  const rows = await store.query<{ alert_id: string; rows: string }>(
    'SELECT alert_id, toString(count()) AS rows FROM alerts GROUP BY alert_id',
    { maxResultRows: 10_000_000 },
  );
  assert.deepEqual(
    rows.filter((row) => row.rows !== '1'),
    [],
    'an alert stands twice in the store',
  );
  return rows.map((row) => row.alert_id).toSorted();
}

interface Partitions {
  readonly partitions: readonly {
    readonly topic: string;
    readonly nextOffset: number;
    readonly latest: number;
    readonly lag: number;
  }[];
}

/** GET as JSON; undefined while the service does not answer. */
export async function getJson<Value>(url: string, token: string): Promise<Value | undefined> {
  try {
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(30_000),
    });
    return response.ok ? ((await response.json()) as Value) : undefined;
  } catch {
    return undefined;
  }
}

const QUIET_MS = 15_000;

/**
 * Waits until every tool call and alert is in the ledger and neither topic has moved for 5 s: longer than the second
 * after which detect appends a TICK where anything is still to be decided.
 */
export async function settled(url: () => string, token: string, withinMs: number): Promise<void> {
  const topics: readonly string[] = [TOPICS.toolcalls.name, TOPICS.alerts.name, TOPICS.deadletters.name];
  // All shipped rules run: on a busy machine they need their time.
  const endMs = Date.now() + 3 * withinMs;
  let seen = '';
  let sinceMs = Date.now();
  while (seen === '' || Date.now() - sinceMs < QUIET_MS) {
    const state = await getJson<Partitions>(`${url()}/v1/ledger`, token);
    const own = state?.partitions.filter(({ topic }) => topics.includes(topic));
    const now = own === undefined || own.some(({ lag }) => lag > 0) ? '' : JSON.stringify(own);
    if (now === '' || now !== seen) sinceMs = Date.now();
    seen = now;
    assert.ok(Date.now() < endMs, `not settled: ${JSON.stringify(own?.filter(({ lag }) => lag > 0))}`);
    await sleep(250);
  }
}
