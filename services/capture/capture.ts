/** One recorded connection: observer, recorder and control guard wired together, for tap and decorator alike. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { decisionDraft, type Decision } from './decision.ts';
import type { EventDraft } from './draft.ts';
import { ControlGuard } from './controls/guard.ts';
import { parseControlKeys } from './controls/keys.ts';
import type { CaptureLog } from './log.ts';
import type { Direction } from './message.ts';
import { Observer } from './observer.ts';
import type { ObserverOptions } from './observer-options.ts';
import { bootId, pidSpace, readProcess } from './processes.ts';
import { sha256Hex } from './recorder/chain.ts';
import { Drainer } from './recorder/drain.ts';
import { ownerTag } from './recorder/owner.ts';
import { httpPublisher } from './recorder/publisher.ts';
import { Recorder, type RecorderCounts } from './recorder/recorder.ts';
import { Spool } from './recorder/spool.ts';
import { randomHex } from './random.ts';
import { deriveSessionId, hostProcess } from './session.ts';
import type { CaptureSettings } from './settings.ts';
import { randomSpans, type SpanSource } from './spans.ts';

export interface CaptureOptions {
  readonly settings: CaptureSettings;
  /** The operator's name of the server. */
  readonly server: string;
  readonly transport: ObserverOptions['transport'];
  /** Names the session where settings have no id: the process that started this one (tap), or this one (decorator). */
  readonly hostPid: number;
  readonly log: CaptureLog;
  /** Spans of a tracer; without one the ids are random. */
  readonly spans?: SpanSource;
  readonly timings?: Partial<CaptureTimings>;
}

export interface CaptureTimings {
  readonly flushIntervalMs: number;
  readonly heartbeatMs: number;
  readonly closeTimeoutMs: number;
  readonly callTimeoutMs: number;
  readonly channelLostAfterMs: number;
  readonly firstWaitMs: number;
}

const TIMINGS: CaptureTimings = {
  flushIntervalMs: 5,
  heartbeatMs: 30_000,
  closeTimeoutMs: 2_000,
  callTimeoutMs: 3_600_000,
  channelLostAfterMs: 5_000,
  firstWaitMs: 500,
};
const CLOSED_FIRST_WAIT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 15_000;
const SEGMENT_BYTES = 4 * 1024 * 1024;
const MAX_PENDING_CALLS = 10_000;
const EXPIRE_INTERVAL_MS = 1_000;
const NO_MAPPINGS: ReturnType<ObserverOptions['mappings']> = [];

/** What becomes of a line. */
export interface Passed {
  /** The very same bytes where nothing was changed; undefined when the line must not go on. */
  readonly forward: Uint8Array | undefined;
  /** JSON texts for the sender. */
  readonly answers: readonly string[];
}

export class Capture {
  readonly session: string;
  readonly #server: string;
  readonly #timings: CaptureTimings;
  readonly #observer: Observer;
  readonly #recorder: Recorder;
  readonly #guard: ControlGuard;
  readonly #drainer: Drainer;
  readonly #expiry: NodeJS.Timeout;

