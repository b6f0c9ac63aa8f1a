/**
 * Records an MCP transport in one line: `client.connect(recordTransport(transport, { server: 'vault' }))`. A wrapper
 * with the shape of the transport (SDK v1 and v2, client or server side); no SDK is imported.
 *
 * The bytes of the wire are not seen here: hashes are over the UTF-8 of `JSON.stringify(message)`, which is what the
 * SDK's own transports send. They equal the hashes of a tap on the same connection where the peer serialises alike.
 */
import { Capture } from './capture.ts';
import type { CaptureTimings } from './capture-options.ts';
import { silentLog, type CaptureLog } from './log.ts';
import type { Direction } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { Passed } from './passed.ts';
import type { Decision, RecordsDecisions, TransportLike } from './public.ts';
import type { CaptureSettings } from './settings.ts';
import type { SpanSource } from './spans.ts';

export interface RecordTransportOptions {
  /** readSettings of settings.ts with the environment, or of the host's own making. */
  readonly settings: CaptureSettings;
  /** The operator's name of the server. */
  readonly server: string;
  /** Which end of the connection this process is. */
  readonly side?: 'client' | 'server';
  readonly transport?: ObserverOptions['transport'];
  readonly log?: CaptureLog;
  readonly spans?: SpanSource;
  readonly timings?: Partial<CaptureTimings>;
}

type Message = Readonly<Record<string, unknown>>;

/** A transport that does what `inner` does and puts every tool call on record; refused calls never reach the server. */
export function recordTransport<T extends TransportLike>(
  inner: T,
  options: RecordTransportOptions,
): T & RecordsDecisions {
  // The wrapper has every member that the SDKs read of a transport; what else T declares is its own affair.
  return new RecordedTransport(inner, options) as unknown as T & RecordsDecisions;
}

type AnyTransport = TransportLike & {
  readonly sessionId?: string;
  setProtocolVersion?(version: string): void;
  setSupportedProtocolVersions?(versions: readonly string[]): void;
  send(message: unknown, options?: unknown): Promise<void>;
};

class RecordedTransport implements RecordsDecisions {
  readonly #inner: AnyTransport;
  readonly #capture: Capture;
  readonly #outward: Direction;
  readonly #inward: Direction;
  #arriving: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closing: Promise<void> | undefined;
  onclose: (() => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  onmessage: ((message: unknown, extra?: unknown) => void) | undefined;

  constructor(inner: AnyTransport, options: RecordTransportOptions) {
    this.#inner = inner;
    const isServer = options.side === 'server';
    this.#outward = isServer ? 'to_client' : 'to_server';
    this.#inward = isServer ? 'to_server' : 'to_client';
    this.#capture = new Capture({
      settings: options.settings,
      server: options.server,
      transport: options.transport ?? 'other',
      hostPid: process.pid,
      log: options.log ?? silentLog,
      ...(options.spans === undefined ? {} : { spans: options.spans }),
      ...(options.timings === undefined ? {} : { timings: options.timings }),
    });
  }

  get sessionId(): string | undefined {
    return this.#inner.sessionId;
  }

  setProtocolVersion(version: string): void {
    this.#inner.setProtocolVersion?.(version);
  }

  setSupportedProtocolVersions(versions: readonly string[]): void {
    this.#inner.setSupportedProtocolVersions?.(versions);
  }

  recordDecision(decision: Decision): string {
    return this.#capture.decide(decision);
  }

  async start(): Promise<void> {
    const handlers: Pick<AnyTransport, 'onmessage' | 'onerror' | 'onclose'> = {
      onmessage: (message: unknown, extra?: unknown) => this.#arrived(message, extra),
      onerror: (error) => this.onerror?.(error),
      onclose: () => {
        void this.#finish();
        this.onclose?.();
      },
    };
    Object.assign(this.#inner, handlers);
    await this.#capture.start();
    await this.#inner.start();
  }

  async send(message: unknown, options?: unknown): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(message));
    const passed = await this.#judged(await this.#capture.pass(this.#outward, bytes));
    for (const answer of passed.answers) this.onmessage?.(JSON.parse(answer));
    if (passed.forward === undefined) return;
    await this.#inner.send(goesOn(message, bytes, passed), options);
  }

  async #judged(passed: Passed): Promise<Passed> {
    return passed.later === undefined ? passed : await passed.later;
  }

  /** Messages are handed on in the order in which they came, also when one has to wait. */
  #arrived(message: unknown, extra: unknown): void {
    const bytes = Buffer.from(JSON.stringify(message));
    const passed = this.#waiting > 0 ? this.#passLater(bytes) : this.#capture.pass(this.#inward, bytes);
    if (!(passed instanceof Promise)) return this.#deliver(message, extra, { bytes, passed });
    this.#waiting++;
    this.#arriving = passed.then((outcome) => {
      this.#waiting--;
      return this.#deliver(message, extra, { bytes, passed: outcome });
    });
  }

  async #passLater(bytes: Uint8Array): Promise<Passed> {
    await this.#arriving;
    return this.#capture.pass(this.#inward, bytes);
  }

  #deliver(
    message: unknown,
    extra: unknown,
    { bytes, passed }: { readonly bytes: Uint8Array; readonly passed: Passed },
  ): void {
    void passed.later?.then((outcome) => this.#deliver(message, extra, { bytes, passed: outcome }));
    for (const answer of passed.answers) this.#reply(JSON.parse(answer));
    if (passed.forward !== undefined) this.onmessage?.(goesOn(message, bytes, passed), extra);
  }

  #reply(answer: unknown): void {
    // SDK transports find the open request of an answer by its id.
    this.#inner.send(answer).catch((error: unknown) => {
      this.onerror?.(error instanceof Error ? error : new Error('answer not sent'));
    });
  }

  async close(): Promise<void> {
    await this.#inner.close();
    await this.#finish();
  }

  #finish(): Promise<void> {
    this.#closing ??= this.#capture.close();
    return this.#closing;
  }
}

/** The message itself where nothing was changed, so that identity and prototypes stay. */
function goesOn(message: unknown, bytes: Uint8Array, passed: Passed): unknown {
  if (passed.forward === bytes || passed.forward === undefined) return message;
  return JSON.parse(new TextDecoder().decode(passed.forward)) as Message;
}
