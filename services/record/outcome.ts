/** What a batch comes to: rows by table, manifest, counts, the state after it. Pure. */
import { toHex, type Sha256 } from '../evidence/bytes.ts';
import { RowWriter } from '../evidence/row-binary.ts';
import { EventBlock } from './event-block.ts';
import type { ProducerFinding } from './findings.ts';
import type { PartitionHeads } from './open-log.ts';
import type { Manifest } from './ports.ts';
import type { StreamDraft } from './stream-state.ts';
import {
  ALERT_COLUMNS,
  DEAD_LETTER_COLUMNS,
  DISPOSITION_COLUMNS,
  EVENT_COLUMNS,
  LEDGER_COLUMNS,
  PAYLOAD_COLUMNS,
  SEALED_PAYLOAD_COLUMNS,
  type EntryPosition,
} from './tables.ts';

export interface BatchCounts {
  readonly records: number;
  readonly ticks: number;
  readonly entries: number;
  readonly duplicates: number;
  readonly gaps: number;
  readonly late: number;
  readonly equivocations: number;
  readonly deadLetters: number;
  /** Entries under a batch signature that holds, whoever's key it is. */
  readonly signed: number;
  /** Records whose signature does not hold. */
  readonly badSignatures: number;
}

export type TableName = 'payloads' | 'events' | 'alerts' | 'dead_letters' | 'dispositions' | 'ledger';
/** In the order in which they are written: the ledger last. */
export const TABLE_ORDER: readonly TableName[] = [
  'payloads',
  'events',
  'alerts',
  'dead_letters',
  'dispositions',
  'ledger',
];

const COLUMNS: Readonly<Record<TableName, readonly string[]>> = {
  payloads: PAYLOAD_COLUMNS,
  events: EVENT_COLUMNS,
  alerts: ALERT_COLUMNS,
  dead_letters: DEAD_LETTER_COLUMNS,
  dispositions: DISPOSITION_COLUMNS,
  ledger: LEDGER_COLUMNS,
};

/** In the order of the bytes of a row. */
export function columnsOf(table: TableName, isSealed: boolean): readonly string[] {
  return table === 'payloads' && isSealed ? SEALED_PAYLOAD_COLUMNS : COLUMNS[table];
}

/** Which rows are written at all: all of them, unless rows that were lost are made again. */
export type KeepRow = (table: TableName, at: EntryPosition) => boolean;

export interface BatchTables extends Readonly<Record<Exclude<TableName, 'events'>, RowWriter>> {
  readonly events: EventBlock;
}

export interface BatchOutcome {
  readonly manifest: Manifest;
  readonly tables: BatchTables;
  /** The lines of table payloads, in order, for whoever seals them. */
  readonly lines: readonly PayloadLine[];
  /** SHA-256 of the rows of each table, hex. */
  readonly digests: Readonly<Record<TableName, string>>;
  /** Leaf hashes (32 bytes each) by log id, in index order, for the read-back. */
  readonly leaves: ReadonlyMap<string, Uint8Array>;
  readonly counts: BatchCounts;
  /** What is wrong with producers; part of no row. */
  readonly findings: readonly ProducerFinding[];
  readonly state: PartitionHeads;
  /** Changed streams, by streamKey. */
  readonly streams: ReadonlyMap<string, StreamDraft>;
}

/** What a batch entered, without heads: those need the compact ranges of the logs before it. */
export interface EnteredRows extends Pick<BatchOutcome, 'digests' | 'lines' | 'streams' | 'tables'> {
  /** By log id: index of the first leaf, and the leaf hashes from there on, 32 bytes each. */
  readonly entered: ReadonlyMap<
    string,
    { readonly tenant: string; readonly from: number; readonly leaves: Uint8Array }
  >;
}

/** A line with its entry. */
export interface PayloadLine {
  readonly at: EntryPosition;
  readonly prev: Uint8Array;
  readonly bytes: Uint8Array;
  /** Signature of the record, beside its last line; else empty. */
  readonly batch: Uint8Array;
  /** Whose data it is: name of the key that its bytes are kept under; undefined for what is kept in the clear. */
  readonly subject: string | undefined;
}

/** `expectedBytes` of all lines: a hint that saves growing them. */
export function newTables(expectedBytes: number): BatchTables {
  return {
    payloads: new RowWriter(64 * 1024 + Math.ceil(expectedBytes * 1.25)),
    events: new EventBlock(Math.ceil(expectedBytes / 1024)),
    alerts: new RowWriter(0),
    dead_letters: new RowWriter(0),
    dispositions: new RowWriter(0),
    ledger: new RowWriter(64 * 1024 + Math.ceil(expectedBytes * 0.3)),
  };
}

/** SHA-256 of the rows of each table, hex. */
export function digestsOf(tables: BatchTables, sha256: Sha256): BatchOutcome['digests'] {
  const digest = (table: TableName): string => toHex(sha256(tables[table].bytes()));
  return {
    payloads: digest('payloads'),
    events: digest('events'),
    alerts: digest('alerts'),
    dead_letters: digest('dead_letters'),
    dispositions: digest('dispositions'),
    ledger: digest('ledger'),
  };
}
