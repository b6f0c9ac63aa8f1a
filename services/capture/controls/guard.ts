/** What stands between a call and its server: controls held, the state of the channel, and what is said about both on record. */
import { decideCall, type CallDecision, type ControlledCall } from '../../../schemas/control/decide.ts';
import type { Control, SignedControl } from '../../../schemas/control/v1.ts';
import { verifySignedApproval } from '../../../schemas/approval/verify.ts';
import { verifySignedControl, type PinnedControlKey } from '../../../schemas/control/verify.ts';
import type { EventDraft } from '../draft.ts';
import type { CaptureLog } from '../log.ts';
import type { ServiceAddress } from '../recorder/publisher.ts';
import type { Ruling } from '../holds.ts';
import { ControlChannel } from './channel.ts';
import { hostControl } from './host-control.ts';
import { ControlKeeper, type ApplyOutcome } from './keeper.ts';
import { verifyEd25519 } from './keys.ts';
import { VerdictDesk } from './verdicts.ts';
import { ApprovalDesk } from '../policy/desk.ts';

export interface GuardOptions {
  readonly file: string;
  /** Directory of requests for approval and their answers. */
  readonly approvalsDirectory: string;
  readonly randomHex: (bytes: number) => string;
  /** Asked until there is one: control.pub may be written after the host started. */
  readonly pinnedKeys: () => readonly PinnedControlKey[];
  readonly address: () => ServiceAddress;
  readonly onChannelLost: 'open' | 'closed';
  /** How long a channel that was up may be down before it counts as lost. */
  readonly lostAfterMs: number;
  /** How long the first call waits for the first word of the channel. */
  readonly firstWaitMs: number;
  readonly nowMs: () => number;
  readonly record: (draft: EventDraft) => void;
  /** Called when `allowsAll` may have changed, before it is put on record. */
  readonly changed: () => void;
  readonly log: CaptureLog;
}

const CLOSED_FOR_MS = 60_000;
const REPORT_INTERVAL_MS = 60_000;
/** Rejected controls on record in one interval. */
const MAX_REPORTS = 20;

export class ControlGuard {
  readonly #options: GuardOptions;
  readonly #channel: ControlChannel;
  #keeper: ControlKeeper | undefined;
  /** Version acknowledged by this stream, by control id: each life of a host says once what it holds. */
  readonly #acknowledged = new Map<string, number>();
  readonly #reported = new Set<string>();
  #reportedSinceMs = 0;
  readonly #verdicts = new VerdictDesk();
  #pinned: readonly PinnedControlKey[] = [];
  /** Approvals of this host. */
  readonly approvals: ApprovalDesk;
  #up = false;
  #lost: boolean;
  #lostTimer: NodeJS.Timeout | undefined;
  #isReady = false;
  #markReady: () => void = () => undefined;
  readonly #ready: Promise<void>;

