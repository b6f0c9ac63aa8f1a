/** The control channel: WS /v1/controls/stream, kept up for the life of the host. */
import type { RawData, WebSocket } from 'ws';
import type { HostMessage, SignedControl } from '../../../schemas/control/v1.ts';
import type { CaptureLog } from '../log.ts';
import type { ServiceAddress } from '../recorder/publisher.ts';

export interface ChannelOptions {
  readonly address: () => ServiceAddress;
  /** `snapshot` when the channel has said all that is in force. */
  readonly onControls: (controls: readonly SignedControl[], snapshot: boolean) => void;
  /** A verdict on a call of a stream that is watched, not yet checked. */
  readonly onVerdict: (verdict: unknown) => void;
  /** An answer to a request for approval that is watched, not yet checked. */
  readonly onApproval: (approval: unknown) => void;
  /** One attempt ended without a snapshot. */
  readonly onDown: () => void;
  readonly log: CaptureLog;
}

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 3_000;
const HANDSHAKE_TIMEOUT_MS = 3_000;
const PING_INTERVAL_MS = 5_000;
/** WebSocket.OPEN; the class itself is loaded when it is needed. */
const OPEN = 1;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return data instanceof ArrayBuffer ? Buffer.from(data).toString('utf8') : data.toString('utf8');
}

export class ControlChannel {
  readonly #options: ChannelOptions;
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pings: NodeJS.Timeout | undefined;
  #failures = 0;
  #stopped = false;
  readonly #watched = new Set<string>();
  readonly #approvals = new Set<string>();

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#connect();
  }

  /** From now on also the verdicts on calls of this stream. */
  watch(stream: string): void {
    this.#watched.add(stream);
    this.#say({ type: 'watch', stream });
  }

  unwatch(stream: string): void {
    if (this.#watched.delete(stream)) this.#say({ type: 'unwatch', stream });
  }

  /** From now on also the answer to this request for approval; at once where it is there. */
  watchApproval(approval: string): void {
    if (this.#approvals.has(approval)) return;
    this.#approvals.add(approval);
    this.#say({ type: 'watch_approval', approval });
  }

  unwatchApproval(approval: string): void {
    if (this.#approvals.delete(approval)) this.#say({ type: 'unwatch_approval', approval });
  }

  get isUp(): boolean {
    return this.#socket?.readyState === OPEN;
  }

  #say(message: HostMessage): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(message));
  }

  async #connect(): Promise<void> {
    const { WebSocket: Socket } = await import('ws');
    if (this.#stopped) return;
    const { url, token } = this.#options.address();
    const target = new URL('/v1/controls/stream', url);
    target.protocol = target.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new Socket(target, {
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    });
    this.#socket = socket;
    socket.on('error', () => undefined); // `close` follows.
    // The host's own work keeps it alive, not we.
    socket.on('upgrade', (response) => response.socket.unref());
    socket.on('open', () => {
      this.#watchPulse(socket);
      for (const stream of this.#watched) this.#say({ type: 'watch', stream });
      for (const approval of this.#approvals) this.#say({ type: 'watch_approval', approval });
    });
    socket.on('message', (data) => this.#message(textOf(data)));
    socket.on('close', () => this.#closed());
  }

  /** A peer that vanished without a word is found by an unanswered ping. */
  #watchPulse(socket: WebSocket): void {
    let answered = true;
    socket.on('pong', () => {
      answered = true;
    });
    this.#pings = setInterval(() => {
      if (!answered) return socket.terminate();
      answered = false;
      socket.ping();
    }, PING_INTERVAL_MS);
    this.#pings.unref();
  }

  #message(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#options.log('warn', 'channel_message_malformed');
    }
    const { type, controls, control, verdict, approval } = (message ?? {}) as Readonly<
      Record<string, unknown>
    >;
    if (type === 'snapshot' && Array.isArray(controls)) {
      this.#failures = 0;
      this.#options.onControls(controls as readonly SignedControl[], true);
    } else if (type === 'control') this.#options.onControls([control as SignedControl], false);
    else if (type === 'verdict') this.#options.onVerdict(verdict);
    else if (type === 'approval') this.#options.onApproval(approval);
  }

  #closed(): void {
    clearInterval(this.#pings);
    this.#socket = undefined;
    if (this.#stopped) return;
    this.#options.onDown();
    const delayMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(this.#failures++, 8));
    this.#timer = setTimeout(() => void this.#connect(), delayMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#pings);
    this.#socket?.terminate();
  }
}
