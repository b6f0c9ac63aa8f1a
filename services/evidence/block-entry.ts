/** Entries of a block in the form that bundles in NDJSON have, made of its bytes when somebody looks. */
import { lowerBound } from '../../detectors/statistics/lower-bound.ts';
import { TriplineError } from '../../schemas/errors.ts';
import type { BundleRows, LedgerColumns, PayloadColumns } from './bundle.ts';
import { HASH_BYTES, STREAM_ID_BYTES, toBase64, toHex, ZERO_HASH } from './bytes.ts';
import { isSame, LEDGER_AT, PAYLOAD_AT, type RowsBlock } from './rows-block.ts';
import { readColumns, type TableLayouts } from './table-layout.ts';

const NO_HASH = toHex(ZERO_HASH);
/** Numbers of BLOCK_TABLES. */
export const LEDGER = 0;
export const PAYLOADS = 1;
export const EVENTS = 2;
export const ALERTS = 3;
export const DISPOSITIONS = 5;
const DEAD_LETTERS = 4;
const PROOFS = 6;

function u64(view: DataView, at: number): number {
  return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
}

function hashAt({ bytes }: RowsBlock, at: number): string {
  return toHex(bytes.subarray(at, at + HASH_BYTES));
}

function isZero(bytes: Uint8Array, at: number): boolean {
  for (let place = at; place < at + HASH_BYTES; place += 1) if (bytes[place] !== 0) return false;
  return true;
}

/** A row of the ledger. */
export class LedgerRow implements LedgerColumns {
  readonly block: RowsBlock;
  /** Where it begins. */
  readonly at: number;
  readonly type: number;
  readonly append_ms: number;
  readonly offset: number;
  readonly line: number;
  readonly seq: number;
  readonly flags: number;
  readonly partition: number;
  readonly stream_id: string;
  readonly topic: string;
  readonly tenant: string;
  readonly session_id: string;

  constructor(block: RowsBlock, at: number, end: number) {
    const { bytes, view, reader } = block;
    this.block = block;
    this.at = at;
    this.type = bytes[at] as number;
    this.append_ms = u64(view, at + LEDGER_AT.appendMs);
    this.offset = u64(view, at + LEDGER_AT.offset);
    this.line = view.getUint16(at + LEDGER_AT.line);
    this.seq = u64(view, at + LEDGER_AT.seq);
    this.flags = bytes[at + LEDGER_AT.flags] as number;
    this.partition = view.getUint32(at + LEDGER_AT.partition, true);
    this.stream_id = block.streams.of(bytes, at + LEDGER_AT.stream, at + LEDGER_AT.stream + STREAM_ID_BYTES);
    reader.over(at + LEDGER_AT.texts, end);
    this.topic = block.topics.next(reader);
    this.tenant = block.tenants.next(reader);
    this.session_id = block.sessions.next(reader);
    if (!reader.isOver)
      throw new TriplineError('export_invalid', 'a row of the bundle is longer than its columns');
  }

  get leaf_hash(): string {
    return hashAt(this.block, this.at + LEDGER_AT.leafHash);
  }

  get prev_leaf_hash(): string {
    return hashAt(this.block, this.at + LEDGER_AT.prev);
  }

  get ev_hash(): string {
    return hashAt(this.block, this.at + LEDGER_AT.eventHash);
  }

  get key_id(): string {
    const at = this.at + LEDGER_AT.keyId;
    return isZero(this.block.bytes, at) ? NO_HASH : hashAt(this.block, at);
  }
}

/** A row of payloads. */
export class PayloadRow implements PayloadColumns {
  readonly block: RowsBlock;
  /** Where it begins. */
  readonly at: number;
  /** Where the bytes of the line begin, and where they and the row end. */
  readonly rawAt: number;
  readonly end: number;
  /** Of the batch signature. */
  readonly #batchAt: number;

  constructor(block: RowsBlock, at: number, end: number) {
    const { reader } = block;
    this.block = block;
    this.at = at;
    this.end = end;
    reader.over(at + PAYLOAD_AT.texts, end);
    reader.skip(reader.length());
    this.#batchAt = reader.at;
    reader.skip(reader.length());
    const length = reader.length();
    this.rawAt = reader.skip(length);
    if (!reader.isOver)
      throw new TriplineError('export_invalid', 'a row of the bundle is longer than its columns');
  }

  get topic(): string {
    return this.block.reader.over(this.at + PAYLOAD_AT.texts, this.end).text();
  }

  get partition(): number {
    return this.block.view.getUint32(this.at, true);
  }

  get offset(): number {
    return this.block.reader.over(this.at + PAYLOAD_AT.offset, this.end).u64();
  }

  get line(): number {
    return this.block.view.getUint16(this.at + PAYLOAD_AT.line, true);
  }

  get prev_ev_hash(): string {
    return hashAt(this.block, this.at + PAYLOAD_AT.prev);
  }

