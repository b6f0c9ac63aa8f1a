/** A bundle in NDJSON, written again in binary as services/evidence/bundle-binary.ts says. For tests: the service writes it from the store. */
import {
  BlockWriter,
  BUNDLE_MAGIC,
  lineSection,
  rowsSection,
} from '../../../services/evidence/bundle-binary.ts';
import type { BundleRows } from '../../../services/evidence/bundle.ts';
import { RowWriter } from '../../../services/evidence/row-binary.ts';
import {
  TABLE_LAYOUTS,
  type ColumnType,
  type Layout,
  type TableLayouts,
} from '../../../services/evidence/table-layout.ts';

type Columns = Readonly<Record<string, unknown>>;

/** Thrown for what binary has no form of, like half a hash or a number that is none. */
export class NoBinaryForm extends Error {}

function need(condition: boolean): void {
  if (!condition) throw new NoBinaryForm();
}

function hex(value: unknown, bytes: number): Buffer {
  need(typeof value === 'string' && new RegExp(`^[0-9a-f]{${bytes * 2}}$`).test(value));
  return Buffer.from(value as string, 'hex');
}

function uint(value: unknown, bits: number): bigint {
  need(
    (typeof value === 'number' && Number.isInteger(value)) ||
      (typeof value === 'string' && /^-?\d+$/.test(value)),
  );
  const number = BigInt(value as number);
  need(number >= 0n && number < 1n << BigInt(bits));
  return number;
}

function base64(value: unknown): Buffer {
  need(typeof value === 'string');
  const bytes = Buffer.from(value as string, 'base64');
  need(bytes.toString('base64') === value);
  return bytes;
}

function text(value: unknown): string {
  need(typeof value === 'string' && !/[\ud800-\udfff]/u.test(value));
  return value as string;
}

function little(value: bigint, bytes: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
  return buffer.subarray(0, bytes);
}

function big(value: unknown, bytes: number): Uint8Array {
  return little(uint(value, bytes * 8), bytes).toReversed();
}

function ledgerRow(row: Columns, idx: number): Uint8Array {
  const out = new RowWriter();
  out.fixed(big(row['type'], 1));
  out.fixed(big(idx, 8));
  out.fixed(hex(row['prev_leaf_hash'], 32));
  out.fixed(big(row['append_ms'], 8));
  out.fixed(big(row['offset'], 8));
  out.fixed(big(row['line'], 2));
  out.fixed(hex(row['stream_id'], 16));
  out.fixed(big(row['seq'], 8));
  out.fixed(hex(row['ev_hash'], 32));
  out.fixed(hex(row['key_id'], 32));
  out.fixed(big(row['flags'], 1));
  out.fixed(hex(row['leaf_hash'], 32));
  out.fixed(little(uint(row['partition'], 32), 4));
  for (const name of ['topic', 'tenant', 'session_id']) out.string(text(row[name]));
  return out.bytes();
}

function payloadRow(row: Columns): Uint8Array {
  const out = new RowWriter();
  out.fixed(little(uint(row['partition'], 32), 4));
  out.fixed(little(uint(row['offset'], 64), 8));
  out.fixed(little(uint(row['line'], 16), 2));
  out.fixed(hex(row['prev_ev_hash'], 32));
  out.u8(row['erased'] === true ? 1 : 0);
  out.string(text(row['topic']));
  out.blob(base64(row['batch']));
  out.blob(base64(row['bytes']));
  return out.bytes();
}

const WRITE: Readonly<Record<ColumnType, (out: RowWriter, value: unknown) => void>> = {
  text: (out, value) => out.string(text(value)),
  texts: (out, value) => {
    need(Array.isArray(value));
    out.strings((value as unknown[]).map(text));
  },
  bytes: (out, value) => out.blob(base64(value)),
  stream: (out, value) => out.fixed(hex(value, 16)),
  u16: (out, value) => out.fixed(little(uint(value, 16), 2)),
  u32: (out, value) => out.fixed(little(uint(value, 32), 4)),
  u64: (out, value) => out.fixed(little(uint(value, 64), 8)),
  ms: (out, value) => {
    need(typeof value === 'string' && /^-?\d{1,18}$/.test(value));
    out.fixed(little(BigInt(value as string), 8));
  },
  f64: (out, value) => {
    need(typeof value === 'number');
    out.f64(value as number);
  },
  'bool?': (out, value) => {
    need(value === null || typeof value === 'boolean');
    out.optionalBool(value as boolean | null);
  },
};

function projectedRow(layout: Layout, row: Columns): Uint8Array {
  const out = new RowWriter();
  for (const [name, type] of layout) WRITE[type](out, row[name]);
  return out.bytes();
}

/** Throws NoBinaryForm. */
export function addRows(block: BlockWriter, { idx, ...rows }: BundleRows, layouts: TableLayouts): void {
  need(Number.isSafeInteger(idx) && idx >= 0);
  for (const row of rows.ledger ?? []) block.add('ledger', idx, ledgerRow(row, idx));
  for (const row of rows.payloads ?? []) block.add('payloads', idx, payloadRow(row));
  for (const table of ['events', 'alerts', 'deadLetters', 'dispositions'] as const)
    for (const row of rows[table] ?? []) block.add(table, idx, projectedRow(layouts[table], row));
  if (rows.proof !== undefined)
    block.add('proofs', idx, Buffer.concat(rows.proof.map((hash) => hex(hash, 32))));
}

/** Entries that follow each other share a block of at most `blockEntries`. Throws NoBinaryForm. */
export function binaryOf(
  lines: readonly string[],
  blockEntries = 4096,
  { without = '' }: { readonly without?: string } = {},
): Buffer {
  const events = TABLE_LAYOUTS.events.filter(([name]) => name !== without);
  const layouts = { ...TABLE_LAYOUTS, events };
  const pieces: Uint8Array[] = [BUNDLE_MAGIC];
  let block: BlockWriter | undefined;
  let entries = 0;
  let last = -1;
  const flush = (): void => {
    if (block !== undefined) pieces.push(rowsSection(Uint8Array.from(block.block())));
    block = undefined;
    entries = 0;
    last = -1;
  };
  for (const json of lines) {
    const line = JSON.parse(json) as { type: string };
    if (line.type !== 'rows') {
      flush();
      pieces.push(lineSection(line.type === 'header' ? { ...line, tables: layouts } : line));
      continue;
    }
    const rows = line as BundleRows;
    // Rows of one index in one block are one entry: what is no ascending index begins a block of its own.
    if (entries === blockEntries || rows.idx <= last) flush();
    block ??= new BlockWriter();
    addRows(block, rows, layouts);
    entries += 1;
    last = rows.idx;
  }
  flush();
  return Buffer.concat(pieces);
}
