/** Bytes that an event takes on disk, table by table and column by column, after all parts were merged. */
import { randomBytes } from 'node:crypto';
import { encodeEventRecord } from '../../schemas/bus/record.ts';
import { openKeyStore } from '../../services/platform/payloads/key-store.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { result, type Bench, type BenchResult } from './bench.ts';
import { LINES_PER_RECORD } from './events.ts';
import { hexOf, hostLine } from './host-lines.ts';
import { temporaryDir } from './place.ts';
import { fillSound, openSound } from './sound-ledger.ts';

const EVENTS = Number(process.env['DISK_EVENTS'] ?? 65_536);
const TABLES = ['ledger', 'events', 'payloads'] as const;
/** Columns that are told by name. */
const LARGEST = 8;

function hostRecords(round: number, count: number) {
  return Array.from({ length: count }, (_, index) => {
    const stream = hexOf(`${round} ${index}`).slice(0, 32);
    const session = hexOf(stream).slice(0, 32);
    const lines = Array.from({ length: LINES_PER_RECORD }, (_line, seq) =>
      Buffer.from(hostLine(stream, seq)),
    );
    return { message: encodeEventRecord({ tenant: 'acme', session, stream, firstSeq: 0, lines }) };
  });
}

async function sizesOf(store: Store): Promise<BenchResult[]> {
  for (const table of TABLES) await store.command(`OPTIMIZE TABLE ${table} FINAL`);
  const parts = await store.query<{ table: string; rows: string; bytes: string }>(
    `SELECT table, toString(sum(rows)) AS rows, toString(sum(bytes_on_disk)) AS bytes FROM system.parts
     WHERE active AND database = currentDatabase() AND table IN ({tables:Array(String)}) GROUP BY table`,
    { params: { tables: TABLES } },
  );
  const bytesOf = (table: string): number => {
    const part = parts.find((one) => one.table === table);
    return part === undefined ? 0 : Number(part.bytes) / Number(part.rows);
  };
  const columns = await store.query<{ table: string; name: string; bytes: string }>(
    `SELECT table, column AS name, toString(sum(column_bytes_on_disk)) AS bytes FROM system.parts_columns
     WHERE active AND database = currentDatabase() AND table IN ({tables:Array(String)})
     GROUP BY table, column ORDER BY sum(column_bytes_on_disk) DESC`,
    { params: { tables: TABLES } },
  );
  const rows = Number(parts[0]?.rows ?? 1);
  const note = (table: string): string =>
    columns
      .filter((column) => column.table === table)
      .slice(0, LARGEST)
      .map(({ name, bytes }) => `${name} ${(Number(bytes) / rows).toFixed(1)}`)
      .join(', ');
  const size = (name: string, value: number, about?: string): BenchResult =>
    result(`disk_${name}`, { value, baseline: null, unit: 'B/event' }, about);
  return [
    ...TABLES.map((table) => size(table, bytesOf(table), note(table))),
    size('without_payload', bytesOf('ledger') + bytesOf('events')),
    size(
      'with_payload',
      TABLES.reduce((sum, table) => sum + bytesOf(table), 0),
      `${rows} events of 830 B`,
    ),
  ];
}

async function run(): Promise<readonly BenchResult[]> {
  const { dir, remove } = temporaryDir();
  const ledger = await openSound(dir);
  const keys = openKeyStore(dir, randomBytes);
  try {
    await fillSound(ledger, EVENTS, { records: hostRecords, keys });
    return await sizesOf(ledger.store);
  } finally {
    await keys.close();
    await ledger.close();
    remove();
  }
}

export const disk: Bench = { name: 'disk', about: 'bytes of an event on disk, payloads sealed', run };
