/** 11,834 recorded calls of AgentDojo through the command line: all in the ledger, and the same again adds nothing. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, describe, it } from 'node:test';
import { pino } from 'pino';
import { TOPICS } from '../../schemas/topics.ts';
import { openChdbStore } from '../../services/platform/store/chdb/open.ts';
import { settled } from '../support/scenario/ledger.ts';
import { killAll, tripline, up, type Tripline } from '../support/scenario/tripline.ts';

const FILE = join(import.meta.dirname, '../../../shared/data/traces/agentdojo.jsonl.gz');
const CALLS = 11_834;
const EVENTS = 2 * CALLS;

if (existsSync(FILE)) describe('AgentDojo traces', replayed);
else test('AgentDojo traces', { skip: `${FILE} is not there` }, () => undefined);

function replayed(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-agentdojo-'));
  const dataDir = join(root, 'data');
  let service: Tripline;
  after(async () => {
    await killAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  async function replay(): Promise<Readonly<Record<string, unknown>> | undefined> {
    const env = {
      TRIPLINE_DATA_DIR: dataDir,
      TRIPLINE_TOKEN: readFileSync(join(dataDir, 'producer.token'), 'utf8').trim(),
    };
    const { code, items, stderr } = await tripline(['replay', FILE, '--format', 'trace-v1'], env);
    assert.equal(code, 0, stderr);
    const url = await service.url;
    await settled(() => url, readFileSync(join(dataDir, 'admin.token'), 'utf8').trim(), 180_000);
    return items.at(-1);
  }

  /** Rows of tool calls by table, once the service has stopped. */
  async function counts(): Promise<Readonly<Record<string, number>>> {
    const limits = { maxMemoryBytes: 1024 ** 3, queryTimeoutMs: 60_000, log: pino({ level: 'silent' }) };
    const store = await openChdbStore({ dir: join(dataDir, 'clickhouse'), ...limits });
    const found: Record<string, number> = {};
    for (const table of ['ledger', 'events', 'payloads']) {
      const [row] = await store.query<{ rows: string }>(
        `SELECT toString(count()) AS rows FROM ${table} WHERE topic = {topic:String}`,
        { params: { topic: TOPICS.toolcalls.name } },
      );
      found[table] = Number(row?.rows);
    }
    await store.close();
    return found;
  }

  const ALL = { ledger: EVENTS, events: EVENTS, payloads: EVENTS };
  const start = (): Tripline => up({ dataDir, logFile: join(root, 'service.log') });

  it('are all in the ledger, and sending them again adds nothing', async () => {
    service = start();
    await service.url;
    assert.deepEqual(await replay(), { sent: EVENTS, accepted: EVENTS, duplicates: 0, rejected: 0 });
    const again = await replay();
    assert.deepEqual([again?.['sent'], again?.['rejected']], [EVENTS, 0]);
    assert.equal(await service.stop(), 0);
    assert.deepEqual(await counts(), ALL);
  });

  it('add nothing to the ledger of a service that has forgotten them', async () => {
    service = start();
    await service.url;
    const again = await replay();
    assert.deepEqual([again?.['sent'], again?.['rejected']], [EVENTS, 0]);
    assert.equal(await service.stop(), 0);
    assert.deepEqual(await counts(), ALL);
  });

  it('verify', async () => {
    const { code, items, stderr } = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir });
    assert.equal(code, 10, JSON.stringify(items.at(-1)) + stderr);
    assert.ok(Number(items.at(-1)?.['entries']) >= EVENTS);
  });
}
