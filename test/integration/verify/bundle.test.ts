/** A bundle is a claim of whoever hands it over: altered after the export, it must not verify. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { verifyBundle } from '../../../services/evidence/verify.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import type { ExportOptions } from '../../../services/platform/ledger/export.ts';
import { append, callLine, exported, openBench, recordOf, runWriter, TOPIC } from '../record/harness.ts';
import type { Bench } from '../record/harness.ts';

type Row = Record<string, unknown>;
interface Line extends Row {
  readonly type: string;
  readonly idx?: number;
}
interface Head extends Row {
  readonly logId: string;
  readonly origin: string;
}
interface HeadList extends Row {
  readonly partition: number;
  readonly heads: readonly Head[];
}

async function linesOf(bench: Bench, options: Partial<ExportOptions>): Promise<Line[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of exported(bench, options)) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString().trim();
  return text.split('\n').map((line) => JSON.parse(line) as Line);
}

function verifiedLines(lines: readonly Line[]) {
  async function* source() {
    yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  return verifyBundle(source(), nodeCrypto);
}

describe('an altered bundle', () => {
  let bench: Bench;
  let whole: Line[];
  let ofSession: Line[];
  before(async () => {
    bench = await openBench();
    await append(bench, [
      recordOf('a', 0, [callLine('a', 0)]),
      recordOf('b', 0, [callLine('b', 0)], { tenant: 'other' }),
      // Other bytes for a seq that is entered: an EQUIVOCATION, index 1 of the log.
      recordOf('a', 0, [callLine('a', 0, { tool: 'other' })]),
    ]);
    await append(bench, [recordOf('c', 0, [callLine('c', 0)])], 1);
    await runWriter(bench, bench);
    await runWriter(bench, bench, { topic: TOPIC, partition: 1 });
    whole = await linesOf(bench, {});
    ofSession = await linesOf(bench, { session: 'session a' });
  });
  after(() => bench.close());

  it('is sound before', async () => {
    for (const lines of [whole, ofSession]) assert.deepEqual((await verifiedLines(lines)).firstFault, null);
  });

  /** The bundle without a log, whose head is made to look like that of another one. */
  it('does not hide a log behind the name of another', async () => {
    const [header, ...rest] = whole as [Line, ...Line[]];
    const lists = header['heads'] as HeadList[];
    const shown = lists[0]?.heads[0] as Head;
    const hidden = lists[0]?.heads[1] as Head;
    const from = rest.findIndex((line) => line['logId'] === hidden.logId);
    const to = rest.findIndex((line, at) => at > from && line.type !== 'rows');
    const left = rest.filter((_, at) => at < from || at >= to);
    const missing = await verifiedLines([header, ...left]);
    assert.equal(missing.firstFault?.code, 'log_missing');

    const heads = lists.map((list) => ({
      ...list,
      heads: list.heads.map((head) => (head === hidden ? { ...head, origin: shown.origin } : head)),
    }));
    const { firstFault, exitCode } = await verifiedLines([{ ...header, heads }, ...left]);
    assert.deepEqual([firstFault?.code, exitCode], ['log_name_differs', 40]);
  });

  it('does not say of its heads that they are of another partition', async () => {
    const [header, ...rest] = whole as [Line, ...Line[]];
    const heads = (header['heads'] as HeadList[]).map((list) => ({ ...list, partition: list.partition + 2 }));
    const { firstFault } = await verifiedLines([{ ...header, heads }, ...rest]);
    assert.equal(firstFault?.code, 'log_name_differs');
  });

  it('does not keep a row beyond the end of its log, where nothing vouches for it', async () => {
    for (const lines of [whole, ofSession]) {
      const at = lines.findLastIndex((line) => line.type === 'rows');
      const moved = lines.with(at, { ...(lines[at] as Line), idx: 99 });
      const { firstFault } = await verifiedLines(moved);
      assert.deepEqual([firstFault?.code, firstFault?.index], ['row_unsigned', 99]);
    }
  });

  it('does not lose the bytes of an equivocation', async () => {
    for (const lines of [whole, ofSession]) {
      const at = lines.findIndex((line) => line.type === 'rows' && line.idx === 1);
      const bare = lines.with(at, { ...(lines[at] as Line), payloads: [], events: [] });
      const { firstFault } = await verifiedLines(bare);
      assert.deepEqual([firstFault?.code, firstFault?.index], ['payload_missing', 1]);
    }
  });

  it('does not move the effective time of the first event of a stream', async () => {
    for (const lines of [whole, ofSession]) {
      const at = lines.findIndex((line) => line.type === 'rows' && line.idx === 0);
      const row = lines[at] as Line;
      const [event] = row['events'] as Row[];
      const events = [{ ...event, effective_time: Number(event?.['effective_time']) + 60_000 }];
      const { firstFault } = await verifiedLines(lines.with(at, { ...row, events }));
      assert.deepEqual(
        [firstFault?.code, firstFault?.detail],
        ['projection_altered', 'events.effective_time'],
      );
    }
  });

  it('of one session is sound where its stream went on in another session', async () => {
    const ahead = { time: '2100-01-01T00:00:00.000Z', session: 'session other' };
    await append(bench, [recordOf('m', 0, [callLine('m', 0), callLine('m', 1, ahead), callLine('m', 2)])], 2);
    await runWriter(bench, bench, { topic: TOPIC, partition: 2 });
    const { firstFault, entries } = await verifiedLines(await linesOf(bench, { session: 'session m' }));
    assert.deepEqual([firstFault, entries], [null, 2]);
  });

  it('does not go on after its end', async () => {
    const end = whole.at(-1) as Line;
    const { firstFault, exitCode } = await verifiedLines([...whole, end]);
    assert.deepEqual([firstFault?.code, exitCode], ['bundle_malformed', 40]);
  });

  it('says what it was made for', async () => {
    const { filter, partial } = await verifiedLines(ofSession);
    assert.deepEqual([filter, partial], [{ session: 'session a' }, true]);
  });
});
