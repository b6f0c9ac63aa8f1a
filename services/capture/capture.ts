/** One recorded connection: observer, recorder and control guard wired together, for tap, decorator and gate alike. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { CallDecision, ControlledCall } from '../../schemas/control/decide.ts';
import type { Control } from '../../schemas/control/v1.ts';
import { decisionDraft } from './decision.ts';
import type { EventDraft } from './draft.ts';
import { ControlGuard } from './controls/guard.ts';
import { parseControlKeys } from './controls/keys.ts';
import type { CaptureLog } from './log.ts';
import type { Direction } from './message.ts';
import type { ExchangesEnd } from './exchanges.ts';
import { heldBy, type Held, type HoldSettings, type Settled } from './holds.ts';
import type { HeldLine } from './line-state.ts';
import { Observer } from './observer.ts';
import type { ObserverOptions } from './observer-options.ts';
import { CallPolicy } from './policy/call-policy.ts';
import { HostPolicy } from './policy/host-policy.ts';
import { bootId, pidSpace, readProcess } from './processes.ts';
import { readAgentKey } from './recorder/agent-key.ts';
import { BatchSigner } from './recorder/batch-signer.ts';
import type { Decision } from './public.ts';
import { sha256Hex } from './recorder/chain.ts';
import { Drainer } from './recorder/drain.ts';
import { ownerTag } from './recorder/owner.ts';
import { httpPublisher, type Publisher } from './recorder/publisher.ts';
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
  /** The session, where the process tree does not tell it (gate). Settings' own id goes before it. */
  readonly session?: string;
  /** Fields of stream.open. */
  readonly opening?: Readonly<Record<string, unknown>>;
  /** What connections of one process share; else this one has its own. */
  readonly shared?: SharedParts;
}

/** One control channel, one drainer and one connection to the service for all streams of a process. */
export interface SharedParts {
  readonly guard: ControlGuard;
  readonly drainer: Drainer;
  readonly publisher: Publisher;
  readonly policy: HostPolicy | undefined;
}

/** What the shell knows of a line beside its bytes. */
export interface AboutLine {
  /** Number space of the ids, where the connections of several clients are one stream. */
  readonly scope?: string;
  /** For the requests of the line. */
  readonly labels?: readonly string[];
  /** Refuses every call of the line, whatever the controls say. */
  readonly refuse?: Control;
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
/** Where calls need the channel. */
const NEEDED_FIRST_WAIT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 15_000;
const SHARED_SOCKETS = 8;
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
  /** The line is held back: what becomes of it when its calls are judged. Others need not wait for it. */
  readonly later?: Promise<Passed>;
}

export class Capture {
  readonly session: string;
  readonly #server: string;
  readonly #timings: CaptureTimings;
  readonly #observer: Observer;
  readonly #recorder: Recorder;
  readonly #guard: ControlGuard;
  readonly #drainer: Drainer;
  readonly #shared: SharedParts | undefined;
  readonly #address: CaptureSettings['address'];
  readonly #opening: Readonly<Record<string, unknown>>;
  readonly #expiry: NodeJS.Timeout;
  readonly #hold: HoldSettings | undefined;
  readonly #policy: HostPolicy | undefined;
  #unsubscribe: (() => void) | undefined;
  /** Of the line under way. */
  #refusal: Control | undefined;

  constructor(options: CaptureOptions) {
    const { settings } = options;
    this.#server = options.server;
    this.#timings = { ...TIMINGS, ...firstWait(settings), ...options.timings };
    this.#shared = options.shared;
    this.#opening = options.opening ?? {};
    this.session = settings.sessionId ?? options.session ?? sessionOf(options);
    this.#address = settings.address;
    this.#hold = settings.hold;
    this.#policy = options.shared?.policy ?? policyOf(options);
    const publisher = publisherOf(options);
    this.#recorder = newRecorder(options, this.session, { timings: this.#timings, publisher });
    this.#guard =
      options.shared?.guard ??
      newGuard(options, this.#timings, (draft) => void this.#recorder.record([draft]));
    this.#observer = this.#newObserver(options);
    this.#drainer = options.shared?.drainer ?? newDrainer(options);
    this.#expiry = setInterval(() => void this.#recorder.record(this.#observer.expire()), EXPIRE_INTERVAL_MS);
    this.#expiry.unref();
  }

  #newObserver(options: CaptureOptions): Observer {
    const { settings } = options;
    return new Observer({
      server: options.server,
      transport: options.transport,
      agent: settings.agent,
      session: this.session,
      clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
      sha256Hex,
      randomHex,
      spans: options.spans ?? randomSpans(randomHex),
      decide: (call) =>
        this.#refusal === undefined ? this.#guard.decide(call) : { kind: 'refuse', control: this.#refusal },
      mappings: () => NO_MAPPINGS,
      injectTrace: settings.injectTrace,
      callTimeoutMs: this.#timings.callTimeoutMs,
      maxPendingCalls: MAX_PENDING_CALLS,
      boundary: settings.boundary,
      ...(settings.hold === undefined ? {} : { hold: settings.hold }),
      policy: this.#newPolicy(options),
    });
  }

