/**
 * Moves lines from one end to the other: split at byte 0x0A (partial UTF-8 stays whole), bytes untouched, the source
 * slowed while the sink is full or a line must wait. Only whole lines go on, so that an answer of ours never lands in
 * the middle of a peer's message.
 */
import type { Readable, Writable } from 'node:stream';
import type { Passed } from '../passed.ts';
import { writeNow } from './write-now.ts';

export interface LinePumpOptions {
  readonly source: Readable;
  readonly sink: Writable;
  readonly pass: (line: Uint8Array) => Passed | Promise<Passed>;
  /** Takes answers for the sender of this pump's lines. */
  readonly answer: (text: string) => void;
  /** A longer line is not held. */
  readonly maxLineBytes: number;
  /** What becomes of a longer line: it goes on unseen, or it is thrown away. */
  readonly onLongLine: 'forward' | 'discard';
  readonly onLongLineSeen: () => void;
}

const NEWLINE = 0x0a;
const NEWLINE_BYTES = Buffer.from('\n');

export class LinePump {
  readonly #options: LinePumpOptions;
  readonly #ready: Buffer[] = [];
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** Inside a line that is too long to hold. */
  #inLongLine = false;
  readonly #waitingInjections: string[] = [];
  readonly #waitingLines: (() => void)[] = [];
  /** Lines that are held back. */
  #held = 0;
  #busy = false;
  /** Whole lines on their way to the sink. */
  #passing: Buffer | undefined;
  #sinkFull = false;
  #sourceEnded = false;
  #finish: () => void = () => undefined;
  /** Resolves when the source has ended and all of it has been handed to the sink. */
  readonly finished: Promise<void>;