  constructor(options: CaptureOptions) {
    const { settings } = options;
    this.#server = options.server;
    this.#timings = { ...TIMINGS, ...firstWait(settings), ...options.timings };
    this.session = settings.sessionId ?? sessionOf(options);
    this.#recorder = newRecorder(options, this.session, this.#timings);
    this.#guard = newGuard(options, this.#timings, (draft) => void this.#recorder.record([draft]));
    this.#observer = new Observer({
      server: options.server,
      transport: options.transport,
      agent: settings.agent,
      session: this.session,
      clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
      sha256Hex,
      randomHex,
      spans: options.spans ?? randomSpans(randomHex),
      decide: (call) => this.#guard.decide(call),
      mappings: () => NO_MAPPINGS,
      injectTrace: settings.injectTrace,
      callTimeoutMs: this.#timings.callTimeoutMs,
      maxPendingCalls: MAX_PENDING_CALLS,
    });
    this.#drainer = new Drainer({
      directory: spoolDirectory(settings),
      owner: ownOwner(),
      publisher: () => httpPublisher(settings.address, REQUEST_TIMEOUT_MS),
      readProcess,
      bootId: bootId(),
      pidSpace: pidSpace(),
      nowMs: () => Date.now(),
      randomHex,
      log: options.log,
    });
    this.#expiry = setInterval(() => void this.#recorder.record(this.#observer.expire()), EXPIRE_INTERVAL_MS);
    this.#expiry.unref();
  }

  /** Puts the stream on record, and begins to listen for controls and to send what crashed processes left. */
  async start(): Promise<void> {
    this.#recorder.open();
    await this.#guard.start();
    this.#drainer.start();
  }

  get counts(): RecorderCounts {
    return this.#recorder.counts;
  }

  get stream(): string {
    return this.#recorder.stream;
  }

  /**
   * Takes one line that travels in `direction`; when it answers, what must be on record before the line leaves is in
   * the spool. Answers at once except before the first call (controls) and while a full spool blocks.
   */
  pass(direction: Direction, line: Uint8Array): Passed | Promise<Passed> {
    if (!this.#guard.isReady && direction === 'to_server' && Observer.holdsControlled(line)) {
      return this.#guard.ready().then(() => this.#passNow(direction, line));
    }
    return this.#passNow(direction, line);
  }

  #passNow(direction: Direction, line: Uint8Array): Passed | Promise<Passed> {
    const { drafts, forward, answers } = this.#observer.observe(direction, line);
    if (drafts.length === 0) return { forward, answers };
    if (this.#recorder.record(drafts, true) !== 'full') return { forward, answers };
    return this.#recordWhenRoom(drafts).then(() => ({ forward, answers }));
  }

  async #recordWhenRoom(drafts: readonly EventDraft[]): Promise<void> {
    do await this.#recorder.room();
    while (this.#recorder.record(drafts, true) === 'full');
  }

  /**
   * Puts a decision on record; the next tool call of this connection follows from it and names its id, which is
   * answered. Where it names a call, that one does.
   */
  decide(decision: Decision): string {
    const id = randomHex(16);
    const of = { id, server: this.#server, timeMs: Date.now(), sha256Hex };
    this.#recorder.record([decisionDraft(decision, of)]);
    if (decision.callId === undefined) this.#observer.decided(id);
    return id;
  }

  /** Abandoned calls and the end of the stream on record; sends for a bounded time, the rest stays spooled. */
  async close(): Promise<void> {
    clearInterval(this.#expiry);
    this.#guard.stop();
    this.#recorder.record(this.#observer.close());
    await Promise.all([this.#recorder.close(this.#timings.closeTimeoutMs), this.#drainer.stop()]);
  }
}

function firstWait(settings: CaptureSettings): Partial<CaptureTimings> {
  return settings.onChannelLost === 'closed' ? { firstWaitMs: CLOSED_FIRST_WAIT_MS } : {};
}

function spoolDirectory(settings: CaptureSettings): string {
  return path.join(settings.dataDir, 'spool');
}

function ownOwner(): string {
  return ownerTag({
    pid: process.pid,
    start: readProcess(process.pid)?.start ?? '',
    bootId: bootId(),
    pidSpace: pidSpace(),
  });
}

function sessionOf(options: CaptureOptions): string {
  const origin = {
    hostName: options.settings.host,
    bootId: bootId(),
    process: hostProcess(options.hostPid, readProcess),
    parentPid: options.hostPid,
  };
  return deriveSessionId(origin, sha256Hex);
}

function newRecorder(options: CaptureOptions, session: string, timings: CaptureTimings): Recorder {
  const { settings } = options;
  const stream = randomHex(16);
  return new Recorder({
    spool: new Spool({
      directory: spoolDirectory(settings),
      stream,
      owner: ownOwner(),
      fsync: settings.spoolFsync,
      maxBytes: settings.spoolMaxBytes,
      segmentBytes: SEGMENT_BYTES,
    }),
    publisher: httpPublisher(settings.address, REQUEST_TIMEOUT_MS),
    identity: {
      stream,
      session,
      agent: settings.agent,
      principal: settings.principal,
      host: settings.host,
    },
    nowMs: () => Date.now(),
    randomHex,
    onSpoolFull: settings.onSpoolFull,
    flushIntervalMs: timings.flushIntervalMs,
    heartbeatMs: timings.heartbeatMs,
    log: options.log,
  });
}

function newGuard(
  options: CaptureOptions,
  timings: CaptureTimings,
  record: (draft: EventDraft) => void,
): ControlGuard {
  const { settings } = options;
  const fromEnvironment =
    settings.controlKeys === undefined
      ? undefined
      : parseControlKeys(settings.controlKeys, 'TRIPLINE_CONTROL_KEYS');
  return new ControlGuard({
    file: path.join(settings.dataDir, 'capture', 'controls.json'),
    pinnedKeys: () => fromEnvironment ?? keysOfDataDir(settings.dataDir),
    address: settings.address,
    onChannelLost: settings.onChannelLost,
    lostAfterMs: timings.channelLostAfterMs,
    firstWaitMs: timings.firstWaitMs,
    nowMs: () => Date.now(),
    record,
    log: options.log,
  });
}

function keysOfDataDir(dataDir: string): ReturnType<typeof parseControlKeys> {
  let text: string;
  try {
    text = readFileSync(path.join(dataDir, 'control.pub'), 'utf8');
  } catch {
    return [];
  }
  return parseControlKeys(text, 'control.pub');
}