  #newPolicy({ settings, server, transport, log }: CaptureOptions): CallPolicy | undefined {
    if (this.#policy === undefined) return undefined;
    return new CallPolicy({
      policy: this.#policy,
      desk: this.#guard.approvals,
      agent: settings.agent,
      server,
      transport,
      principal: settings.principal,
      nowMs: () => Date.now(),
      log,
    });
  }

  /** Reads the policy of this host; nothing may pass before. Throws host_policy_invalid. */
  async loadPolicy(): Promise<void> {
    await this.#policy?.load();
  }

  /** Puts the stream on record, and begins to listen for controls and to send what crashed processes left. */
  async start(): Promise<void> {
    // Where nothing is to be waited for, the stream is open when this call returns.
    if (this.#policy?.isLoaded === false) await this.loadPolicy();
    const policy = this.#policy === undefined ? {} : { policy: this.#policy.identity };
    this.#recorder.open({ ...this.#opening, ...policy });
    this.#unsubscribe = this.#policy?.subscribe((news) => this.note({ ...news }));
    if (this.#hold !== undefined) this.#guard.watch(this.stream);
    if (this.#shared !== undefined) return;
    await this.#guard.start();
    this.#drainer.start();
  }

  /** What the controls that this host holds say of a call; nothing is recorded. */
  decisionOn(call: ControlledCall): CallDecision {
    return this.#guard.decide(call);
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
  pass(direction: Direction, line: Uint8Array, about: AboutLine = {}): Passed | Promise<Passed> {
    if (!this.#guard.isReady && direction === 'to_server' && Observer.holdsControlled(line)) {
      return this.#guard.ready().then(() => this.#passNow(direction, line, about));
    }
    return this.#passNow(direction, line, about);
  }

  #passNow(direction: Direction, line: Uint8Array, about: AboutLine): Passed | Promise<Passed> {
    this.#refusal = about.refuse;
    const observed = this.#observer.observe(direction, line, about.scope);
    this.#refusal = undefined;
    const { forward, answers, held } = observed;
    const drafts = about.labels === undefined ? observed.drafts : labelled(observed.drafts, about.labels);
    const passed = (): Passed =>
      held === undefined ? { forward, answers } : { forward, answers, later: this.#judged(held) };
    if (drafts.length === 0 || this.#recorder.record(drafts, true) !== 'full') return passed();
    return this.#recordWhenRoom(drafts).then(passed);
  }

  /** Called in the turn in which the intents were recorded. */
  async #judged(held: HeldLine): Promise<Passed> {
    const { places } = this.#recorder;
    this.#recorder.flush();
    const decided = await Promise.all(
      held.calls.map(async ({ draft, isHeld, approved }): Promise<Settled> => {
        const [ruled, approval] = await Promise.all([
          isHeld ? this.#ruled(places[draft]) : undefined,
          approved?.(),
        ]);
        return { held: ruled, approval };
      }),
    );
    const { drafts, forward, answers } = held.settle(decided);
    this.#recorder.record(drafts);
    return { forward, answers };
  }

  async #ruled(seq: number | undefined): Promise<Held | undefined> {
    if (this.#hold === undefined) return undefined;
    const { budgetMs } = this.#hold;
    const fromMs = performance.now();
    const ruling =
      seq === undefined
        ? ({ kind: 'timeout' } as const)
        : await this.#guard.verdict(this.#recorder.stream, seq, budgetMs);
    return heldBy(ruling, this.#hold, performance.now() - fromMs);
  }

  async #recordWhenRoom(drafts: readonly EventDraft[]): Promise<void> {
    do await this.#recorder.room();
    while (this.#recorder.record(drafts, true) === 'full');
  }

  /** Of these requests (by pendingKey), those that are waited for. */
  unanswered(keys: readonly string[]): readonly string[] {
    return this.#observer.unanswered(keys);
  }

  /** Ends calls (by pendingKey) that will not be answered; those that have ended are left alone. */
  endCalls(keys: readonly string[], end: ExchangesEnd): void {
    if (keys.length > 0) this.#recorder.record(this.#observer.end(keys, end));
  }

  /** Puts changed facts of the connection on record, as a heartbeat. */
  note(fields: Readonly<Record<string, unknown>>): void {
    this.#recorder.note(fields);
  }

  /** For the further connections of this process; they end before this one. */
  share(): SharedParts {
    return {
      guard: this.#guard,
      drainer: this.#drainer,
      policy: this.#policy,
      publisher: httpPublisher(this.#address, REQUEST_TIMEOUT_MS, SHARED_SOCKETS),
    };
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
    this.#unsubscribe?.();
    this.#recorder.record(this.#observer.close());
    this.#guard.unwatch(this.stream);
    if (this.#shared !== undefined) return await this.#closeShared(this.#shared);
    this.#guard.stop();
    await Promise.all([this.#recorder.close(this.#timings.closeTimeoutMs), this.#drainer.stop()]);
  }

  /** The process goes on: what the service has not taken is left to the drainer. */
  async #closeShared({ drainer }: SharedParts): Promise<void> {
    await this.#recorder.close(this.#timings.closeTimeoutMs);
    if (this.#recorder.unsentBytes > 0) drainer.adopt(this.#recorder.stream);
  }
}

const REQUEST_KINDS: readonly EventDraft['kind'][] = ['call.intent', 'mcp.request'];

function labelled(drafts: readonly EventDraft[], labels: readonly string[]): readonly EventDraft[] {
  return drafts.map((draft) => {
    if (!REQUEST_KINDS.includes(draft.kind)) return draft;
    const own = (draft.fields['labels'] as readonly string[] | undefined) ?? [];
    return { ...draft, fields: { ...draft.fields, labels: [...own, ...labels] } };
  });
}

function publisherOf({ shared, settings }: CaptureOptions): Publisher {
  return shared === undefined
    ? httpPublisher(settings.address, REQUEST_TIMEOUT_MS)
    : neverClosed(shared.publisher);
}

/** The connection to the service outlives this stream. */
function neverClosed(publisher: Publisher): Publisher {
  return {
    publish: (ndjson, prev, batches) => publisher.publish(ndjson, prev, batches),
    close: () => undefined,
  };
}

function firstWait(settings: CaptureSettings): Partial<CaptureTimings> {
  // A call that is held back needs the channel for its verdict.
  const needsChannel = settings.onChannelLost === 'closed' || settings.hold !== undefined;
  return needsChannel ? { firstWaitMs: NEEDED_FIRST_WAIT_MS } : {};
}

function policyOf({ settings: { policy }, log }: CaptureOptions): HostPolicy | undefined {
  return policy === undefined ? undefined : new HostPolicy(policy, log);
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

function newDrainer({ settings, log }: CaptureOptions): Drainer {
  return new Drainer({
    directory: spoolDirectory(settings),
    owner: ownOwner(),
    publisher: () => httpPublisher(settings.address, REQUEST_TIMEOUT_MS),
    readProcess,
    bootId: bootId(),
    pidSpace: pidSpace(),
    nowMs: () => Date.now(),
    randomHex,
    log,
  });
}

function newRecorder(
  options: CaptureOptions,
  session: string,
  { timings, publisher }: { readonly timings: CaptureTimings; readonly publisher: Publisher },
): Recorder {
  const { settings } = options;
  const stream = randomHex(16);
  const agentKey = readAgentKey(settings.agentKeyFile);
  const spool = new Spool({
    directory: spoolDirectory(settings),
    stream,
    owner: ownOwner(),
    fsync: settings.spoolFsync,
    maxBytes: settings.spoolMaxBytes,
    segmentBytes: SEGMENT_BYTES,
  });
  const signer =
    agentKey === undefined
      ? undefined
      : new BatchSigner({
          stream,
          agentKey,
          nowMs: () => Date.now(),
          sealAfterMs: timings.flushIntervalMs,
          keep: (batch) => spool.keepSignature(batch),
        });
  return new Recorder({
    spool,
    signer,
    publisher,
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
    approvalsDirectory: path.join(settings.dataDir, 'capture', 'approvals'),
    randomHex,
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

/** The keys in control.pub of a data directory; none where there is no such file. */
export function keysOfDataDir(dataDir: string): ReturnType<typeof parseControlKeys> {
  let text: string;
  try {
    text = readFileSync(path.join(dataDir, 'control.pub'), 'utf8');
  } catch {
    return [];
  }
  return parseControlKeys(text, 'control.pub');
}
