/**
 * The lines that a bundle has millions of, read by hand. What has not exactly the usual columns in the usual form is left
 * to the schema, which takes more forms and says what is wrong: this is a short cut, never another opinion.
 */
import type { BundleRows, LedgerColumns, PayloadColumns } from './bundle.ts';

const HASH = /^[0-9a-f]{64}$/;
const STREAM = /^[0-9a-f]{32}$/;
/** Exact in a number. */
const UINT = /^(?:0|[1-9]\d{0,14})$/;

type Check = (value: unknown) => boolean;
type Columns = Record<string, unknown>;

const isText: Check = (value) => typeof value === 'string';
const isHash: Check = (value) => typeof value === 'string' && HASH.test(value);
const isStream: Check = (value) => typeof value === 'string' && STREAM.test(value);
const isUint: Check = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** Columns that come as decimal strings are made numbers. */
function toUint(row: Columns, column: string): void {
  const value = row[column];
  if (typeof value === 'string' && UINT.test(value)) row[column] = Number(value);
}

interface Form {
  readonly columns: Readonly<Record<string, Check>>;
  readonly count: number;
  readonly uint64: readonly string[];
}

function form(columns: Readonly<Record<string, Check>>, uint64: readonly string[]): Form {
  return { columns, count: Object.keys(columns).length, uint64 };
}

const LEDGER = form(
  {
    type: isUint,
    leaf_hash: isHash,
    prev_leaf_hash: isHash,
    topic: isText,
    partition: isUint,
    offset: isUint,
    line: isUint,
    append_ms: isUint,
    stream_id: isStream,
    seq: isUint,
    ev_hash: isHash,
    key_id: isHash,
    flags: isUint,
    tenant: isText,
    session_id: isText,
  },
  ['offset', 'append_ms', 'seq'],
);
const PAYLOAD = form(
  {
    topic: isText,
    partition: isUint,
    offset: isUint,
    line: isUint,
    prev_ev_hash: isHash,
    bytes: isText,
    batch: isText,
  },
  ['offset'],
);

function fits(row: Columns, { columns, count, uint64 }: Form): boolean {
  for (const column of uint64) toUint(row, column);
  let known = 0;
  for (const column in row) {
    const check = columns[column];
    if (check?.(row[column]) !== true) return false;
    known += 1;
  }
  return known === count;
}

const isRow = (value: unknown): value is Columns =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Absent is empty. Undefined where a row has not the form. */
function rowsOf(value: unknown, known: Form | undefined): readonly Columns[] | undefined {
  if (value === undefined) return NONE;
  if (!Array.isArray(value)) return undefined;
  for (const row of value as readonly unknown[])
    if (!isRow(row) || (known !== undefined && !fits(row, known))) return undefined;
  return value as readonly Columns[];
}

const NONE: readonly Columns[] = Object.freeze([]);
const NAMES: ReadonlySet<string> = new Set([
  'type',
  'idx',
  'ledger',
  'payloads',
  'events',
  'alerts',
  'deadLetters',
  'dispositions',
  'proof',
]);

function isRowsLine(line: unknown): line is Columns {
  if (!isRow(line) || line['type'] !== 'rows' || !isUint(line['idx'])) return false;
  for (const name in line) if (!NAMES.has(name)) return false;
  return true;
}

/** Undefined for what the schema has to look at. */
export function readUsualRows(line: unknown): BundleRows | undefined {
  if (!isRowsLine(line)) return undefined;
  const projected = projectedOf(line);
  const ledger = rowsOf(line['ledger'], LEDGER);
  const payloads = rowsOf(line['payloads'], PAYLOAD);
  const proof = proofOf(line['proof']);
  if (!(ledger && payloads && projected && proof)) return undefined;
  return {
    type: 'rows',
    idx: line['idx'] as number,
    ledger: ledger as unknown as LedgerColumns[],
    payloads: payloads as unknown as PayloadColumns[],
    ...projected,
    ...(line['proof'] === undefined ? {} : { proof }),
  };
}

type Projected = Pick<BundleRows, 'alerts' | 'deadLetters' | 'dispositions' | 'events'>;

/** Their columns are compared one by one, whatever they are. */
function projectedOf(line: Columns): Projected | undefined {
  const events = rowsOf(line['events'], undefined);
  const alerts = rowsOf(line['alerts'], undefined);
  const deadLetters = rowsOf(line['deadLetters'], undefined);
  const dispositions = rowsOf(line['dispositions'], undefined);
  if (!(events && alerts && deadLetters && dispositions)) return undefined;
  return { events, alerts, deadLetters, dispositions } as Projected;
}

function proofOf(value: unknown): string[] | undefined {
  if (value === undefined) return [];
  return Array.isArray(value) && value.every(isHash) ? (value as string[]) : undefined;
}
