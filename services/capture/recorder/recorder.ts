/**
 * Puts drafts on record: gives each line its place in the stream, writes it to the spool (before the call leaves, or after the
 * journal has the line of the call), and sends the spool to the service. Appending is synchronous, so that a caller knows when it may let a call go.
 */
import type { EventDraft } from '../draft.ts';
import { LineWriter, prepareLines, type PreparedLine, type StreamIdentity } from '../encode.ts';
import type { CaptureLog } from '../log.ts';
import type { BatchSigner } from './batch-signer.ts';
import { ChainPosition } from './chain.ts';
import { SendLoop } from './send-loop.ts';
import type { JournalledLine, OpenCall, StreamJournal } from './line-parts.ts';
import type { Publisher } from './publisher.ts';
import type { AppendOutcome, Spool } from './spool.ts';

export interface RecorderOptions {
  readonly spool: Spool;
  readonly journal: StreamJournal;
  /** Undefined: nothing is signed. */
  readonly signer?: BatchSigner | undefined;
  readonly publisher: Publisher;
  readonly identity: StreamIdentity;
  readonly nowMs: () => number;
  readonly randomHex: (bytes: number) => string;
  /** A full spool gives events up and puts a gap on record, or holds the calls. */
  readonly onSpoolFull: 'gap' | 'block';
  /** Events of this long are sent together; 0 sends at once. */
  readonly flushIntervalMs: number;
  readonly log: CaptureLog;
  /** What goes on record of a draft; undefined: all of it. Before anything is hashed or written. */
  readonly redact?: ((draft: EventDraft) => EventDraft) | undefined;
}

export interface RecorderCounts {
  readonly written: number;
  readonly sent: number;
  readonly rejected: number;
  readonly dropped: number;
}

/** `full`: nothing was written; wait for `room()` and record again, or the call must not leave. */
export type RecordOutcome = 'stored' | 'dropped' | 'full';

interface PlacedLine {
  readonly seq: number;
  readonly bytes: number;
  readonly hash: Uint8Array;
}

