/**
 * Sends what crashed processes left in the spool directory. A stream is taken over by renaming its directory (atomic:
 * one taker wins). What the dead writer could not say is added first and made durable: its open calls are `abandoned`
 * and the stream ends; then the segments are sent and deleted. A second crash repeats all of it: the same bytes.
 * Signatures that the dead writer kept go along; what it had not signed, and what is added here, is sent unsigned.
 */
import { appendFileSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { LineWriter, prepareLines, type StreamIdentity } from '../encode.ts';
import type { EventDraft } from '../draft.ts';
import type { CaptureLog } from '../log.ts';
import type { ReadProcess } from '../session.ts';
import { ChainPosition } from './chain.ts';
import { ownershipOf } from './owner.ts';
import type { PublishOutcome, Publisher } from './publisher.ts';
import { parseSealed, planRequest, SEALED_FILE, type SealedBatch } from './sealed.ts';
import { cutLines, type SegmentHeader, type SpoolBatch } from './spool.ts';

export interface DrainerOptions {
  readonly directory: string;
  readonly owner: string;
  readonly publisher: () => Publisher;
  readonly readProcess: ReadProcess;
  readonly bootId: string;
  readonly pidSpace: string;
  readonly nowMs: () => number;
  readonly randomHex: (bytes: number) => string;
  readonly log: CaptureLog;
}

const FIRST_DRAIN_MS = 200;
const DRAIN_INTERVAL_MS = 15_000;
const MAX_BATCH_LINES = 512;

interface Segment {
  readonly file: string;
  readonly header: SegmentHeader;
  readonly lines: readonly Uint8Array[];
  /** Bytes of the file up to its last newline. */
  readonly wholeBytes: number;
}

type Line = Readonly<Record<string, unknown>>;

export class Drainer {
  readonly #options: DrainerOptions;
  /** Directories that this process took over and has not finished. */
  readonly #claimed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: DrainerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule(FIRST_DRAIN_MS);
  }

  /** Takes on a stream of this process that ended before the service had all of it. */
  adopt(stream: string): void {
    this.#claimed.add(`${stream}@${this.#options.owner}`);
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#pass().finally(() => {
        this.#running = undefined;
        if (!this.#stopped) this.#schedule(DRAIN_INTERVAL_MS);
      });
    }, delayMs);
    this.#timer.unref();
  }

  async #pass(): Promise<void> {
    for (const name of this.#directories()) {
      if (this.#stopped) return;
      const { kind, stream } = ownershipOf(name, this.#options);
      const own = `${stream}@${this.#options.owner}`;
      // Ours from an earlier pass, while the service was away: goes on. The living stream of this process is not listed.
      if (kind === 'dead' && this.#claim(name, own)) this.#claimed.add(own);
      if (this.#claimed.has(own)) await this.#drain(path.join(this.#options.directory, own), stream);
    }
  }

  #directories(): readonly string[] {
    try {
      return readdirSync(this.#options.directory);
    } catch {
      return [];
    }
  }

  #claim(from: string, to: string): boolean {
    try {
      renameSync(path.join(this.#options.directory, from), path.join(this.#options.directory, to));
      return true;
    } catch {
      return false; // Somebody else was faster.
    }
  }

  async #drain(directory: string, stream: string): Promise<void> {
    const publisher = this.#options.publisher();
    try {
      const segments = readSegments(directory, stream);
      this.#finishStream(segments, stream);
      const sealed = readSealed(directory);
      for (const segment of readSegments(directory, stream)) {
        if (!(await this.#send(segment, sealed, publisher))) return;
        rmSync(segment.file, { force: true });
      }
      rmSync(directory, { recursive: true, force: true });
      this.#claimed.delete(path.basename(directory));
      this.#options.log('info', 'spool_drained', { stream });
    } catch {
      this.#options.log('error', 'spool_drain_failed', { stream });
    } finally {
      publisher.close();
    }
  }

  /** Adds what the dead writer owed to the end of the last segment, after cutting a torn line. */
  #finishStream(segments: readonly Segment[], stream: string): void {
    const last = segments.at(-1);
    if (last === undefined) return;
    const lines = segments.flatMap((segment) => segment.lines.map(parsedLine));
    const end = lines.at(-1);
    if (end === undefined || end['kind'] === 'stream.close') return;
    const chain = new ChainPosition(stream, last.header.firstSeq, last.header.prev);
    for (const line of last.lines) chain.add(line);
    const drafts = this.#owed(lines, chain.nextSeq);
    const identity = identityOf(end, stream);
    const writer = new LineWriter();
    for (const prepared of drafts.flatMap(prepareLines)) {
      const place = { seq: chain.nextSeq, nonce: this.#options.randomHex(16) };
      chain.add(writer.add(prepared, identity, place));
    }
    truncateSync(last.file, last.wholeBytes);
    appendFileSync(last.file, writer.bytes, { flush: true });
  }

  #owed(lines: readonly Line[], nextSeq: number): readonly EventDraft[] {
    const open = new Map<string, Line>();
    for (const line of lines) {
      const callId = typeof line['callId'] === 'string' ? line['callId'] : '';
      if (line['kind'] === 'call.intent') open.set(callId, line);
      else if (line['kind'] === 'call.result') open.delete(callId);
    }
    const timeMs = this.#options.nowMs();
    const abandoned = [...open.values()].map((intent): EventDraft => ({
      kind: 'call.result',
      timeMs,
      fields: { ...callFields(intent), outcome: 'abandoned', labels: ['writer_crashed'] },
    }));
    const count = nextSeq + abandoned.length + 1;
    const fields = { streamState: { count, reason: 'writer_crashed' } };
    return [...abandoned, { kind: 'stream.close', timeMs, fields }];
  }

  /** True when the service has the segment or refused it for good. */
  async #send(segment: Segment, sealed: readonly SealedBatch[], publisher: Publisher): Promise<boolean> {
    const chain = new ChainPosition(segment.header.stream, segment.header.firstSeq, segment.header.prev);
    let at = 0;
    let maxLines = MAX_BATCH_LINES;
    while (at < segment.lines.length && !this.#stopped) {
      const some = segment.lines.slice(at, at + maxLines);
      const plan = planRequest(sealed, chain.nextSeq, some.length);
      const lines = plan.lines === 0 ? some : some.slice(0, plan.lines);
      const outcome = await publisher.publish(
        joined(lines),
        chain.prev,
        plan.lines === 0 ? [] : plan.batches,
      );
      if (outcome.kind === 'too_large' && lines.length > 1) {
        maxLines = Math.max(1, Math.floor(lines.length / 2));
        continue;
      }
      if (!this.#isSettled(outcome, segment.header.stream)) return false;
      for (const line of lines) chain.add(line);
      at += lines.length;
    }
    return at >= segment.lines.length;
  }

  #isSettled(outcome: PublishOutcome, stream: string): boolean {
    switch (outcome.kind) {
      case 'taken':
        if (outcome.rejected > 0)
          this.#options.log('error', 'events_rejected', { stream, count: outcome.rejected });
        return true;
      case 'refused':
      case 'too_large':
        this.#options.log('error', 'events_rejected', { stream });
        return true;
      case 'denied':
      case 'away':
        return false;
    }
  }

  /** Ends after the request under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.race([
      this.#running ?? Promise.resolve(),
      new Promise<void>((resolve) => void setTimeout(resolve, 500).unref()),
    ]);
  }
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]));
}

const CALL_FIELDS =
  'callId logicalCallId traceId spanId parentSpanId server transport tool class verdict controlId'.split(' ');

function callFields(intent: Line): Record<string, unknown> {
  return Object.fromEntries(Object.entries(intent).filter(([name]) => CALL_FIELDS.includes(name)));
}

function identityOf(line: Line, stream: string): StreamIdentity {
  const text = (name: string): string | undefined =>
    typeof line[name] === 'string' ? line[name] : undefined;
  return {
    stream,
    session: text('session') ?? 'unknown',
    agent: text('agent') ?? 'unknown',
    principal: text('principal'),
    host: text('host'),
  };
}

function parsedLine(line: Uint8Array): Line {
  try {
    return JSON.parse(new TextDecoder().decode(line)) as Line;
  } catch {
    return {};
  }
}

/** A last line that a crash cut off is none. */
function readSealed(directory: string): readonly SealedBatch[] {
  let text: string;
  try {
    text = readFileSync(path.join(directory, SEALED_FILE), 'latin1');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => parseSealed(line) ?? []);
}

function readSegments(directory: string, stream: string): readonly Segment[] {
  return readdirSync(directory)
    .filter((name) => /^\d{16,}\.ndjson$/u.test(name))
    .toSorted()
    .map((name) => readSegment(path.join(directory, name), stream))
    .filter((segment): segment is Segment => segment !== undefined);
}

function readSegment(file: string, stream: string): Segment | undefined {
  const { bytes, lines } = cutAll(readFileSync(file));
  const [first, ...rest] = lines;
  if (first === undefined) return undefined;
  const header = parsedLine(first) as Partial<SegmentHeader>;
  const isOurs = header.format === 'tripline-spool/1' && header.stream === stream;
  if (!isOurs || header.firstSeq === undefined || header.prev === undefined) return undefined;
  return { file, header: header as SegmentHeader, lines: rest, wholeBytes: bytes.length };
}

function cutAll(bytes: Uint8Array): SpoolBatch {
  return cutLines(bytes, Number.MAX_SAFE_INTEGER);
}
