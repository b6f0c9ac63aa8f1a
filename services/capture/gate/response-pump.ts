/**
 * Carries a server's answer to the client: event by event, or as one body. Each message passes the observer before it goes
 * on, bytes untouched; the server is slowed while the client does not read or the record has no room.
 */
import type { Passed } from '../passed.ts';
import { mergedBatch } from './answers.ts';
import type { OldTransport } from './old-transport.ts';
import { messageEvent, replacedEvent, SseSplitter, type SseEvent } from './sse.ts';
import type { Answer } from './wire/answer.ts';
import type { RawHeaders } from './wire/header-fields.ts';
import type { UpstreamAnswer } from './wire/upstream-answer.ts';

export interface PumpOptions {
  readonly from: UpstreamAnswer;
  readonly to: Answer;
  /** Without lengths and what belongs to one connection. */
  readonly headers: RawHeaders;
  readonly pass: (message: Uint8Array) => Passed | Promise<Passed>;
  /** JSON texts of ours that go to the client beside the server's messages. */
  readonly own: readonly string[];
  /** A longer message is not held: it goes on unseen. */
  readonly maxMessageBytes: number;
  readonly onLongMessage: () => void;
  /** The server's answer carries an id that a client may resume after. */
  readonly onEventId: () => void;
  readonly oldTransport: OldTransport | undefined;
  /** All of it has been handed to the client, or it has left. */
  readonly onDone: () => void;
  /** The server left before the end of its answer. */
  readonly onBrokenOff: () => void;
}

/**
 * ms for which the head of an answer waits for what follows it: servers send it apart, and to carry it on apart would wake
 * the client for nothing and make the message behind it wait.
 */
const HEAD_WAIT_MS = 2;

/** Text of an event stream, or a body; by its content type, as clients tell them apart. */
export function pump(options: PumpOptions): void {
  const type = options.from.headers['content-type'] ?? '';
  if (/^\s*text\/event-stream/iu.test(type)) new EventPump(options).start();
  else new BodyPump(options, /json/iu.test(type) || type === '').start();
}

class EventPump {
  readonly #options: PumpOptions;
  readonly #splitter: SseSplitter;
  readonly #ready: SseEvent[] = [];
  #busy = false;
  #full = false;
  #ended = false;
  #isOver = false;
  #later: NodeJS.Timeout | undefined;
  #isHeld = false;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#splitter = new SseSplitter(options.maxMessageBytes, options.onLongMessage);
  }

  start(): void {
    const { from, to, own, oldTransport, onBrokenOff } = this.#options;
    for (const text of own) this.#write([messageEvent(text)]);
    from.readTo({
      onPiece: (piece) => {
        this.#ready.push(...this.#splitter.push(piece));
        this.#run();
      },
      onMore: () => {
        if (!to.hasBegun)
          this.#later ??= setTimeout(
            () => this.#begin(),
            Math.max(oldTransport?.headersWaitMs ?? 0, HEAD_WAIT_MS),
          );
      },
      onEnd: () => {
        this.#ended = true;
        this.#run();
      },
      onBrokenOff,
    });
    to.whenDrained(() => {
      this.#full = false;
      this.#run();
    });
  }

  #begin(): void {
    const { to } = this.#options;
    if (to.isGone || this.#isOver) return;
    this.#writeHead();
    to.flush();
  }

  #writeHead(): void {
    const { to, from, headers } = this.#options;
    if (to.hasBegun || to.isGone) return;
    clearTimeout(this.#later);
    to.begin({ status: from.status, headers, date: from.date });
  }

  #run(): void {
    if (this.#isOver) return;
    while (!this.#busy && !this.#full) {
      const event = this.#ready.shift();
      if (event === undefined) break;
      this.#event(event);
    }
    this.#flow();
  }

  #event(event: SseEvent): void {
    const { oldTransport } = this.#options;
    if (event.isEndpoint && oldTransport !== undefined) {
      clearTimeout(this.#later);
      this.#isOver = true;
      this.#ready.length = 0;
      return oldTransport.onEndpoint();
    }
    if (event.hasId) this.#options.onEventId();
    if (event.data === undefined) return this.#write(event.raw);
    const passed = this.#options.pass(event.data);
    if (!(passed instanceof Promise)) return this.#deliver(event, passed);
    this.#busy = true;
    const goOn = (outcome: Passed): void => {
      this.#busy = false;
      this.#deliver(event, outcome);
      this.#run();
    };
    void passed.then(goOn);
  }

  #deliver(event: SseEvent, { forward }: Passed): void {
    if (forward === undefined) return;
    this.#write(forward === event.data ? event.raw : replacedEvent(event, forward));
  }

  #write(parts: readonly Uint8Array[]): void {
    const { to } = this.#options;
    if (to.isGone || parts.length === 0) return;
    this.#writeHead();
    this.#holdForTurn();
    for (const part of parts) if (!to.write(part)) this.#full = true;
  }

  /** What this turn of the event loop brings leaves together: the last event and the end of its answer come in one packet. */
  #holdForTurn(): void {
    const { to } = this.#options;
    if (this.#isHeld) return;
    to.cork();
    this.#isHeld = true;
    setImmediate(() => {
      this.#isHeld = false;
      to.uncork();
    });
  }

  #flow(): void {
    const { from, to, onDone } = this.#options;
    if (this.#isOver) return;
    const mustWait = this.#busy || this.#full;
    if (mustWait && !from.isPaused) from.pause();
    else if (!mustWait && from.isPaused) from.resume();
    if (!this.#ended || this.#busy || this.#ready.length > 0) return;
    this.#write(this.#splitter.end());
    this.#writeHead();
    // It sends all that is held. The client need not wait for what is put on record of it.
    to.end();
    onDone();
  }
}

