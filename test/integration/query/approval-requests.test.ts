/** Requests for approval as they are read from the store: all of them, once, newest first, whatever lies between. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  readApprovalRequests,
  type ApprovalRequest,
  type RequestQuery,
} from '../../../services/platform/approvals/requests.ts';
import { append, callLine, openBench, recordOf, runWriter, type Bench } from '../record/harness.ts';

/** More than are read at once. */
const REQUESTS = 600;
const PLAIN_CALLS = 25_000;
const LINES = 64;
const HOUR_MS = 3_600_000;

const numberOf = (id: string): number => Number.parseInt(id.slice('apr-'.length), 16);
const idOf = (at: number): string => `apr-${at.toString(16).padStart(32, '0')}`;

function requestLine(seq: number, id: string, ttlMs: number): string {
  return callLine('host', seq, {
    tool: 'delete_file',
    verdict: 'approval_required',
    approvalId: id,
    policy: {
      id: 'desk',
      version: 1,
      hash: 'ab'.repeat(32),
      mode: 'enforce',
      effect: 'approve',
      rule: 'approvals/deletes',
      request: { ttlMs, waitMs: 0, fourEyes: false },
    },
  });
}

async function appendLines(bench: Bench, stream: string, lines: readonly string[]): Promise<void> {
  for (let from = 0; from < lines.length; from += LINES)
    await append(bench, [recordOf(stream, from, lines.slice(from, from + LINES))]);
}

describe('requests for approval', () => {
  let bench: Bench;
  before(async () => {
    bench = await openBench();
    const lines = Array.from({ length: REQUESTS }, (_, at) =>
      // Each third is over at once; the repeat of the first one claims more time than was asked for.
      requestLine(at, idOf(at), at % 3 === 0 ? 1 : HOUR_MS),
    );
    await appendLines(bench, 'host', [...lines, requestLine(REQUESTS, idOf(0), 7 * 24 * HOUR_MS)]);
    await runWriter(bench, bench);
    await bench.store.command(
      `INSERT INTO events (tenant, session_id, kind) SELECT 'acme', 'busy', 'call.intent' FROM numbers(${PLAIN_CALLS})`,
    );
  });
  after(() => bench.close());

  async function read(query: Partial<RequestQuery> = {}): Promise<ApprovalRequest[]> {
    const found: ApprovalRequest[] = [];
    const all = { keys: undefined, tenant: 'acme', sinceMs: 0, ...query };
    for await (const { request } of readApprovalRequests(bench.store, all))
      if (request !== undefined) found.push(request);
    return found;
  }

  it('come once each, newest first, over more than one page', async () => {
    const found = await read();
    assert.equal(found.length, REQUESTS);
    assert.equal(new Set(found.map(({ id }) => id)).size, REQUESTS);
    const times = found.map(({ requestedAtMs }) => requestedAtMs);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a),
    );
    // Of the line with the same number.
    for (const { id, args } of found)
      assert.equal(args, JSON.stringify({ url: `https://example.org/${numberOf(id)}` }));
  });

  it('are those that may still be answered, by the first intent of each', async () => {
    const [newest] = await read();
    const found = await read({ openAtMs: (newest?.requestedAtMs ?? 0) + 1_000 });
    assert.equal(found.length, REQUESTS - REQUESTS / 3);
    assert.ok(found.every(({ id }) => numberOf(id) % 3 !== 0));
  });

  it('go on behind a place, and bodies are read only of what is wanted', async () => {
    const places = [];
    for await (const { place } of readApprovalRequests(bench.store, {
      keys: undefined,
      tenant: '*',
      sinceMs: 0,
    })) {
      places.push(place);
      if (places.length === 300) break;
    }
    const rest = await read({ after: places.at(-1), wants: (_, id) => id !== idOf(1) });
    const expected = (await read()).slice(300).filter(({ id }) => id !== idOf(1));
    assert.deepEqual(
      rest.map(({ id }) => id),
      expected.map(({ id }) => id),
    );
  });

  it('of another tenant are not there, nor those of before', async () => {
    assert.deepEqual(await read({ tenant: 'other' }), []);
    assert.deepEqual(await read({ sinceMs: Date.now() + HOUR_MS }), []);
    assert.equal((await read({ id: idOf(7) })).length, 1);
  });

  it('are found without reading what names no approval', async () => {
    await bench.store.command('OPTIMIZE TABLE events FINAL');
    const plan = await bench.store.query<{ explain: string }>(
      `EXPLAIN indexes = 1 SELECT approval_id FROM events WHERE approval_id >= 'apr-' AND approval_id < 'apr.'`,
    );
    const text = plan.map(({ explain }) => explain).join('\n');
    const [, chosen, all] = /by_approval[\s\S]*?Granules: (\d+)\/(\d+)/u.exec(text) ?? [];
    assert.equal(chosen, '1', text);
    assert.ok(Number(all) >= 3, text);
  });
});