  constructor(options: GuardOptions) {
    this.#options = options;
    // Closed means closed until the channel has spoken.
    this.#lost = options.onChannelLost === 'closed';
    this.#ready = new Promise((resolve) => {
      this.#markReady = resolve;
    });
    this.#channel = new ControlChannel({
      address: options.address,
      onControls: (controls, snapshot) => this.#controls(controls, snapshot),
      onVerdict: (verdict) => this.#verdicts.take(verdict),
      onApproval: (approval) => this.approvals.take(approval),
      onDown: () => {
        this.#verdicts.giveUp();
        this.#down();
      },
      log: options.log,
    });
    this.approvals = new ApprovalDesk({
      directory: options.approvalsDirectory,
      verify: (signed) => verifySignedApproval(signed, this.#keys(), verifyEd25519),
      nowMs: options.nowMs,
      randomHex: options.randomHex,
      watch: (id) => this.#channel.watchApproval(id),
      unwatch: (id) => this.#channel.unwatchApproval(id),
      log: options.log,
    });
  }

  #keys(): readonly PinnedControlKey[] {
    if (this.#pinned.length === 0) this.#pinned = this.#options.pinnedKeys();
    return this.#pinned;
  }

  /** False until calls may be decided; then wait for `ready()`. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when what the disk holds is in force and the channel has spoken, failed, or taken too long. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Loads what is on disk and begins to connect. */
  async start(): Promise<void> {
    const keeper = new ControlKeeper({
      file: this.#options.file,
      verify: (signed) => verifySignedControl(signed, this.#keys(), verifyEd25519),
      nowMs: this.#options.nowMs,
      log: this.#options.log,
    });
    keeper.load();
    this.approvals.load();
    this.#keeper = keeper;
    setTimeout(() => this.#setReady(), this.#options.firstWaitMs).unref();
    this.#channel.start();
  }

  #setReady(): void {
    this.#isReady = true;
    this.#options.changed();
    this.#markReady();
  }

  /** Decides about one call, now. */
  decide(call: ControlledCall): CallDecision {
    if (this.#lost && this.#options.onChannelLost === 'closed') {
      return { kind: 'refuse', control: this.#closedControl() };
    }
    return decideCall(this.#keeper?.controls ?? [], call, this.#options.nowMs());
  }

  /** True when `decide` allows every call. */
  get allowsAll(): boolean {
    const isClosed = this.#lost && this.#options.onChannelLost === 'closed';
    return this.#isReady && !isClosed && this.#keeper?.holdsAny === false;
  }

  /** The verdicts on calls of this stream will be asked for. */
  watch(stream: string): void {
    this.#channel.watch(stream);
  }

  unwatch(stream: string): void {
    this.#channel.unwatch(stream);
  }

  /** What detection says of the call whose intent has this place, or `timeout`; at once where the channel is down. */
  verdict(stream: string, seq: number, budgetMs: number): Promise<Ruling> {
    return this.#channel.isUp
      ? this.#verdicts.wait(stream, seq, budgetMs)
      : Promise.resolve({ kind: 'timeout' });
  }

  #closedControl(): Control {
    const reason = 'The control channel is lost and this host is set to refuse calls without it.';
    return hostControl({ id: 'channel_lost', reason, nowMs: this.#options.nowMs(), forMs: CLOSED_FOR_MS });
  }

  #controls(signed: readonly SignedControl[], snapshot: boolean): void {
    for (const one of signed) this.#apply(one);
    if (!snapshot) return;
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    this.#up = true;
    if (this.#lost) {
      this.#lost = false;
      this.#options.changed();
      this.#ack('channel', { state: 'channel_restored' });
    }
    this.#setReady();
  }

  #apply(signed: SignedControl): void {
    const outcome = this.#keeper?.apply(signed);
    this.#options.changed();
    switch (outcome?.kind) {
      case 'applied':
      case 'lifted':
      case 'same':
        return this.#acknowledge(outcome.control);
      case 'rejected':
        return this.#reject(outcome);
      case undefined:
    }
  }

  #reject({ controlId, version, code }: Extract<ApplyOutcome, { kind: 'rejected' }>): void {
    if (!this.#mayReport(`${controlId} ${version ?? ''} ${code}`)) return;
    this.#options.log('error', 'control_rejected', { code });
    this.#ack(controlId, { state: 'rejected', code, ...(version === undefined ? {} : { version }) });
  }

  /**
   * Whoever speaks on the channel chooses what is rejected: the same rejection is put on record once a minute, and at
   * most so many in all, or a stranger fills the record with them.
   */
  #mayReport(rejection: string): boolean {
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#reportedSinceMs >= REPORT_INTERVAL_MS || nowMs < this.#reportedSinceMs) {
      this.#reported.clear();
      this.#reportedSinceMs = nowMs;
    }
    if (this.#reported.has(rejection) || this.#reported.size >= MAX_REPORTS) return false;
    this.#reported.add(rejection);
    return true;
  }

  #acknowledge(control: Control): void {
    if (this.#acknowledged.get(control.id) === control.version) return;
    this.#acknowledged.set(control.id, control.version);
    const state = control.state === 'set' ? 'applied' : 'lifted';
    this.#ack(control.id, { state, version: control.version });
  }

  #down(): void {
    if (this.#options.onChannelLost === 'open') this.#setReady();
    if (this.#lostTimer !== undefined || (this.#lost && !this.#up)) return;
    this.#up = false;
    this.#lostTimer = setTimeout(() => {
      this.#lost = true;
      this.#options.changed();
      this.#options.log('warn', 'control_channel_lost', { calls: this.#options.onChannelLost });
      this.#ack('channel', { state: 'channel_lost' });
    }, this.#options.lostAfterMs);
    this.#lostTimer.unref();
  }

  #ack(controlId: string, ack: Readonly<Record<string, unknown>>): void {
    this.#options.record({
      kind: 'control.ack',
      timeMs: this.#options.nowMs(),
      fields: { controlId, ack },
    });
  }

  stop(): void {
    clearTimeout(this.#lostTimer);
    this.#verdicts.giveUp();
    this.approvals.stop();
    this.#channel.stop();
  }
}
