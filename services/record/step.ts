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
import { concatBytes, equalBytes, hashFromHex, toHex, ZERO_HASH } from '../evidence/bytes.ts';
import { BatchSignatures } from '../evidence/batch-signature.ts';
import { ENTRY_TYPES } from '../evidence/entry.ts';
import { eventHash } from '../evidence/event-hash.ts';
import { EntryWriter, type LineContext } from './entry-writer.ts';
import { sessionOf, typeOfKind } from './line-kinds.ts';
import { closeLogs, openLog, type OpenLog, type PartitionHeads, type StepSettings } from './open-log.ts';
import { digestsOf, type BatchOutcome, type EnteredRows, type KeepRow } from './outcome.ts';
import { streamKey, type PreparedLine, type PreparedRecord } from './prepare.ts';
import { chainOf, signedRun, type SignedRun } from './signed-run.ts';
import { contradicts, firstHeld, StreamDraft, type StreamState } from './stream-state.ts';

const NO_STREAM_SEQ = -1;

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
  readonly #writer: EntryWriter;
  #known: ReadonlyMap<string, StreamState> = new Map();
  #lastStream: { readonly tenant: string; readonly stream: string; readonly draft: StreamDraft } | undefined;
  #nextOffset: number;
  #watermarkMs: number;

  /** `expectedBytes` of all lines: a hint that saves growing the tables. `keep`: the rows that are written; absent: all. */
  constructor(before: PartitionHeads, settings: StepSettings, expectedBytes = 0, keep?: KeepRow) {
    this.#before = before;
    this.#settings = settings;
    this.#signatures = signaturesOf(settings);
    this.#nextOffset = before.nextOffset;
    this.#watermarkMs = before.watermarkMs;
    this.#writer = new EntryWriter(settings, expectedBytes, keep);
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
    this.#writer.counts.records += 1;
    if (prepared.tick) {
      this.#writer.counts.ticks += 1;
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
      this.#writer.counts.duplicates += 1;
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
      this.#writer.counts.badSignatures += 1;
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
    this.#writer.counts.equivocations += 1;
    this.#writer.find('equivocation', context, `another hash is claimed of event ${seq}`);
    const session = sessionOf(context.line.read);
    this.#writer.append(context, { type: ENTRY_TYPES.equivocation, seq, hash: claimed, flags: 0, session });
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
      this.#writer.counts.gaps += 1;
      this.#writer.find('gap', context, `events ${draft.nextSeq} to ${line.seq - 1} have not come`);
      const gap = { type: ENTRY_TYPES.gap, seq: draft.nextSeq, hash: ZERO_HASH, flags: 0, session };
      this.#writer.append(context, gap);
    }
    draft.add(line.seq, hashed.hash);
    const rejected = line.read.kind === 'rejected';
    if (late && !rejected) this.#writer.counts.late += 1;
    const type = rejected ? ENTRY_TYPES.deadLetter : late ? ENTRY_TYPES.late : typeOfKind(line.read);
    const { hash, prev } = hashed;
    this.#writer.appendLine(context, { type, hash, prev, draft, equivocation: false });
  }

  #enterEquivocation(
    context: LineContext,
    draft: StreamDraft,
    hashed: { readonly hash: Uint8Array; readonly prev: Uint8Array },
  ): void {
    draft.add(context.line.seq, hashed.hash);
    this.#writer.counts.equivocations += 1;
    this.#writer.find('equivocation', context, `event ${context.line.seq} came with other bytes`);
    const rejected = context.line.read.kind === 'rejected';
    const type = rejected ? ENTRY_TYPES.deadLetter : ENTRY_TYPES.equivocation;
    this.#writer.appendLine(context, { type, ...hashed, draft, equivocation: true });
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
    this.#writer.appendLine(context, entry);
    return hash;
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

  /** For rows that are made again: heads need no compact ranges. */
  enteredRows(): EnteredRows {
    const { tables, lines } = this.#writer;
    const entered = [...this.#logs.values()].map(
      ({ idHex, tenant, old, leaves }) =>
        [idHex, { tenant, from: old?.size ?? 0, leaves: leaves.bytes() }] as const,
    );
    const digests = digestsOf(tables, this.#settings.sha256);
    return { tables, lines, digests, streams: this.#drafts, entered: new Map(entered) };
  }

  outcome(): BatchOutcome {
    const { topic, partition } = this.#before;
    const { heads, logs, leaves } = closeLogs(this.#logs.values(), this.#before, this.#settings.sha256);
    const { sha256 } = this.#settings;
    const { tables, lines, counts, findings } = this.#writer;
    const digests = digestsOf(tables, sha256);
    const rowsHash = toHex(sha256(concatBytes([hashFromHex(digests.ledger), hashFromHex(digests.payloads)])));
    const span = { firstOffset: this.#before.nextOffset, nextOffset: this.#nextOffset };
    const watermarkMs = this.#watermarkMs;
    return {
      manifest: { topic, partition, ...span, logs, rowsHash, watermarkMs },
      tables,
      lines,
      digests,
      leaves,
      counts,
      findings: findings.list(),
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