  constructor(options: LinePumpOptions) {
    this.#options = options;
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  start(): void {
    const { source, sink } = this.#options;
    source.on('data', (chunk: Buffer) => {
      if (this.#isIdle && chunk.indexOf(NEWLINE) === chunk.length - 1) return this.#one(chunk);
      this.#split(chunk);
      this.#run();
    });
    source.on('end', () => this.#end());
    source.on('close', () => this.#end());
    source.on('error', () => this.#end());
    sink.on('drain', () => {
      this.#sinkFull = false;
      this.#run();
    });
  }

  /** Writes one line of our own to the sink, between the peer's lines. False when the sink is full. */
  inject(text: string): boolean {
    if (!this.#inLongLine) return this.#write(Buffer.from(`${text}\n`));
    this.#waitingInjections.push(text);
    return true;
  }

  /** Nothing is held, waits, or is in the midst of a line. */
  get #isIdle(): boolean {
    return (
      !this.#busy &&
      !this.#sinkFull &&
      !this.#inLongLine &&
      this.#partialBytes === 0 &&
      this.#ready.length === 0
    );
  }

  /** What nearly every read is: one whole line. */
  #one(line: Buffer): void {
    const content = line.subarray(0, -1);
    const passed = this.#options.pass(content);
    if (passed instanceof Promise) this.#wait(passed, line, content);
    else if (passed.forward !== content || passed.answers.length > 0 || passed.later !== undefined)
      this.#deliver(passed, line, content);
    else this.#write(line);
    this.#handOver();
    if (this.#busy || this.#sinkFull) this.#flow();
  }

  #end(): void {
    if (this.#sourceEnded) return;
    this.#sourceEnded = true;
    // A last line without its newline: passed on as it is.
    if (this.#partialBytes > 0) this.#ready.push(Buffer.concat(this.#partial));
    this.#partial = [];
    this.#partialBytes = 0;
    this.#run();
  }

  #split(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, at);
      if (newline === -1) break;
      const piece = chunk.subarray(at, newline + 1);
      at = newline + 1;
      if (this.#inLongLine) this.#endLongLine(piece);
      else if (this.#partialBytes === 0) this.#ready.push(piece);
      else {
        this.#partial.push(piece);
        this.#ready.push(Buffer.concat(this.#partial));
        this.#partial = [];
        this.#partialBytes = 0;
      }
    }
    if (at < chunk.length) this.#keepPartial(chunk.subarray(at));
  }

  #keepPartial(piece: Buffer): void {
    if (this.#inLongLine) return this.#longPiece(piece);
    this.#partial.push(piece);
    this.#partialBytes += piece.length;
    if (this.#partialBytes <= this.#options.maxLineBytes) return;
    // Lines before it are still in #ready only while a line waits; the long one then joins them in order.
    if (this.#ready.length > 0) return;
    this.#inLongLine = true;
    this.#options.onLongLineSeen();
    for (const part of this.#partial) this.#longPiece(part);
    this.#partial = [];
    this.#partialBytes = 0;
  }

  #longPiece(piece: Buffer): void {
    if (this.#options.onLongLine === 'forward') this.#write(piece);
  }

  #endLongLine(piece: Buffer): void {
    this.#longPiece(piece);
    this.#inLongLine = false;
    for (const deliver of this.#waitingLines.splice(0)) deliver();
    this.#handOver();
    for (const text of this.#waitingInjections.splice(0)) this.inject(text);
  }

  /** Lines that go on as they came leave in one write for all that came in one read. */
  #pass(line: Buffer): void {
    const before = this.#passing;
    if (before !== undefined && isNextTo(before, line))
      this.#passing = Buffer.from(before.buffer, before.byteOffset, before.length + line.length);
    else {
      this.#handOver();
      this.#passing = line;
    }
  }

  #handOver(): void {
    const bytes = this.#passing;
    this.#passing = undefined;
    if (bytes !== undefined) this.#write(bytes);
  }

  #write(bytes: Uint8Array): boolean {
    const { sink } = this.#options;
    if (sink.destroyed || !sink.writable) return true;
    const rest = writeNow(sink, bytes);
    if (rest.length === 0 || sink.write(rest)) return true;
    this.#sinkFull = true;
    return false;
  }

  /** Handles what is ready; stops at a full sink or a line that waits, and is called again after it. */
  #run(): void {
    while (!this.#busy && !this.#sinkFull) {
      const line = this.#ready.shift();
      if (line === undefined) break;
      const hasNewline = line.at(-1) === NEWLINE;
      const content = hasNewline ? line.subarray(0, -1) : line;
      const passed = this.#options.pass(content);
      if (passed instanceof Promise) this.#wait(passed, line, content);
      else this.#deliver(passed, line, content);
    }
    this.#handOver();
    this.#flow();
  }

  #wait(passed: Promise<Passed>, line: Buffer, content: Buffer): void {
    this.#busy = true;
    const goOn = (outcome: Passed): void => {
      this.#busy = false;
      this.#deliver(outcome, line, content);
      this.#handOver();
      this.#run();
    };
    void passed.then(goOn);
  }

  #deliver(passed: Passed, line: Buffer, content: Buffer): void {
    for (const text of passed.answers) this.#options.answer(text);
    if (passed.later !== undefined) void this.#deliverLater(passed.later, line, content);
    if (passed.forward === undefined) return;
    if (passed.forward === content) return this.#pass(line);
    this.#handOver();
    this.#write(Buffer.concat([passed.forward, NEWLINE_BYTES]));
  }

  /** The lines behind it need not wait. */
  async #deliverLater(later: Promise<Passed>, line: Buffer, content: Buffer): Promise<void> {
    this.#held++;
    const outcome = await later;
    this.#held--;
    if (this.#inLongLine) this.#waitingLines.push(() => this.#deliver(outcome, line, content));
    else this.#deliver(outcome, line, content);
    this.#handOver();
    this.#run();
  }

  #flow(): void {
    const { source } = this.#options;
    const mustWait = this.#busy || this.#sinkFull;
    if (mustWait && !source.isPaused()) source.pause();
    else if (!mustWait && source.isPaused()) source.resume();
    if (this.#sourceEnded && this.#ready.length === 0 && !this.#busy && this.#held === 0) this.#finish();
  }
}

/** Two pieces of one read, the second right behind the first. */
function isNextTo(first: Buffer, second: Buffer): boolean {
  return first.buffer === second.buffer && first.byteOffset + first.length === second.byteOffset;
}
