/** One recorded connection: observer, recorder and control guard wired together, for tap, decorator and gate alike. */
import type { CallDecision, ControlledCall } from '../../schemas/control/decide.ts';
import type { Control } from '../../schemas/control/v1.ts';
import type { BoundaryConfig } from '../../schemas/labels/v1.ts';
import { timingsOf, type CaptureOptions, type CaptureTimings, type SharedParts } from './capture-options.ts';
import type { ControlGuard } from './controls/guard.ts';
import { newGuard } from './controls/new-guard.ts';
import { decisionDraft } from './decision.ts';
import type { EventDraft } from './draft.ts';
import { given } from './exchange-drafts.ts';
import type { ExchangesEnd } from './exchanges.ts';
import type { HoldSettings } from './holds.ts';
import { GoneLines } from './gone-lines.ts';
import {
  answersMayGoFirst,
  labelsOf,
  policyOf,
  redactionOf,
  requestsMayGoFirst,
  sessionOf,
} from './host-parts.ts';
import { changesAnswers, type HostLabels, type LabelNews } from './labels/host-labels.ts';
import type { Direction } from './message.ts';
import { Observer } from './observer.ts';
import type { ObserverOptions } from './observer-options.ts';
import { labelled, type AboutLine, type Passed } from './passed.ts';
import { CallPolicy } from './policy/call-policy.ts';
import type { HostPolicy } from './policy/host-policy.ts';
import type { HostRedaction, StreamRedaction } from './redaction/host-redaction.ts';
import type { Decision } from './public.ts';
import { randomHex } from './random.ts';
import { sha256Hex } from './recorder/chain.ts';
import type { Drainer } from './recorder/drain.ts';
import { newDrainer, newRecorder, sharedPublisher } from './recorder/new-recorder.ts';
import type { Recorder, RecorderCounts } from './recorder/recorder.ts';
import type { CaptureSettings } from './settings.ts';
import { randomSpans } from './spans.ts';
import { WaitingCalls } from './waiting-calls.ts';

