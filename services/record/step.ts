/**
 * One batch of one partition, as a pure function: records and the state before them in; rows, manifest and the state
 * after them out. Everything that enters the ledger follows from the record, the entry before it and the hashes that
 * the log holds of the stream, so a second run, a second writer or another cut of the batches gives the same rows.
 *
 * What becomes of a line (stream, seq, bytes):
 * - its hash is known for that seq, or would be with any hash that is known for seq - 1 or without one: duplicate, no entry;
 * - another hash is known: EQUIVOCATION with the second hash and its bytes;
 * - the record claims a `prev` that contradicts what is known of seq - 1: first an EQUIVOCATION of seq - 1 with the
 *   claimed hash and without bytes, then the line itself, hashed over the claim, as its producer did;
 * - seq beyond the next one: first a GAP (its seq = first missing one), then the line;
 * - seq below the next one and not known: LATE.
 * `prev` of a line is, in this order: zeros for seq 0; the header for the first line; the hash of the line before it in
 * the record when that is seq - 1; the known hash of seq - 1; zeros.
 * An unreadable line is entered where it stands as DEAD_LETTER. It takes the seq at its place, so that the chain of the
 * lines after it holds.
 */
import type { AuditLine } from '../../schemas/audit/v1.ts';
import type { Event } from '../../schemas/event/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { concatBytes, equalBytes, fromBase64, toHex, ZERO_HASH } from '../evidence/bytes.ts';
import { projectDisposition } from '../evidence/disposition.ts';
import { ENTRY_FLAGS, ENTRY_TYPES, entryLeafHash } from '../evidence/entry.ts';
import { eventHash } from '../evidence/event-hash.ts';
import type { LedgerLine } from '../evidence/lines.ts';
import {
  lineFlags,
  projectAlert,
  projectDeadLetter,
  projectEvent,
  projectRejected,
} from '../evidence/projection.ts';
import { BatchSignatures } from '../evidence/batch-signature.ts';
import { closeLog, openLog, type OpenLog, type PartitionHeads, type StepSettings } from './open-log.ts';
import type { Manifest } from './ports.ts';
import { streamKey, type PreparedLine, type PreparedRecord } from './prepare.ts';
import { chainOf, signedRun, type SignedRun } from './signed-run.ts';
import { isKeyChange } from '../evidence/producer-keys.ts';
import { RowWriter } from '../evidence/row-binary.ts';
import { EventBlock } from './event-block.ts';
import { Findings, referenceOf, signerKey, type FindingKind, type ProducerFinding } from './findings.ts';
import { StreamDraft, type StreamState } from './stream-state.ts';
import {
  writeAlertRow,
  writeDeadLetterRow,
  writeDispositionRow,
  writeLedgerRow,
  writePayloadRow,
  type EntryPosition,
  type LedgerRow,
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

interface LineContext {
  readonly prepared: PreparedRecord;
  readonly line: PreparedLine;
  readonly log: OpenLog;
  readonly lastOfRecord: boolean;
  /** The line in the chain that its record spells out; undefined where that was not computed beforehand. */
  readonly chained: { readonly prev: Uint8Array; readonly hash: Uint8Array } | undefined;
  /** Set where the record's signature holds and covers the line. */
  readonly signed: SignedRun | undefined;
}

interface NewEntry {
  readonly type: number;
  readonly seq: number;
  readonly hash: Uint8Array;
  readonly flags: number;
  /** Zeros where unsigned. */
  readonly keyId?: Uint8Array;
  readonly session: string;
}

const NO_STREAM_SEQ = -1;
const NO_BYTES = new Uint8Array(0);

/** `streams` holds the state of every stream of the batch, from `streamNeeds` on down; a missing one is a new stream. */
export function recordStep(
  records: readonly PreparedRecord[],
  before: PartitionHeads,
  streams: ReadonlyMap<string, StreamState>,
  settings: StepSettings,
): BatchOutcome {
  const batch = new Batch(before, settings);
  batch.enter(records, streams);
  return batch.outcome();
}

/**
 * A batch that is entered part by part, so that the caller can give way in between and a parsed line lives no longer
 * than its part. Where the parts are cut shows in nothing.
 */
export class Batch {
  readonly #before: PartitionHeads;
  readonly #settings: StepSettings;
  readonly #signatures: BatchSignatures;
  readonly #logs = new Map<string, OpenLog>();
  readonly #drafts = new Map<string, StreamDraft>();
  readonly #lines: PayloadLine[] = [];
  readonly #tables: BatchTables;
  readonly #findings = new Findings();
  #known: ReadonlyMap<string, StreamState> = new Map();
  #lastStream: { readonly tenant: string; readonly stream: string; readonly draft: StreamDraft } | undefined;
  readonly #counts = {
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
  #nextOffset: number;
  #watermarkMs: number;

  /** `expectedBytes` of all lines: a hint that saves growing the tables. */
  constructor(before: PartitionHeads, settings: StepSettings, expectedBytes = 0) {
    this.#before = before;
    this.#settings = settings;
    this.#signatures = signaturesOf(settings);
    this.#nextOffset = before.nextOffset;
    this.#watermarkMs = before.watermarkMs;
    this.#tables = {
      payloads: new RowWriter(64 * 1024 + Math.ceil(expectedBytes * 1.25)),
      events: new EventBlock(Math.ceil(expectedBytes / 1024)),
      alerts: new RowWriter(0),
      dead_letters: new RowWriter(0),
      dispositions: new RowWriter(0),
      ledger: new RowWriter(64 * 1024 + Math.ceil(expectedBytes * 0.3)),
    };
  }

  /** The next records, in order. `streams`: as recordStep's, for these records; what earlier parts changed is known here. */
  enter(records: readonly PreparedRecord[], streams: ReadonlyMap<string, StreamState>): void {
    this.#known = streams;
    this.#lastStream = undefined;
    for (const prepared of records) this.#enterRecord(prepared);
  }

  /** True when the hashes of a stream from `fromSeq` up are here already, so that nobody has to read them for `enter`. */
  knows(key: string, fromSeq: number): boolean {
    return this.#drafts.get(key)?.reaches(fromSeq) ?? false;
  }

  #enterRecord(prepared: PreparedRecord): void {
    const { record } = prepared;
    this.#nextOffset = record.offset + 1;
    this.#watermarkMs = Math.max(this.#watermarkMs, record.appendMs);
    this.#counts.records += 1;
    if (prepared.tick) {
      this.#counts.ticks += 1;
      return;
    }
    this.#enterLines(prepared, this.#log(prepared.tenant));
  }

  #enterLines(prepared: PreparedRecord, log: OpenLog): void {
    const { lines } = prepared;
    const chain = chainOf(prepared, (line, prev) => this.#hash(line, prev));
    const signed = chain === undefined ? undefined : this.#signed(prepared, log, chain);
    let runningSeq = NO_STREAM_SEQ;
    let runningHash = prepared.prev;
    let isGuessed = false;
    for (let at = 0; at < lines.length; at += 1) {
      const line = lines[at] as PreparedLine;
      const lastOfRecord = at === lines.length - 1;
      const covering = coverOf(signed, at);
      const context: LineContext = {
        prepared,
        line,
        log,
        lastOfRecord,
        chained: chain?.[at],
        signed: covering,
      };
      const follows = at === 0 || runningSeq === line.seq - 1;
      const claimed = follows ? runningHash : undefined;
      if (claimed === undefined) isGuessed = line.seq > 0;
      runningHash = line.placed ? this.#enterLine(context, claimed, isGuessed) : this.#enterUnplaced(context);
      runningSeq = line.placed ? line.seq : NO_STREAM_SEQ;
    }
  }

  /**
   * Answers the event hash of the line in the chain that its record spells out. Where the record does not say where its
   * chain begins (`isGuessed`), a line that is known goes on from the hash that is held of it: what was guessed may
   * differ when it comes again.
   */
  #enterLine(context: LineContext, claimed: Uint8Array | undefined, isGuessed: boolean): Uint8Array {
    const { line } = context;
    const draft = this.#stream(context.log.tenant, line.stream);
    const before = line.seq === 0 ? ZERO_HASH : draft.entered(line.seq - 1);
    const prev = (line.seq === 0 ? ZERO_HASH : claimed) ?? before ?? ZERO_HASH;
    const { chained } = context;
    const known = chained !== undefined && equalBytes(chained.prev, prev);
    const hash = known ? chained.hash : this.#hash(line, prev);
    if (draft.entered(line.seq) === undefined) {
      if (contradicts(draft, line.seq, { before, prev })) this.#enterClaim(context, draft, prev);
      this.#enterNew(context, draft, { hash, prev });
      return hash;
    }
    const held = this.#enterAgain(context, draft, { hash, prev });
    return isGuessed ? held : hash;
  }

  /** A line whose seq is entered already: a duplicate, or an equivocation. Answers the hash that is held of it. */
  #enterAgain(
    context: LineContext,
    draft: StreamDraft,
    hashed: { readonly hash: Uint8Array; readonly prev: Uint8Array },
  ): Uint8Array {
    const found = this.#heldAs(context.line, draft, hashed);
    if (found !== undefined) {
      this.#counts.duplicates += 1;
      return found;
    }
    this.#enterEquivocation(context, draft, hashed);
    return hashed.hash;
  }

  /** The hash under which the log holds these bytes already; undefined where it does not. */
  #heldAs(
    line: PreparedLine,
    draft: StreamDraft,
    { hash, prev }: { readonly hash: Uint8Array; readonly prev: Uint8Array },
  ): Uint8Array | undefined {
    const held = draft.known(line.seq);
    const before = line.seq === 0 ? [ZERO_HASH] : draft.known(line.seq - 1);
    return firstHeld(held, [hash]) ?? firstHeld(held, this.#hashesOver(line, before, prev));
  }

  /**
   * What of a record counts as signed: where the signature holds, its last line and those before it, as far back as each
   * gets an entry of its own, so that a verifier finds the chain from each of them to the hash that was signed. What is
   * asked here of a line does not depend on the lines before it in the record: what they add is what it was hashed over.
   */
  #signed(
    prepared: PreparedRecord,
    log: OpenLog,
    chain: NonNullable<ReturnType<typeof chainOf>>,
  ): SignedRun | undefined {
    const { lines } = prepared;
    const run = signedRun(prepared, chain, this.#signatures);
    if (run === undefined) {
      this.#counts.badSignatures += 1;
      return undefined;
    }
    const draft = this.#stream(log.tenant, (lines[0] as PreparedLine).stream);
    let from = lines.length;
    while (from > 0) {
      const line = lines[from - 1] as PreparedLine;
      const hashed = chain[from - 1];
      const isEntered = draft.entered(line.seq) !== undefined;
      if (hashed === undefined || (isEntered && this.#heldAs(line, draft, hashed) !== undefined)) break;
      from -= 1;
    }
    return { ...run, from };
  }

  /** Hashes that the same bytes would have over any other known predecessor. */
  #hashesOver(line: PreparedLine, before: readonly Uint8Array[], tried: Uint8Array): Uint8Array[] {
    const others = [...before, ZERO_HASH].filter((prev) => !equalBytes(prev, tried));
    return others.map((prev) => this.#hash(line, prev));
  }

  #hash(line: PreparedLine, prev: Uint8Array): Uint8Array {
    const input = { stream: line.streamId, seq: line.seq, prev, line: line.bytes };
    return eventHash(input, this.#settings.sha256);
  }

  #enterClaim(context: LineContext, draft: StreamDraft, claimed: Uint8Array): void {
    const seq = context.line.seq - 1;
    draft.add(seq, claimed);
    this.#counts.equivocations += 1;
    this.#find('equivocation', context, `another hash is claimed of event ${seq}`);
    const session = sessionOf(context.line.read);
    this.#append(context, { type: ENTRY_TYPES.equivocation, seq, hash: claimed, flags: 0, session });
  }

  #enterNew(
    context: LineContext,
    draft: StreamDraft,
    hashed: { readonly hash: Uint8Array; readonly prev: Uint8Array },
  ): void {
    const { line } = context;
    const session = sessionOf(line.read);
    const late = line.seq < draft.nextSeq;
    if (line.seq > draft.nextSeq) {
      this.#counts.gaps += 1;
      this.#find('gap', context, `events ${draft.nextSeq} to ${line.seq - 1} have not come`);
      const gap = { type: ENTRY_TYPES.gap, seq: draft.nextSeq, hash: ZERO_HASH, flags: 0, session };
      this.#append(context, gap);
    }
    draft.add(line.seq, hashed.hash);
    const rejected = line.read.kind === 'rejected';
    if (late && !rejected) this.#counts.late += 1;
    const type = rejected ? ENTRY_TYPES.deadLetter : late ? ENTRY_TYPES.late : typeOfKind(line.read);
    const { hash, prev } = hashed;
    this.#appendLine(context, { type, hash, prev, draft, equivocation: false });
  }

  #enterEquivocation(
    context: LineContext,
    draft: StreamDraft,
    hashed: { readonly hash: Uint8Array; readonly prev: Uint8Array },
  ): void {
    draft.add(context.line.seq, hashed.hash);
    this.#counts.equivocations += 1;
    this.#find('equivocation', context, `event ${context.line.seq} came with other bytes`);
    const rejected = context.line.read.kind === 'rejected';
    const type = rejected ? ENTRY_TYPES.deadLetter : ENTRY_TYPES.equivocation;
    this.#appendLine(context, { type, ...hashed, draft, equivocation: true });
  }

  #enterUnplaced(context: LineContext): Uint8Array {
    const hash = this.#hash(context.line, ZERO_HASH);
    const entry = {
      type: ENTRY_TYPES.deadLetter,
      hash,
      prev: ZERO_HASH,
      draft: undefined,
      equivocation: false,
    };
    this.#appendLine(context, entry);
    return hash;
  }

  #appendLine(
    context: LineContext,
    entry: {
      readonly type: number;
      readonly hash: Uint8Array;
      readonly prev: Uint8Array;
      readonly draft: StreamDraft | undefined;
      readonly equivocation: boolean;
    },
  ): void {
    const { line, prepared } = context;
    const { appendMs } = prepared.record;
    const own = line.read.kind === 'event' ? lineFlags(line.read.event, appendMs) : 0;
    const { signed, lastOfRecord } = context;
    const flags =
      own | (lastOfRecord ? ENTRY_FLAGS.lastOfBatch : 0) | (signed === undefined ? 0 : ENTRY_FLAGS.signed);
    const session = sessionOf(line.read);
    const who = signed === undefined ? {} : { keyId: signed.keyId };
    const at = this.#append(context, {
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
    writePayloadRow(this.#tables.payloads, at, payload);
    this.#lines.push({ at, ...payload, subject: subjectOf(line.read, at) });
    this.#project(at, line, entry);
  }

  #noteSigner(context: LineContext): void {
    const { signed, prepared, lastOfRecord } = context;
    if (signed !== undefined) this.#counts.signed += 1;
    if (!lastOfRecord) return;
    if (signed !== undefined) return this.#find('unregistered', context, 'signed', signerKey(signed.keyId));
    const isBad = prepared.batch !== undefined && context.chained !== undefined;
    this.#find(
      isBad ? 'bad_signature' : 'unsigned',
      context,
      isBad ? 'the signature does not hold' : 'unsigned',
    );
  }

  /** Of the lines of hosts alone: what the service writes of itself is not theirs. */
  #find(
    kind: FindingKind,
    { prepared, line }: LineContext,
    detail: string,
    key: Readonly<Record<string, string>> = { stream: line.stream },
  ): void {
    if (prepared.record.topic !== TOPICS.toolcalls.name) return;
    const event = referenceOf(prepared.record, line);
    if (event === undefined) return;
    this.#findings.add({ kind, tenant: prepared.tenant, key, event, detail });
  }

  #project(
    at: EntryPosition,
    line: PreparedLine,
    entry: { readonly draft: StreamDraft | undefined; readonly equivocation: boolean },
  ): void {
    const { read } = line;
    switch (read.kind) {
      case 'event':
        return this.#projectEvent(at, read, entry);
      case 'alert':
        return writeAlertRow(this.#tables.alerts, at, projectAlert(read.event, at.appendMs));
      case 'dead_letter': {
        const raw = fromBase64(read.event.deadLetter.rawBase64) ?? NO_BYTES;
        return writeDeadLetterRow(this.#tables.dead_letters, at, { row: projectDeadLetter(read.event), raw });
      }
      case 'rejected': {
        const origin = `${at.topic}/${at.partition}/${at.offset}/${at.line}`;
        const row = projectRejected(read, { origin, bytes: line.bytes }, this.#settings.sha256);
        this.#counts.deadLetters += 1;
        return writeDeadLetterRow(this.#tables.dead_letters, at, { row, raw: line.bytes });
      }
      case 'audit':
        return this.#projectAudit(at, read.event);
    }
  }

  #projectAudit(at: EntryPosition, line: AuditLine): void {
    const row = projectDisposition(line, at.appendMs);
    if (row !== undefined) writeDispositionRow(this.#tables.dispositions, at, row);
  }

  #projectEvent(
    at: EntryPosition,
    read: { readonly event: Event; readonly unknownFields: readonly string[] },
    entry: { readonly draft: StreamDraft | undefined; readonly equivocation: boolean },
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
    this.#tables.events.add(at, row);
  }

  #append(context: LineContext, entry: NewEntry): EntryPosition {
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
    this.#counts.entries += 1;
    writeLedgerRow(this.#tables.ledger, row);
    return row;
  }

  #stream(tenant: string, stream: string): StreamDraft {
    const last = this.#lastStream;
    if (last !== undefined && last.stream === stream && last.tenant === tenant) return last.draft;
    const key = streamKey(tenant, stream);
    let draft = this.#drafts.get(key);
    if (draft === undefined) {
      draft = new StreamDraft(this.#known.get(key));
      this.#drafts.set(key, draft);
    } else draft.deepen(this.#known.get(key));
    this.#lastStream = { tenant, stream, draft };
    return draft;
  }

  #log(tenant: string): OpenLog {
    let log = this.#logs.get(tenant);
    if (log === undefined) {
      log = openLog(tenant, this.#before, this.#settings);
      this.#logs.set(tenant, log);
    }
    return log;
  }

  outcome(): BatchOutcome {
    const { topic, partition } = this.#before;
    const heads = new Map(this.#before.heads);
    const logs: Manifest['logs'][number][] = [];
    const leaves = new Map<string, Uint8Array>();
    for (const log of this.#logs.values()) {
      if (log.leaves.bytes().length === 0) continue;
      const newHead = closeLog(log, this.#settings.sha256);
      const extension = log.extension.hashes().map(toHex);
      logs.push({ logId: log.idHex, oldHead: log.old, newHead, extension });
      heads.set(log.idHex, newHead);
      leaves.set(log.idHex, log.leaves.bytes());
    }
    logs.sort((a, b) => (a.logId < b.logId ? -1 : 1));
    const { sha256 } = this.#settings;
    const digest = (table: TableName): Uint8Array => sha256(this.#tables[table].bytes());
    const ledger = digest('ledger');
    const payloads = digest('payloads');
    const rowsHash = toHex(sha256(concatBytes([ledger, payloads])));
    const span = { firstOffset: this.#before.nextOffset, nextOffset: this.#nextOffset };
    const watermarkMs = this.#watermarkMs;
    return {
      manifest: { topic, partition, ...span, logs, rowsHash, watermarkMs },
      tables: this.#tables,
      lines: this.#lines,
      digests: {
        payloads: toHex(payloads),
        events: toHex(digest('events')),
        alerts: toHex(digest('alerts')),
        dead_letters: toHex(digest('dead_letters')),
        dispositions: toHex(digest('dispositions')),
        ledger: toHex(ledger),
      },
      leaves,
      counts: this.#counts,
      findings: this.#findings.list(),
      state: { topic, partition, nextOffset: this.#nextOffset, watermarkMs, heads },
      streams: this.#drafts,
    };
  }
}

/** The signature, where it covers the line at this index. */
function coverOf(signed: SignedRun | undefined, at: number): SignedRun | undefined {
  return signed !== undefined && at >= signed.from ? signed : undefined;
}

/** One a set of settings, so that a stream's certificate is checked once a process and not once a batch. */
const SIGNATURES = new WeakMap<StepSettings, BatchSignatures>();

function signaturesOf(settings: StepSettings): BatchSignatures {
  const known = SIGNATURES.get(settings);
  if (known !== undefined) return known;
  const made = new BatchSignatures(settings);
  SIGNATURES.set(settings, made);
  return made;
}

function sessionOf(read: LedgerLine): string {
  return read.kind === 'rejected' ? '' : read.event.session;
}

/**
 * Events are of a principal in a session, so that either can be erased. A line of its own is what is of nobody in
 * particular: an alert, which may cite many, and what could not be read. The audit trail is kept in the clear.
 */
function subjectOf(read: LedgerLine, at: EntryPosition): string | undefined {
  switch (read.kind) {
    case 'event':
      return `e\0${at.tenant}\0${read.event.session}\0${read.event.principal ?? ''}`;
    case 'audit':
      return undefined;
    case 'alert':
    case 'dead_letter':
    case 'rejected':
      return `l\0${at.topic}\0${at.partition}\0${at.offset}\0${at.line}`;
  }
}

const TYPE_OF_KIND: Readonly<Partial<Record<string, number>>> = Object.freeze({
  'stream.open': ENTRY_TYPES.streamOpen,
  'stream.heartbeat': ENTRY_TYPES.streamHeartbeat,
  'stream.close': ENTRY_TYPES.streamClose,
});

function typeOfKind(read: LedgerLine): number {
  if (read.kind === 'audit' && read.event.audit.erasure !== undefined) return ENTRY_TYPES.erasure;
  if (read.kind === 'audit' && isKeyChange(read.event)) return ENTRY_TYPES.key;
  return (read.kind === 'event' ? TYPE_OF_KIND[read.event.kind] : undefined) ?? ENTRY_TYPES.event;
}

/** The line claims a predecessor of which nothing is known, though others are known for that seq. */
function contradicts(
  draft: StreamDraft,
  seq: number,
  { before, prev }: { readonly before: Uint8Array | undefined; readonly prev: Uint8Array },
): boolean {
  if (before === undefined || equalBytes(before, prev)) return false;
  return !isHeld(draft.known(seq - 1), [prev]);
}

function isHeld(held: readonly Uint8Array[], candidates: readonly Uint8Array[]): boolean {
  return firstHeld(held, candidates) !== undefined;
}

function firstHeld(held: readonly Uint8Array[], candidates: readonly Uint8Array[]): Uint8Array | undefined {
  return candidates.find((candidate) => held.some((hash) => equalBytes(hash, candidate)));
}
