/**
 * Sends what crashed processes left in the spool directory. A stream is taken over by renaming its directory (atomic:
 * one taker wins). What the dead writer could not say is added first and made durable: lines that it had let go and not
 * looked at, its open calls as `abandoned`, and the end of the stream; then the segments are sent and deleted. A second crash repeats all of it: the same bytes.
 * Signatures that the dead writer kept go along; what it had not signed, and what is added here, is sent unsigned.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CaptureLog } from '../log.ts';
import type { ReadProcess } from '../session.ts';
import { ChainPosition } from './chain.ts';
import { finishedSegment, type FinishOptions } from './finish-stream.ts';
import { JOURNAL_FILE } from './line-parts.ts';
import { ownershipOf } from './owner.ts';
import type { PublishOutcome, Publisher } from './publisher.ts';
import { parseSealed, planRequest, SEALED_FILE, type SealedBatch } from './sealed.ts';
import { readSegments, type Segment } from './segments.ts';

export interface DrainerOptions extends FinishOptions {
  readonly directory: string;
  readonly owner: string;
  readonly publisher: () => Publisher;
  readonly readProcess: ReadProcess;
  readonly bootId: string;
  readonly pidSpace: string;
  readonly log: CaptureLog;
}

const FIRST_DRAIN_MS = 200;
const DRAIN_INTERVAL_MS = 15_000;
const MAX_BATCH_LINES = 512;

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
      this.#finishStream(directory, stream);
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

  /**
   * Puts what the dead writer owed at the end of its last segment, which is replaced as a whole: a crash in between
   * leaves the one or the other.
   */
  #finishStream(directory: string, stream: string): void {
    const segments = readSegments(directory, stream);
    const finished = finishedSegment(segments, readJournalFile(directory), this.#options);
    if (finished === undefined) return;
    const temporary = `${finished.file}.tmp`;
    writeFileSync(temporary, finished.bytes, { mode: 0o600, flush: true });
    renameSync(temporary, finished.file);
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

function readJournalFile(directory: string): Uint8Array | undefined {
  try {
    return readFileSync(path.join(directory, JOURNAL_FILE));
  } catch {
    return undefined; // Of a host whose lines are on record before they go on.
  }
}