class BodyPump {
  readonly #options: PumpOptions;
  /** A message waits for its end; anything else goes on as it comes and is only looked at. */
  readonly #isHeld: boolean;
  #chunks: Buffer[] = [];
  #size = 0;
  /** Too long to hold. */
  #unseen = false;
  #later: NodeJS.Timeout | undefined;

  constructor(options: PumpOptions, isHeld: boolean) {
    this.#options = options;
    this.#isHeld = isHeld;
  }

  start(): void {
    const { from, to, onBrokenOff } = this.#options;
    if (!this.#isHeld) this.#begin();
    from.readTo({
      onPiece: (piece) => this.#chunk(piece),
      // Headers do not wait for a body that takes its time; where both come together they leave together.
      onMore: () => {
        if (!to.hasBegun) this.#later ??= setTimeout(() => this.#begin(), HEAD_WAIT_MS);
      },
      onEnd: () => this.#end(),
      onBrokenOff,
    });
    to.whenDrained(() => from.resume());
  }

  #begin(): void {
    const { to, from, headers } = this.#options;
    if (to.hasBegun || to.isGone) return;
    to.begin({ status: from.status, headers, date: from.date });
    to.flush();
  }

  #chunk(chunk: Buffer): void {
    if (!this.#unseen) this.#keep(chunk);
    if (this.#isHeld && !this.#unseen) return;
    const { from, to } = this.#options;
    if (!to.isGone && !to.write(chunk)) from.pause();
  }

  #keep(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size <= this.#options.maxMessageBytes) return void this.#chunks.push(chunk);
    this.#unseen = true;
    this.#options.onLongMessage();
    const held = this.#chunks;
    this.#chunks = [];
    if (!this.#isHeld) return;
    this.#begin();
    for (const part of held) this.#options.to.write(part);
  }

  #end(): void {
    const passed = this.#passed();
    if (passed instanceof Promise) void passed.then((forward) => this.#goOn(forward));
    else this.#goOn(passed);
  }

  #goOn(forward: Uint8Array): void {
    const { onDone, to } = this.#options;
    if (!to.isGone) this.#finish(forward);
    // The client need not wait for what is put on record of it.
    onDone();
  }

  #finish(forward: Uint8Array): void {
    const { own, to } = this.#options;
    if (!this.#isHeld || this.#unseen) return to.end();
    this.#send(own.length === 0 ? forward : this.#merged(Buffer.from(forward)));
  }

  /** The body as it goes on. */
  #passed(): Uint8Array | Promise<Uint8Array> {
    const [only] = this.#chunks;
    const body = only !== undefined && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks);
    if (this.#unseen || body.length === 0) return body;
    const passed = this.#options.pass(body);
    const forwardOf = ({ forward }: Passed): Uint8Array => forward ?? Buffer.alloc(0);
    return passed instanceof Promise ? passed.then(forwardOf) : forwardOf(passed);
  }

  #merged(theirs: Buffer): Uint8Array {
    return Buffer.from(mergedBatch(this.#options.own, theirs));
  }

  #send(body: Uint8Array): void {
    const { to, from, headers, own } = this.#options;
    clearTimeout(this.#later);
    if (!to.hasBegun) {
      // 202 to the notifications of a batch whose calls were refused: the refusals make it an answer.
      const isAnswer = own.length > 0 && from.status === 202;
      const type = isAnswer ? [...headers, 'Content-Type', 'application/json'] : headers;
      const status = isAnswer ? 200 : from.status;
      to.begin({ status, headers: type, length: body.length, date: from.date });
    }
    to.end(body);
  }
}
