/** A data directory of before payloads were sealed: its rows stay as they are, beside sealed ones. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../../services/platform/clock.ts';
import { openKeyStore, type KeyStore } from '../../../services/platform/payloads/key-store.ts';
import { PayloadReader, SEALED_COLUMNS, type SealedRow } from '../../../services/platform/payloads/read.ts';
import { PartitionWriter } from '../../../services/record/loop.ts';
import {
  append,
  callLine,
  exported,
  openBench,
  OWNED,
  readAll,
  recordOf,
  runWriter,
  SETTINGS,
  TOPIC,
  verified,
  type Bench,
} from './harness.ts';

describe('payloads of before they were sealed', () => {
  let bench: Bench;
  let keys: KeyStore;
  const lines = [0, 1, 2, 3].map((seq) => callLine('old', seq));
  before(async () => {
    bench = await openBench();
    keys = openKeyStore(bench.dir, randomBytes);
    await append(bench, [recordOf('old', 0, lines.slice(0, 2))]);
    // As an older version wrote: without keys, and without the columns that name them.
    await runWriter(bench, bench);
    await append(bench, [recordOf('old', 2, lines.slice(2))]);
    const writer = new PartitionWriter(
      { topic: TOPIC, partition: 0 },
      { ...bench, keys, clock: systemClock },
      SETTINGS,
    );
    const from = await writer.start();
    await writer.onBatch({ records: await readAll(bench.bus, 0, from) }, OWNED);
  });
  after(async () => {
    await keys.close();
    await bench.close();
  });

  it('stand in the clear beside sealed ones, and are read in order', async () => {
    const rows = await bench.store.query<SealedRow>(`SELECT ${SEALED_COLUMNS} FROM payloads ORDER BY idx`);
    assert.deepEqual(
      rows.map(({ subject }) => subject === '0'),
      [true, true, false, false],
    );
    const opened = await new PayloadReader(bench.store, keys).open(rows);
    assert.deepEqual(
      opened.map((one) => (one.kind === 'read' ? one.bytes.toString() : one.kind)),
      lines,
    );
  });

  it('verify and are exported as they were sent', async () => {
    const { firstFault, exitCode, entries } = await verified(bench, { keys });
    assert.deepEqual([firstFault, exitCode, entries], [null, 10, 4]);
    const parts: Uint8Array[] = [];
    for await (const part of exported(bench, { keys })) parts.push(part);
    const bundle = Buffer.concat(parts).toString();
    for (const line of lines) assert.ok(bundle.includes(Buffer.from(line).toString('base64')));
  });
});
