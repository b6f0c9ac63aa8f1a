/**
 * Lines that have gone on and are yet to be looked at, where nothing of them can be refused or changed: so their receiver
 * need not wait for what is put on record of them. They are looked at in their order, before anything else of the
 * connection is: what the wire said first has the lower sequence.
 *
 * Those that a journal keeps (recorder/line-journal.ts) wait until the connection is quiet, so that calls that follow each
 * other closely do not wait for the record of the one before, and are looked at a few at a time. Without a journal only answers
 * go first, and are looked at when the turn of the event loop ends: a process that is killed in that turn leaves its calls
 * without a result on record, as one that is killed just before the answer comes.
 */
import type { Direction, WireLine } from './message.ts';

export interface QueuedLine {
  readonly direction: Direction;
  readonly line: Uint8Array;
  /** Number space of its ids. */
  readonly scope: string | undefined;
  /** What stands in it, where that has been read. */
  readonly read?: WireLine | undefined;
  readonly isJournalled: boolean;
  /** When it came: Unix ms, and monotonic ms. */
  readonly timeMs: number;
  readonly monotonicMs: number;
}

/** Where so much is held, it is looked at before another line goes on, which slows their source. */
export const MAX_QUEUED_LINES = 256;
export const MAX_QUEUED_BYTES = 1024 * 1024;

/** Lines in the journal are looked at when none has come for so long, */
const QUIET_MS = 2;
/** or, while they keep coming, when the first has waited for this. */
const MAX_WAIT_MS = 20;
/** So many are looked at in one turn: those that come meanwhile wait for less than a millisecond. */
const FEW_LINES = 16;

/** Queues of this process with something in them: at its exit there is no further turn. */
const waiting = new Set<LineQueue>();
let atExit: (() => void) | undefined;

function emptyAll(): void {
  for (const queue of waiting) queue.empty();
}

export class LineQueue {
  readonly #take: (lines: readonly QueuedLine[]) => void;
  readonly #lines: QueuedLine[] = [];
  #bytes = 0;
  #turn: NodeJS.Immediate | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #firstMs = 0;
  #lastMs = 0;
  #isRunning = false;
  /** Lines that were ever added, and those of them that are looked at. */
  #added = 0;
  #looked = 0;
  readonly #after: { readonly added: number; readonly run: () => void }[] = [];

  /** `take` looks at lines and puts them on record; it must not wait. */
  constructor(take: (lines: readonly QueuedLine[]) => void) {
    this.#take = take;
    if (atExit !== undefined) return;
    atExit = emptyAll;
    process.on('exit', atExit);
  }

  add(line: QueuedLine): void {
    if (this.#lines.length >= MAX_QUEUED_LINES || this.#bytes >= MAX_QUEUED_BYTES) this.empty();
    this.#lines.push(line);
    this.#added++;
    this.#bytes += line.line.length;
    waiting.add(this);
    if (!line.isJournalled) this.#turn ??= setImmediate(() => this.empty());
    else this.#wait(line.monotonicMs);
  }

  #wait(nowMs: number): void {
    this.#lastMs = nowMs;
    if (this.#quiet !== undefined) return;
    this.#firstMs = nowMs;
    this.#quiet = setTimeout(() => this.#lookWhenQuiet(), QUIET_MS).unref();
  }

  #lookWhenQuiet(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastMs >= QUIET_MS || nowMs - this.#firstMs >= MAX_WAIT_MS) this.#few();
    else this.#quiet?.refresh();
  }

  /** Looks at the first few, and at the next ones when others have had their turn. */
  #few(): void {
    this.#lookAt(FEW_LINES);
    if (this.#lines.length === 0) return this.#rest();
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#few();
    });
  }

  #lookAt(most: number): void {
    for (let left = most; left > 0 && this.#lines.length > 0;) {
      const until = (this.#after[0]?.added ?? Infinity) - this.#looked;
      const lines = this.#lines.splice(0, Math.min(left, until));
      left -= lines.length;
      this.#looked += lines.length;
      for (const { line } of lines) this.#bytes -= line.length;
      this.#take(lines);
      this.#runDue();
    }
  }

  /** What they put on record has its place here: later lines stay unseen until it is over. */
  #runDue(): void {
    this.#isRunning = true;
    try {
      while (this.#after[0] !== undefined && this.#after[0].added <= this.#looked) this.#after.shift()?.run();
    } finally {
      this.#isRunning = false;
    }
  }

  /** Runs it once all that was added until now is looked at, and before what is added later: at once where it is. */
  after(run: () => void): void {
    if (this.#lines.length === 0) run();
    else this.#after.push({ added: this.#added, run });
  }

  /** Looks at all of them, now. */
  empty(): void {
    if (this.#lines.length === 0 || this.#isRunning) return;
    this.#lookAt(Infinity);
    this.#rest();
  }

  #rest(): void {
    waiting.delete(this);
    clearImmediate(this.#turn);
    clearTimeout(this.#quiet);
    this.#turn = undefined;
    this.#quiet = undefined;
  }
}
