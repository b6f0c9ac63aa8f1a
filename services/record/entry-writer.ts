/** Writes what becomes of a line: its entry, its payload, its row of a projection, its findings. Pure. */
import type { AuditLine } from '../../schemas/audit/v1.ts';
import type { Event } from '../../schemas/event/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { fromBase64, ZERO_HASH } from '../evidence/bytes.ts';
import { projectDisposition } from '../evidence/disposition.ts';
import { ENTRY_FLAGS, entryLeafHash } from '../evidence/entry.ts';
import {
  lineFlags,
  projectAlert,
  projectDeadLetter,
  projectEvent,
  projectRejected,
} from '../evidence/projection.ts';
import { Findings, referenceOf, signerKey, type FindingKind } from './findings.ts';
import { sessionOf, subjectOf } from './line-kinds.ts';
import type { OpenLog, StepSettings } from './open-log.ts';
import {
  newTables,
  type BatchCounts,
  type BatchTables,
  type KeepRow,
  type PayloadLine,
  type TableName,
} from './outcome.ts';
import type { PreparedLine, PreparedRecord } from './prepare.ts';
import type { SignedRun } from './signed-run.ts';
import type { StreamDraft } from './stream-state.ts';
import {
  writeAlertRow,
  writeDeadLetterRow,
  writeDispositionRow,
  writeLedgerRow,
  writePayloadRow,
  type EntryPosition,
  type LedgerRow,
} from './tables.ts';

/** A line, and what its record says of it. */
export interface LineContext {
  readonly prepared: PreparedRecord;
  readonly line: PreparedLine;
  readonly log: OpenLog;
  readonly lastOfRecord: boolean;
  /** The line in the chain that its record spells out; undefined where that was not computed beforehand. */
  readonly chained: { readonly prev: Uint8Array; readonly hash: Uint8Array } | undefined;
  /** Set where the record's signature holds and covers the line. */
  readonly signed: SignedRun | undefined;
}

export interface NewEntry {
  readonly type: number;
  readonly seq: number;
  readonly hash: Uint8Array;
  readonly flags: number;
  /** Zeros where unsigned. */
  readonly keyId?: Uint8Array;
  readonly session: string;
}

/** An entry that has the line's bytes. */
export interface LineEntry {
  readonly type: number;
  readonly hash: Uint8Array;
  readonly prev: Uint8Array;
  readonly draft: StreamDraft | undefined;
  readonly equivocation: boolean;
}

const NO_BYTES = new Uint8Array(0);

export class EntryWriter {
  readonly tables: BatchTables;
  readonly lines: PayloadLine[] = [];
  readonly findings = new Findings();
  readonly counts: { -readonly [Name in keyof BatchCounts]: number } = {
    records: 0,
    ticks: 0,
    entries: 0,
    duplicates: 0,
    gaps: 0,
    late: 0,
    equivocations: 0,
    deadLetters: 0,
    signed: 0,
    badSignatures: 0,
  };
  readonly #settings: StepSettings;

  readonly #keep: KeepRow | undefined;

  constructor(settings: StepSettings, expectedBytes: number, keep?: KeepRow) {
    this.#settings = settings;
    this.#keep = keep;
    this.tables = newTables(expectedBytes);
  }

  /** Entry, payload and projection of a line. */
  appendLine(context: LineContext, entry: LineEntry): void {
    const { line, prepared } = context;
    const { appendMs } = prepared.record;
    const own = line.read.kind === 'event' ? lineFlags(line.read.event, appendMs) : 0;
    const { signed, lastOfRecord } = context;
    const flags =
      own | (lastOfRecord ? ENTRY_FLAGS.lastOfBatch : 0) | (signed === undefined ? 0 : ENTRY_FLAGS.signed);
    const session = sessionOf(line.read);
    const who = signed === undefined ? {} : { keyId: signed.keyId };
    const at = this.append(context, {
      type: entry.type,
      seq: line.seq,
      hash: entry.hash,
      flags,
      session,
      ...who,
    });
    this.#noteSigner(context);
    const batch = signed !== undefined && lastOfRecord ? signed.stored : NO_BYTES;
    const payload = { prev: entry.prev, bytes: line.bytes, batch };
    if (this.#keeps('payloads', at)) writePayloadRow(this.tables.payloads, at, payload);
    this.lines.push({ at, ...payload, subject: subjectOf(line.read, at) });
    this.#project(at, line, entry);
  }

  #keeps(table: TableName, at: EntryPosition): boolean {
    return this.#keep?.(table, at) ?? true;
  }