const MAX_PENDING_CALLS = 10_000;
const EXPIRE_INTERVAL_MS = 1_000;
const NO_MAPPINGS: ReturnType<ObserverOptions['mappings']> = [];
const ALLOW: CallDecision = { kind: 'allow' };

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
  readonly #labels: HostLabels | undefined;
  /** Of this connection: it changes between two lines. */
  #mapping: BoundaryConfig | undefined;
  #unsubscribe: readonly ((() => void) | undefined)[] = [];
  readonly #redaction: HostRedaction | undefined;
  readonly #redactor: StreamRedaction | undefined;
  readonly #waiting: WaitingCalls;
  readonly #gone: GoneLines;
  readonly #answersMayGoFirst: boolean;
  #heartbeat: NodeJS.Timeout | undefined;
  /** Of the line under way. */
  #refusal: Control | undefined;

  constructor(options: CaptureOptions) {
    const { settings } = options;
    this.#server = options.server;
    this.#timings = timingsOf(options);
    this.#shared = options.shared;
    this.#opening = options.opening ?? {};
    this.session = settings.sessionId ?? options.session ?? sessionOf(options);
    this.#address = settings.address;
    this.#hold = settings.hold;
    this.#policy = policyOf(options);
    this.#redaction = redactionOf(options);
    this.#redactor = this.#newRedactor(options);
    this.#labels = labelsOf(options);
    this.#mapping = this.#labels?.mapping;
    this.#answersMayGoFirst = answersMayGoFirst(settings, [this.#policy, this.#redaction]);
    this.#recorder = newRecorder(options, this.session, this.#timings, this.#redactor?.redact);
    this.#guard =
      options.shared?.guard ??
      newGuard(options, this.#timings, {
        record: (draft) => this.#recordAfterGone([draft]),
        changed: () => this.#gone.tell(),
      });
    this.#gone = new GoneLines({
      recorder: this.#recorder,
      guard: this.#guard,
      observer: () => this.#observer,
      answersMayGo: () => this.#answersGoFirst,
      requestsMayGo: requestsMayGoFirst(options),
      follower: options.follower,
    });
    this.#waiting = new WaitingCalls({
      recorder: this.#recorder,
      guard: this.#guard,
      hold: settings.hold,
      beforeRecord: () => this.#gone.empty(),
    });
    this.#observer = this.#newObserver(options);
    this.#drainer = options.shared?.drainer ?? newDrainer(options);
    this.#expiry = setInterval(() => this.#expire(), EXPIRE_INTERVAL_MS);
    this.#expiry.unref();
  }

  #newObserver(options: CaptureOptions): Observer {
    const { settings } = options;
    return new Observer({
      server: options.server,
      transport: options.transport,
      agent: settings.agent,
      session: this.session,
      clock: {
        nowMs: () => this.#gone.underWay?.timeMs ?? Date.now(),
        monotonicMs: () => this.#gone.underWay?.monotonicMs ?? performance.now(),
      },
      sha256Hex,
      randomHex,
      spans: options.spans ?? randomSpans(randomHex),
      decide: (call) => this.#decide(call),
      mappings: () => NO_MAPPINGS,
      injectTrace: settings.injectTrace,
      callTimeoutMs: this.#timings.callTimeoutMs,
      maxPendingCalls: MAX_PENDING_CALLS,
      boundary: () => this.#mapping,
      ...(settings.hold === undefined ? {} : { hold: settings.hold }),
      policy: this.#newPolicy(options),
      shown: this.#redactor?.shown,
    });
  }

  #decide(call: ControlledCall): CallDecision {
    // Nothing was in force when it went on, whatever has come since.
    if (this.#gone.underWay !== undefined) return ALLOW;
    return this.#refusal === undefined
      ? this.#guard.decide(call)
      : { kind: 'refuse', control: this.#refusal };
  }

  #newRedactor({ server, log }: CaptureOptions): StreamRedaction | undefined {
    return this.#redaction?.stream({
      session: this.session,
      server,
      sha256Hex,
      nowMs: () => Date.now(),
      log,
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

  /** Reads policy and redaction of this host; nothing may pass before. Throws host_policy_invalid, redaction_invalid. */
  async loadPolicy(): Promise<void> {
    await this.#policy?.load();
    await this.#redaction?.load();
  }

  /** Puts the stream on record, and begins to listen for controls and to send what crashed processes left. */
  async start(): Promise<void> {
    // Where nothing is to be waited for, the stream is open when this call returns.
    if (this.#policy?.isLoaded === false || this.#redaction?.isLoaded === false) await this.loadPolicy();
    // One that was applied meanwhile has told nobody of this connection.
    this.#mapping = this.#labels?.mapping;
    this.#recorder.open({ ...this.#opening, ...this.#inForce() });
    this.#gone.tell();
    this.#heartbeat = setInterval(() => this.note({}), this.#timings.heartbeatMs);
    this.#heartbeat.unref();
    this.#unsubscribe = [
      this.#policy?.subscribe((news) => this.note({ ...news })),
      this.#labels?.subscribe((news) => this.#remapped(news)),
    ];
    if (this.#hold !== undefined) this.#guard.watch(this.stream);
    if (this.#shared !== undefined) return;
    await this.#guard.start();
    this.#drainer.start();
  }

  /** What stream.open says of the host's files. */
  #inForce(): Readonly<Record<string, unknown>> {
    return given({
      policy: this.#policy?.identity,
      redaction: this.#redaction?.identity,
      labelMapping: this.#labels?.stamp,
    });
  }

  /** What came before is labelled as it was then. */
  #remapped(news: LabelNews): void {
    this.#gone.stop();
    this.note({ ...news });
    this.#mapping = this.#labels?.mapping;
    this.#gone.tell();
  }

  /** Where no answer is changed (labels, marks). */
  get #answersGoFirst(): boolean {
    return this.#answersMayGoFirst && (this.#mapping === undefined || !changesAnswers(this.#mapping));
  }

  /** What the controls that this host holds say of a call; nothing is recorded. */
  decisionOn(call: ControlledCall): CallDecision {
    return this.#guard.decide(call);
  }

  get counts(): RecorderCounts {
    this.#gone.empty();
    return this.#recorder.counts;
  }

  get stream(): string {
    return this.#recorder.stream;
  }

  #expire(): void {
    this.#gone.empty();
    this.#recorder.record(this.#observer.expire());
    this.#gone.tell();
  }

  /** What has gone on has its place in the stream before anything that comes later. */
  #recordAfterGone(drafts: readonly EventDraft[]): void {
    this.#gone.empty();
    this.#recorder.record(drafts);
  }

  /**
   * Takes one line that travels in `direction`; when it answers, what must be on record before the line leaves is in
   * the spool, or the line itself in its journal. Answers at once except before the first call (controls) and while a
   * full spool blocks. Where nothing of a line can be changed, held or refused it goes on first and is looked at after it.
   */
  pass(direction: Direction, line: Uint8Array, about: AboutLine = {}): Passed | Promise<Passed> {
    if (!this.#guard.isReady && direction === 'to_server' && Observer.holdsControlled(line)) {
      return this.#guard.ready().then(() => this.#passNow(direction, line, about));
    }
    return this.#passNow(direction, line, about);
  }

  #passNow(direction: Direction, line: Uint8Array, about: AboutLine): Passed | Promise<Passed> {
    if (this.#gone.goesFirst(direction, line, about)) return { forward: line, answers: [] };
    this.#gone.empty();
    this.#refusal = about.refuse;
    const observed = this.#observer.observe(direction, line, about.scope, about.read);
    this.#refusal = undefined;
    const { forward, answers, held } = observed;
    const drafts = about.labels === undefined ? observed.drafts : labelled(observed.drafts, about.labels);
    const passed = (): Passed =>
      held === undefined ? { forward, answers } : { forward, answers, later: this.#waiting.judged(held) };
    if (drafts.length === 0 || this.#recorder.record(drafts, true) !== 'full') {
      this.#gone.tell();
      return passed();
    }
    return this.#recordWhenRoom(drafts).then(passed);
  }

  async #recordWhenRoom(drafts: readonly EventDraft[]): Promise<void> {
    do await this.#recorder.room();
    while (this.#recorder.record(drafts, true) === 'full');
  }

  /** Of these requests (by pendingKey), those that are waited for. */
  unanswered(keys: readonly string[]): readonly string[] {
    this.#gone.empty();
    return this.#observer.unanswered(keys);
  }

  /** Looks at the next lines that another thread has let go, at most so many; answers how many there were. */
  follow(most: number): number {
    return this.#gone.follow(most);
  }

  /** Runs `then` when all that has passed until now is looked at. */
  afterLook(then: () => void): void {
    this.#gone.after(then);
  }

  /** Ends calls (by pendingKey) that will not be answered; those that have ended are left alone. */
  endCalls(keys: readonly string[], end: ExchangesEnd): void {
    if (keys.length === 0) return;
    this.#gone.empty();
    this.#recorder.record(this.#observer.end(keys, end));
  }

  /** Puts changed facts of the connection on record, as a heartbeat. */
  note(fields: Readonly<Record<string, unknown>>): void {
    this.#gone.empty();
    this.#recorder.note(fields);
  }

  /** For the further connections of this process; they end before this one. */
  share(): SharedParts {
    return {
      guard: this.#guard,
      drainer: this.#drainer,
      policy: this.#policy,
      redaction: this.#redaction,
      labels: this.#labels,
      publisher: sharedPublisher(this.#address),
    };
  }

  /**
   * Puts a decision on record; the next tool call of this connection follows from it and names its id, which is
   * answered. Where it names a call, that one does.
   */
  decide(decision: Decision): string {
    this.#gone.empty();
    const id = randomHex(16);
    const of = { id, server: this.#server, timeMs: Date.now(), sha256Hex };
    this.#recorder.record([decisionDraft(decision, of)]);
    if (decision.callId === undefined) this.#observer.decided(id);
    return id;
  }

  /** Abandoned calls and the end of the stream on record; sends for a bounded time, the rest stays spooled. */
  async close(): Promise<void> {
    clearInterval(this.#expiry);
    clearInterval(this.#heartbeat);
    for (const unsubscribe of this.#unsubscribe) unsubscribe?.();
    this.#gone.stop();
    this.#gone.empty();
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