const ROOM_POLL_MS = 50;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #loop: SendLoop;
  readonly #chain: ChainPosition;
  readonly #writer = new LineWriter();
  /** Lines given up since the last gap on record. */
  #places: readonly number[] = [];
  #gap = 0;
  #dropped = 0;
  #closed = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#chain = new ChainPosition(options.identity.stream);
    this.#loop = new SendLoop({ ...options, stream: options.identity.stream });
  }

  get counts(): RecorderCounts {
    const { sent, rejected } = this.#loop;
    return { written: this.#chain.nextSeq, sent, rejected, dropped: this.#dropped };
  }

  get stream(): string {
    return this.#options.identity.stream;
  }

  /** Puts stream.open (with `fields`) on record. */
  open(fields: Readonly<Record<string, unknown>> = {}): RecordOutcome {
    const { signer } = this.#options;
    const certificate = signer === undefined ? {} : { certificate: signer.certificate };
    return this.record([this.#draft('stream.open', { ...fields, ...certificate })]);
  }

  #draft(kind: EventDraft['kind'], fields: Readonly<Record<string, unknown>> = {}): EventDraft {
    return { kind, timeMs: this.#options.nowMs(), fields };
  }

  /**
   * Writes the drafts in order. When it answers `stored` they are in the spool (fsynced where configured). `full` only
   * for a caller that can wait, and where the spool blocks; what nobody waits for becomes a gap on record instead.
   */
  record(drafts: readonly EventDraft[], canWait = false): RecordOutcome {
    return this.#record(drafts, canWait, 0);
  }

  /** The same of the next `lines` of the journal. */
  recordKept(drafts: readonly EventDraft[], lines: number): RecordOutcome {
    if (drafts.length === 0) this.#options.journal.looksAt(lines, this.#chain.nextSeq, this.#chain.nextSeq);
    return this.#record(drafts, false, lines);
  }

  #record(drafts: readonly EventDraft[], canWait: boolean, journalled: number): RecordOutcome {
    if (drafts.length === 0 || this.#closed) return 'stored';
    const { redact } = this.#options;
    const linesOf = drafts.map((draft) => prepareLines(redact === undefined ? draft : redact(draft)));
    const prepared = linesOf.flat();
    const gap = this.#gap === 0 ? [] : prepareLines(this.#gapDraft());
    const { nextSeq: firstSeq, prev, hash } = this.#chain;
    const placed = this.#place(gap, prepared);
    this.#options.journal.looksAt(journalled, firstSeq, this.#chain.nextSeq);
    const outcome = this.#append(this.#writer.bytes, { firstSeq, prev });
    this.#writer.clear();
    this.#places = [];
    switch (outcome) {
      case 'stored':
        this.#places = placesOf(linesOf, firstSeq + gap.length);
        this.#gap = 0;
        this.#sign(placed);
        this.#loop.wake();
        return 'stored';
      case 'full':
      case 'failed':
        this.#chain.rewind(firstSeq, hash);
        if (canWait && this.#options.onSpoolFull === 'block') return 'full';
        return this.#overflow(prepared.length, outcome);
    }
  }

  /**
   * True when the line is in the journal of this stream and may go on before it is on record.
   */
  keepLine(line: JournalledLine, openCalls: () => readonly OpenCall[]): boolean {
    return this.mayKeep && this.#options.journal.keep(line, openCalls);
  }

  /** False where there is no spool that a journal could be read against, since its disk has refused all until now. */
  get mayKeep(): boolean {
    return !this.#closed && this.#chain.nextSeq > 0;
  }

  /** A segment is sent on its own, and so a batch must not go on in the next one. */
  #append(bytes: Uint8Array, at: { readonly firstSeq: number; readonly prev: string }): AppendOutcome {
    const { spool, signer } = this.#options;
    if (spool.startsSegment()) signer?.seal();
    return spool.append(bytes, at);
  }

  #overflow(lines: number, cause: 'full' | 'failed'): RecordOutcome {
    if (this.#gap === 0) this.#options.log('error', 'spool_full', { cause });
    this.#gap += lines;
    this.#dropped += lines;
    return 'dropped';
  }

  #gapDraft(): EventDraft {
    return this.#draft('stream.gap', { streamState: { dropped: this.#gap, reason: 'spool_full' } });
  }

  #sign(placed: readonly PlacedLine[]): void {
    for (const { seq, bytes, hash } of placed) this.#options.signer?.add(seq, bytes, hash);
  }

  /** Writes the lines into the writer, and on to the chain. */
  #place(gap: readonly PreparedLine[], prepared: readonly PreparedLine[]): readonly PlacedLine[] {
    const placed: PlacedLine[] = [];
    for (const lines of [gap, prepared])
      for (const line of lines) {
        const seq = this.#chain.nextSeq;
        const place = { seq, nonce: this.#options.randomHex(16) };
        const bytes = this.#writer.add(line, this.#options.identity, place);
        this.#chain.add(bytes);
        placed.push({ seq, bytes: bytes.length, hash: this.#chain.hash });
      }
    return placed;
  }

  /** Sequences of the drafts that were recorded last, in their order; none where they were given up. */
  get places(): readonly number[] {
    return this.#places;
  }

  /** Sends what is spooled without waiting for more. */
  flush(): void {
    this.#loop.flush();
  }

  /** A heartbeat, with fields that changed. */
  note(fields: Readonly<Record<string, unknown>>): RecordOutcome {
    return this.record([this.#draft('stream.heartbeat', fields)]);
  }

  /** Bytes that the service has not taken. */
  get unsentBytes(): number {
    return this.#options.spool.unsentBytes;
  }

  /** Resolves when the spool may have room again, or after a short while: ask again then. */
  room(): Promise<void> {
    this.#loop.wake();
    return new Promise((resolve) => void setTimeout(resolve, ROOM_POLL_MS));
  }

  /**
   * Puts stream.close on record and sends what is spooled for at most `timeoutMs`; the rest stays on disk for the next
   * process. Idempotent.
   */
  async close(timeoutMs: number): Promise<void> {
    if (this.#closed) return;
    const count = this.#chain.nextSeq + (this.#gap === 0 ? 1 : 2);
    this.record([this.#draft('stream.close', { streamState: { count } })]);
    this.#closed = true;
    await this.#loop.finish(timeoutMs);
    this.#options.journal.close();
    this.#options.spool.close();
    this.#options.publisher.close();
  }
}

function placesOf(linesOf: readonly (readonly PreparedLine[])[], firstSeq: number): number[] {
  let seq = firstSeq;
  return linesOf.map((lines) => {
    const first = seq;
    seq += lines.length;
    return first;
  });
}