  #noteSigner(context: LineContext): void {
    const { signed, prepared, lastOfRecord } = context;
    if (signed !== undefined) this.counts.signed += 1;
    if (!lastOfRecord) return;
    if (signed !== undefined) return this.find('unregistered', context, 'signed', signerKey(signed.keyId));
    const isBad = prepared.batch !== undefined && context.chained !== undefined;
    this.find(
      isBad ? 'bad_signature' : 'unsigned',
      context,
      isBad ? 'the signature does not hold' : 'unsigned',
    );
  }

  /** Of the lines of hosts alone: what the service writes of itself is not theirs. */
  find(
    kind: FindingKind,
    { prepared, line }: LineContext,
    detail: string,
    key: Readonly<Record<string, string>> = { stream: line.stream },
  ): void {
    if (prepared.record.topic !== TOPICS.toolcalls.name) return;
    const event = referenceOf(prepared.record, line);
    if (event === undefined) return;
    this.findings.add({ kind, tenant: prepared.tenant, key, event, detail });
  }

  #project(at: EntryPosition, line: PreparedLine, entry: Pick<LineEntry, 'draft' | 'equivocation'>): void {
    const { read } = line;
    switch (read.kind) {
      case 'event':
        return this.#projectEvent(at, read, entry);
      case 'alert':
        if (!this.#keeps('alerts', at)) return;
        return writeAlertRow(this.tables.alerts, at, projectAlert(read.event, at.appendMs));
      case 'dead_letter': {
        if (!this.#keeps('dead_letters', at)) return;
        const raw = fromBase64(read.event.deadLetter.rawBase64) ?? NO_BYTES;
        return writeDeadLetterRow(this.tables.dead_letters, at, { row: projectDeadLetter(read.event), raw });
      }
      case 'rejected': {
        const origin = `${at.topic}/${at.partition}/${at.offset}/${at.line}`;
        const row = projectRejected(read, { origin, bytes: line.bytes }, this.#settings.sha256);
        this.counts.deadLetters += 1;
        if (!this.#keeps('dead_letters', at)) return;
        return writeDeadLetterRow(this.tables.dead_letters, at, { row, raw: line.bytes });
      }
      case 'audit':
        return this.#projectAudit(at, read.event);
    }
  }

  #projectAudit(at: EntryPosition, line: AuditLine): void {
    const row = projectDisposition(line, at.appendMs);
    if (row !== undefined && this.#keeps('dispositions', at))
      writeDispositionRow(this.tables.dispositions, at, row);
  }

  #projectEvent(
    at: EntryPosition,
    read: { readonly event: Event; readonly unknownFields: readonly string[] },
    entry: Pick<LineEntry, 'draft' | 'equivocation'>,
  ): void {
    const { draft } = entry;
    const row = projectEvent({
      event: read.event,
      unknownFields: read.unknownFields,
      appendMs: at.appendMs,
      previousEffectiveMs: draft?.effectiveMs ?? Number.NEGATIVE_INFINITY,
      equivocation: entry.equivocation,
      mapping: this.#settings.mapping,
    });
    if (draft !== undefined) draft.effectiveMs = row.effective_time;
    if (this.#keeps('events', at)) this.tables.events.add(at, row);
  }

  append(context: LineContext, entry: NewEntry): EntryPosition {
    const { log, line, prepared } = context;
    const { record } = prepared;
    const row: { leafHash: Uint8Array } & Omit<LedgerRow, 'leafHash'> = {
      tenant: log.tenant,
      logId: log.id,
      index: log.extension.end,
      topic: record.topic,
      partition: record.partition,
      offset: record.offset,
      line: line.line,
      appendMs: record.appendMs,
      stream: line.streamId,
      seq: entry.seq,
      type: entry.type,
      leafHash: ZERO_HASH,
      prevLeafHash: log.lastLeaf,
      eventHash: entry.hash,
      keyId: entry.keyId ?? ZERO_HASH,
      flags: entry.flags,
      session: entry.session,
    };
    row.leafHash = entryLeafHash(row, this.#settings.sha256);
    log.extension.append(row.leafHash);
    log.leaves.fixed(row.leafHash);
    log.lastLeaf = row.leafHash;
    this.counts.entries += 1;
    if (this.#keeps('ledger', row)) writeLedgerRow(this.tables.ledger, row);
    return row;
  }
}
