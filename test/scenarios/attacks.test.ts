/**
 * The threat table as tests (services/evidence/ATTACKS.md): somebody with write access to the storage of a real deployment;
 * `verify` says what was done, and where. Beside it what others would have said of the same rows.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Bench, MIDDLE } from '../support/attacks/bench.ts';
import { EVENTS, SESSION } from '../support/attacks/deployment.ts';
import { attacksDocument } from '../support/attacks/table.ts';

const COPIED =
  'log_id, idx, type, leaf_hash, prev_leaf_hash, topic, partition, offset, line, append_ms, stream_id, seq, ev_hash, key_id, flags, tenant, session_id';
const DOCUMENT = join(import.meta.dirname, '../../services/evidence/ATTACKS.md');

describe('attacks on the rows of a deployment', () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.restore());
  after(() => bench.deployment.close());

  it('is sound and witnessed before', async () => {
    const { report, peers } = await (
      await bench.deployment.sound()
    ).verify({ kept: bench.deployment.keptCheckpoint });
    assert.deepEqual([report.exitCode, report.firstFault], [0, null]);
    assert.ok(report.entries >= EVENTS);
    assert.deepEqual(peers, { chain: 'missed', tree: 'missed', keeper: 'missed' });
  });

  it('edit one row', async () => {
    const outcome = await bench.afterSql(
      `ALTER TABLE ledger UPDATE append_ms = append_ms - 60000 WHERE ${bench.own} AND idx = 7`,
    );
    bench.expectRow('edit-row', outcome, MIDDLE);
  });

  it('edit the bytes of one event', async () => {
    // They are sealed together with those of its session in the same batch: the first of these is the place.
    const [block] = await bench.deployment.store.query<{ first: string }>(
      `SELECT toString(block) AS first FROM payloads WHERE ${bench.own} AND idx = 7`,
    );
    const index = Number(block?.first);
    const outcome = await bench.afterSql(
      `ALTER TABLE payloads UPDATE bytes = concat(substring(bytes, 1, length(bytes) - 1), char(bitXor(reinterpretAsUInt8(substring(bytes, length(bytes), 1)), 1))) WHERE ${bench.own} AND idx = ${index}`,
    );
    bench.expectRow('edit-payload', outcome, { index, offset: Math.floor(index / 3), session: SESSION });
  });

  it('edit a column that queries read', async () => {
    const outcome = await bench.afterSql(
      `ALTER TABLE events UPDATE tool = 'harmless' WHERE ${bench.own} AND idx = 7 AND tenant = 'default'`,
    );
    bench.expectRow('edit-column', outcome, MIDDLE);
    assert.equal(outcome.report.firstFault?.detail, 'events.tool');
  });

  it('delete a middle row', async () => {
    bench.expectRow('delete-row', await bench.afterSql(...bench.everywhere('idx = 7')), {
      index: 7,
      session: SESSION,
    });
  });

  it('delete the tail', async () => {
    bench.expectRow('delete-tail', await bench.afterSql(...bench.everywhere('idx >= 9')), {
      index: 9,
      session: SESSION,
    });
  });

  it('insert a row', async () => {
    const outcome = await bench.afterSql(
      `INSERT INTO ledger (${COPIED}) SELECT ${COPIED} FROM ledger WHERE ${bench.own} AND idx = 7`,
    );
    bench.expectRow('insert-row', outcome, MIDDLE);
  });

  it('erasure faked as a lawful one', async () => {
    bench.expectRow('erase-faked', await bench.afterSql(...bench.asErased(7)), MIDDLE);
  });

  it('reorder', async () => {
    const swapped = COPIED.replace('idx', '13 - idx');
    const outcome = await bench.afterSql(
      `INSERT INTO ledger (${COPIED}) SELECT ${swapped} FROM ledger WHERE ${bench.own} AND idx IN (6, 7)`,
      `ALTER TABLE ledger DELETE WHERE ${bench.own} AND ((idx = 6 AND seq = 6) OR (idx = 7 AND seq = 7))`,
    );
    bench.expectRow('reorder', outcome, { index: 6, offset: 2, session: SESSION });
  });

  it('edit the root log', async () => {
    const life = await bench.copy('tile');
    const dir = join(life.dir, 'root-log/tile/entries/000.p');
    for (const name of readdirSync(dir)) {
      const bytes = readFileSync(join(dir, name));
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(join(dir, name), bytes);
    }
    bench.expectRow('edit-tile', await life.verify());
  });

  it('is all that the table says of this suite', () => bench.expectAll('rows'));
});

/** `WRITE_ATTACKS=1` writes it anew. */
it('the table of attacks is the document beside the verifier', () => {
  if (process.env['WRITE_ATTACKS'] === '1') writeFileSync(DOCUMENT, attacksDocument());
  assert.equal(readFileSync(DOCUMENT, 'utf8'), attacksDocument());
});
