/** Sends a spool in order: one request at a time, repeated with back-off until the service has it or refused it. */
import type { CaptureLog } from '../log.ts';
import type { BatchSigner } from './batch-signer.ts';
import { ChainPosition } from './chain.ts';
import type { PublishOutcome, Publisher } from './publisher.ts';
import { planRequest, type SealedBatch } from './sealed.ts';
import { firstLines, type Spool, type SpoolBatch } from './spool.ts';

export interface SendLoopOptions {
  readonly spool: Spool;
  readonly signer?: BatchSigner | undefined;
  readonly publisher: Publisher;
  readonly stream: string;
  readonly flushIntervalMs: number;
  readonly log: CaptureLog;
}

const MAX_BATCH_BYTES = 2 * 1024 * 1024;
const MAX_BATCH_LINES = 512;
/** Flush intervals between requests while events keep coming. */
const STEADY_INTERVALS = 8;
/** As much as this is sent without a pause. */
const BACKLOG_BYTES = 256 * 1024;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
/** A token is mended by a person. */
const DENIED_BACKOFF_MS = 10_000;

export class SendLoop {
  readonly #options: SendLoopOptions;
  readonly #chain: ChainPosition;
  #sent = 0;
  #rejected = 0;
  #maxLines = MAX_BATCH_LINES;
  #failures = 0;
  #lastTrouble = '';
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #finishing = false;
  #stopped = false;

  constructor(options: SendLoopOptions) {
    this.#options = options;
    this.#chain = new ChainPosition(options.stream);
  }

  get sent(): number {
    return this.#sent;
  }

  get rejected(): number {
    return this.#rejected;
  }

  /** There is something to send. Cheap; called for every event. */
  wake(): void {
    if (this.#timer !== undefined || this.#running !== undefined || this.#stopped) return;
    this.#schedule(this.#options.flushIntervalMs);
  }

  /** Sends at once what waits for its interval; a back-off is not cut short. */
  flush(): void {
    if (this.#running !== undefined || this.#stopped || this.#failures > 0 || this.#lastTrouble !== '')
      return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#pump().finally(() => {
        this.#running = undefined;
      });
    }, delayMs);
    this.#timer.unref();
  }

  async #pump(): Promise<void> {
    for (;;) {
      if (this.#stopped) return;
      const request = this.#next();
      if (request === undefined) return;
      const { batch, signed } = request;
      const outcome = await this.#options.publisher.publish(batch.bytes, this.#chain.prev, signed);
      if (this.#stopped) return;
      const waitMs = this.#settle(batch, outcome);
      if (waitMs === undefined) continue;
      if (!this.#finishing) this.#schedule(waitMs);
      return;
    }
  }

  /** The lines of the next request, with the signatures over them. */
  #next(): { readonly batch: SpoolBatch; readonly signed: readonly SealedBatch[] } | undefined {
    const { spool, signer } = this.#options;
    signer?.seal();
    const batch = spool.read(MAX_BATCH_BYTES, this.#maxLines);
    if (batch === undefined || signer === undefined) return batch && { batch, signed: [] };
    const { lines, batches } = planRequest(signer.sealed, this.#chain.nextSeq, batch.lines.length);
    // A batch that is too large for one request goes in parts, which its signature does not cover.
    return lines === 0 ? { batch, signed: [] } : { batch: firstLines(batch, lines), signed: batches };
  }

  /** Acts on the outcome; answers how long to wait, or undefined to go on at once. */
  #settle(batch: SpoolBatch, outcome: PublishOutcome): number | undefined {
    switch (outcome.kind) {
      case 'taken':
        if (outcome.rejected > 0) this.#logRejected(outcome.rejected, outcome.firstCode);
        this.#advance(batch, outcome.rejected);
        return this.#pauseMs();
      case 'refused':
        this.#logRejected(batch.lines.length, outcome.firstCode);
        this.#advance(batch, batch.lines.length);
        return undefined;
      case 'too_large':
        return this.#shrink(batch);
      case 'denied':
        this.#trouble('denied', { status: outcome.status });
        return DENIED_BACKOFF_MS;
      case 'away':
        this.#trouble('service_away', { reason: outcome.reason });
        return outcome.retryAfterMs ?? this.#backoffMs();
    }
  }

  /**
   * While calls go on, each request takes what came in some flush intervals: request after request without a pause would
   * be one for every call, and take the CPU that the calls need. The first after a pause waits for one interval, a call
   * that is held back for none.
   */
  #pauseMs(): number | undefined {
    const goesOn = this.#finishing || this.#options.spool.unsentBytes >= BACKLOG_BYTES;
    return goesOn ? undefined : STEADY_INTERVALS * this.#options.flushIntervalMs;
  }

  #advance(batch: SpoolBatch, rejected: number): void {
    for (const line of batch.lines) this.#chain.add(line);
    this.#options.spool.advance(batch.bytes.length);
    if (this.#options.signer?.sentBelow(this.#chain.nextSeq) === true) this.#options.spool.dropSignatures();
    this.#sent += batch.lines.length - rejected;
    this.#rejected += rejected;
    this.#failures = 0;
    this.#maxLines = Math.min(MAX_BATCH_LINES, this.#maxLines * 2);
    if (this.#lastTrouble !== '') this.#options.log('info', 'service_back', {});
    this.#lastTrouble = '';
  }

  #shrink(batch: SpoolBatch): undefined {
    if (batch.lines.length > 1) {
      this.#maxLines = Math.max(1, Math.floor(batch.lines.length / 2));
      return undefined;
    }
    this.#logRejected(1, 'event_too_large');
    this.#advance(batch, 1);
    return undefined;
  }

  #backoffMs(): number {
    return Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(this.#failures++, 10));
  }

  #logRejected(count: number, code: string | undefined): void {
    this.#options.log('error', 'events_rejected', { count, code: code ?? 'unknown' });
  }

  /** Once per kind of trouble, not once per attempt. */
  #trouble(event: string, fields: Readonly<Record<string, string | number>>): void {
    if (this.#lastTrouble === event) return;
    this.#lastTrouble = event;
    this.#options.log('warn', event, fields);
  }

  /** Sends what is there, at most `timeoutMs`; gives up at the first attempt that fails. */
  async finish(timeoutMs: number): Promise<void> {
    this.#finishing = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    const all = async (): Promise<void> => {
      await this.#running;
      await this.#pump();
    };
    await Promise.race([all(), timeout]);
    clearTimeout(timer);
    this.#stopped = true;
  }
}