  get batch(): string {
    const batch = this.block.reader.over(this.#batchAt, this.end).blob();
    return batch.length === 0 ? '' : toBase64(batch);
  }

  /** As they are. */
  get raw(): Uint8Array {
    return this.block.bytes.subarray(this.rawAt, this.end);
  }

  get bytes(): string {
    return toBase64(this.raw);
  }

  get erased(): true | undefined {
    return this.block.bytes[this.at + PAYLOAD_AT.erased] === 0 ? undefined : true;
  }

  /** Whether it names the topic of a row of the ledger. */
  namesTopicOf(row: LedgerRow): boolean {
    const { reader, bytes } = this.block;
    reader.over(this.at + PAYLOAD_AT.texts, this.end);
    const length = reader.length();
    const at = reader.at;
    reader.over(row.at + LEDGER_AT.texts, bytes.length);
    return reader.length() === length && isSame(bytes, reader.at, at, length);
  }
}

/** Of a value in an ascending array; -1 where it is not in it. */
function placeIn(values: Uint32Array, value: number): number {
  const at = lowerBound(values, value);
  return values[at] === value ? at : -1;
}

/** All rows of one index. */
export class BlockEntry implements BundleRows {
  readonly type = 'rows';
  readonly block: RowsBlock;
  /** Of the block. */
  readonly number: number;
  readonly idx: number;
  #ledger: LedgerRow[] | undefined;
  #payloads: PayloadRow[] | undefined;

  constructor(block: RowsBlock, number: number) {
    this.block = block;
    this.number = number;
    this.idx = block.idxOf(number);
  }

  get ledger(): LedgerRow[] {
    this.#ledger ??= this.#each(LEDGER, (from, to) => new LedgerRow(this.block, from, to));
    return this.#ledger;
  }

  get payloads(): PayloadRow[] {
    this.#payloads ??= this.#each(PAYLOADS, (from, to) => new PayloadRow(this.block, from, to));
    return this.#payloads;
  }

  get events(): Record<string, unknown>[] {
    return this.#columns(EVENTS, 'events');
  }

  get alerts(): Record<string, unknown>[] {
    return this.#columns(ALERTS, 'alerts');
  }

  get deadLetters(): Record<string, unknown>[] {
    return this.#columns(DEAD_LETTERS, 'deadLetters');
  }

  get dispositions(): Record<string, unknown>[] {
    return this.#columns(DISPOSITIONS, 'dispositions');
  }

  /** Of the agent whose batch signature was found to hold; undefined where it was not looked at, or does not. */
  get foundKeyId(): Uint8Array | undefined {
    const { findings } = this.block;
    const at = findings === undefined ? -1 : placeIn(findings.signed, this.number);
    return at < 0 ? undefined : findings?.keyIds.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
  }

  get proof(): string[] | undefined {
    const [proof] = this.#each(PROOFS, (from, to) => {
      if ((to - from) % HASH_BYTES !== 0) throw new TriplineError('export_invalid', 'a proof is cut off');
      return Array.from({ length: (to - from) / HASH_BYTES }, (_, at) =>
        hashAt(this.block, from + at * HASH_BYTES),
      );
    });
    return proof;
  }

  #columns(table: number, name: keyof TableLayouts): Record<string, unknown>[] {
    const { reader, layouts } = this.block;
    return this.#each(table, (from, to) => {
      const columns = readColumns(reader.over(from, to), layouts[name]);
      if (reader.isOver) return columns;
      throw new TriplineError('export_invalid', 'a row of the bundle is longer than its columns');
    });
  }

  #each<Row>(table: number, read: (from: number, to: number) => Row): Row[] {
    const { block, number } = this;
    const rows: Row[] = [];
    const end = block.firstRow(table, number + 1);
    for (let row = block.firstRow(table, number); row < end; row += 1)
      rows.push(read(block.fromOf(table, row), block.toOf(table, row)));
    return rows;
  }
}

/** As an object of its own, with what stands in it alone: a line of NDJSON. */
export function plainRows(entry: BundleRows): BundleRows {
  const { type, idx, ledger, payloads, events, alerts, deadLetters, dispositions, proof } = entry;
  const plain = {
    type,
    idx,
    ledger: ledger.map(plainLedger),
    payloads: payloads.map(plainPayload),
    events,
    alerts,
    deadLetters,
    dispositions,
  };
  return proof === undefined ? plain : { ...plain, proof };
}

function plainLedger(row: LedgerColumns): LedgerColumns {
  const { type, leaf_hash, prev_leaf_hash, topic, partition, offset, line, append_ms } = row;
  const { stream_id, seq, ev_hash, key_id, flags, tenant, session_id } = row;
  const place = { topic, partition, offset, line, append_ms, stream_id, seq };
  return { type, leaf_hash, prev_leaf_hash, ...place, ev_hash, key_id, flags, tenant, session_id };
}

function plainPayload(row: PayloadColumns): PayloadColumns {
  const { topic, partition, offset, line, prev_ev_hash, batch, bytes, erased } = row;
  const plain = { topic, partition, offset, line, prev_ev_hash, batch, bytes };
  return erased === undefined ? plain : { ...plain, erased };
}
