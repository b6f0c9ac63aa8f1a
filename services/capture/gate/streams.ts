/**
 * The streams of a gate: one for each MCP session of a client, or, where there are no such sessions, for each session of
 * ours that a client has with an upstream. Bounded: the longest idle one gives way, a busy one never does.
 */
import { ERRORS } from '../../../schemas/errors.ts';
import { Capture } from '../capture.ts';
import type { CaptureTimings, SharedParts } from '../capture-options.ts';
import type { CaptureLog } from '../log.ts';
import { sha256Hex } from '../recorder/chain.ts';
import type { CaptureSettings } from '../settings.ts';
import type { SpanSource } from '../spans.ts';
import { claimsOf } from './claims.ts';
import type { GateSession } from './sessions.ts';

export interface StreamAbout {
  /** Name of the server. */
  readonly upstream: string;
  /** The client as the gate knows it. */
  readonly scope: string;
  readonly session: GateSession;
  readonly agent: string | undefined;
  readonly principal: string | undefined;
  readonly mcpSessionId: string | undefined;
  readonly conversationId: string | undefined;
  readonly certificateHash: string | undefined;
  /** Authorization header of the request that opens it. */
  readonly authorization: string | undefined;
}

const MAX_CLAIMS = 64;
const HASH_CHARACTERS = 64;
const hash = (text: string): string => sha256Hex(new TextEncoder().encode(text));

export class GateStream {
  readonly capture: Capture;
  readonly scope: string;
  lastUsedMs: number;
  /** Exchanges under way. */
  busy = 0;
  /** Streams that a client listens to (GET). */
  listening = 0;
  key: string | undefined;
  /** Calls whose response broke off but may be resumed, and until when. */
  readonly #detached = new Map<string, number>();
  readonly #seenTokens = new Set<string>();

  constructor(capture: Capture, scope: string, nowMs: number) {
    this.capture = capture;
    this.scope = scope;
    this.lastUsedMs = nowMs;
  }

  /** Puts the claims of a token on record when it is new to this stream; of so many tokens only. */
  noteClaims(authorization: string | undefined, isOpening = false): void {
    if (authorization === undefined || this.#seenTokens.size >= MAX_CLAIMS) return;
    const token = hash(authorization);
    if (this.#seenTokens.has(token)) return;
    this.#seenTokens.add(token);
    const claims = isOpening ? undefined : claimsOf(authorization);
    if (claims !== undefined) this.capture.note({ connection: { claims } });
  }

  detach(keys: readonly string[], untilMs: number): void {
    for (const key of keys) this.#detached.set(key, untilMs);
  }

  /** A client that listened has gone: what it waits for may wait so much longer. */
  extendDetached(untilMs: number): void {
    for (const key of this.#detached.keys()) this.#detached.set(key, untilMs);
  }

  /** Calls that waited for too long, or all that wait, are abandoned. */
  abandonDetached(nowMs = Infinity): void {
    const keys = [...this.#detached].filter(([, untilMs]) => untilMs <= nowMs).map(([key]) => key);
    for (const key of keys) this.#detached.delete(key);
    this.capture.endCalls(keys, { outcome: 'abandoned', final: false });
  }
}

export interface StreamTableOptions {
  readonly settings: CaptureSettings;
  readonly shared: SharedParts;
  readonly spans: SpanSource | undefined;
  readonly timings: Partial<CaptureTimings>;
  readonly max: number;
  readonly idleMs: number;
  readonly nowMs: () => number;
  readonly log: CaptureLog;
}

export class StreamTable {
  readonly #options: StreamTableOptions;
  readonly #byKey = new Map<string, GateStream>();
  readonly #all = new Set<GateStream>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: StreamTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Names the stream of an MCP session, or of one of ours where there is none. */
  static key(
    about: Pick<StreamAbout, 'upstream' | 'scope'>,
    name: { mcp: string } | { own: string },
  ): string {
    const [kind, id] = 'mcp' in name ? ['mcp', shortName(name.mcp)] : ['own', name.own];
    return JSON.stringify([about.upstream, about.scope, kind, id]);
  }

  find(key: string): GateStream | undefined {
    return this.#byKey.get(key);
  }

  /** Opens a stream; without a key it is one whose MCP session has no id yet. undefined when all streams are busy. */
  open(about: StreamAbout, key: string | undefined): GateStream | undefined {
    if (this.#all.size >= this.#options.max && !this.#giveWay()) return undefined;
    const { settings, log, shared, spans, timings } = this.#options;
    const agent = about.agent ?? settings.agent;
    const principal = about.principal ?? settings.principal;
    const capture = new Capture({
      settings: { ...settings, agent, principal },
      server: about.upstream,
      transport: 'streamable_http',
      hostPid: process.pid,
      session: about.session.id,
      opening: openingOf(about, settings.sessionId !== undefined),
      shared,
      log,
      timings,
      ...(spans === undefined ? {} : { spans }),
    });
    void capture.start();
    const stream = new GateStream(capture, about.scope, this.#options.nowMs());
    stream.noteClaims(about.authorization, true);
    this.#all.add(stream);
    if (key !== undefined) this.register(stream, key);
    return stream;
  }

  register(stream: GateStream, key: string): void {
    stream.key = key;
    this.#byKey.set(key, stream);
  }

  /** The server has named the MCP session of a stream that was opened without one. */
  name(stream: GateStream, key: string, mcpSessionId: string): void {
    this.register(stream, key);
    stream.capture.note({ connection: { mcpSessionHash: hash(mcpSessionId) } });
  }

  #giveWay(): boolean {
    let oldest: GateStream | undefined;
    for (const stream of this.#all) {
      if (stream.busy > 0) continue;
      if (oldest === undefined || stream.lastUsedMs < oldest.lastUsedMs) oldest = stream;
    }
    if (oldest === undefined) {
      this.#options.log('error', FULL, { streams: this.#all.size });
      return false;
    }
    this.end(oldest);
    return true;
  }

  /** Ends a stream: calls in flight are abandoned, and it is closed on record. */
  end(stream: GateStream): void {
    if (!this.#all.delete(stream)) return;
    if (stream.key !== undefined && this.#byKey.get(stream.key) === stream) this.#byKey.delete(stream.key);
    const closing = stream.capture.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** Ends what is idle, abandons what is waited for in vain. Call it now and then. */
  sweep(): void {
    const nowMs = this.#options.nowMs();
    for (const stream of this.#all) {
      if (stream.listening === 0) stream.abandonDetached(nowMs);
      if (stream.busy === 0 && nowMs - stream.lastUsedMs > this.#options.idleMs) this.end(stream);
    }
  }

  async close(): Promise<void> {
    for (const stream of this.#all) this.end(stream);
    await Promise.all(this.#closing);
  }
}

/** Clients choose it: a long one is kept as its hash, which is longer than those that are kept as they are. */
const shortName = (id: string): string => (id.length < HASH_CHARACTERS ? id : hash(id));

const FULL = 'gate_full' satisfies keyof typeof ERRORS;

function openingOf(about: StreamAbout, isConfigured: boolean): Readonly<Record<string, unknown>> {
  const claims = claimsOf(about.authorization);
  const connection = {
    sessionSource: isConfigured ? 'configured' : about.session.source,
    conversationId: about.conversationId,
    mcpSessionHash: about.mcpSessionId === undefined ? undefined : hash(about.mcpSessionId),
    certificateHash: about.certificateHash,
    claims,
  };
  return { server: about.upstream, transport: 'streamable_http', connection };
}
