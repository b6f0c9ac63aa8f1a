/**
 * The board: what is set now. It reads the compacted topic controls from its beginning, believes only what a pinned key
 * signed, and keeps the newest version of each control. It is a view; the evidence of a change is its audit event.
 */
import type { Logger } from 'pino';
import { isInForce } from '../../../schemas/control/decide.ts';
import type { Control, SignedControl } from '../../../schemas/control/v1.ts';
import { newerControl, verifySignedControl, type PinnedControlKey } from '../../../schemas/control/verify.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { Bus, BusRecord } from '../bus/port.ts';
import type { Clock } from '../clock.ts';
import { verifyEd25519 } from './key.ts';
import { decodeControlValue } from './message.ts';

export interface HeldControl {
  readonly control: Control;
  readonly signed: SignedControl;
}

export interface BoardChange {
  readonly kind: 'set' | 'lifted' | 'expired';
  readonly held: HeldControl;
}

export type BoardListener = (change: BoardChange) => void;

export interface ControlBoard {
  /** The newest version of every control, lifted and expired ones too; newest version first. */
  list(): readonly HeldControl[];
  get(id: string): HeldControl | undefined;
  /** Controls that stop or shadow calls now. */
  inForce(): readonly Control[];
  /** Highest version seen, 0 where there is none. */
  newestVersion(): number;
  /**
   * Called in the turn in which a change is known, after it is durable on the topic; answers the way to end it. A
   * listener that throws is logged and stops nobody else.
   */
  subscribe(listener: BoardListener): () => void;
  /** Takes in what is on the topic up to its end at the time of the call. */
  catchUp(): Promise<void>;
  /**
   * Takes in a control that this process has just made durable at `offset`, without waiting for the topic to bring it.
   * Where others appended before it, those are read first: of two changes with one version, the first on the topic
   * holds, for every reader.
   */
  acceptAppended(signed: SignedControl, offset: number): Promise<void>;
  close(): Promise<void>;
}

export interface ControlBoardOptions {
  readonly bus: Bus;
  readonly pinnedKeys: readonly PinnedControlKey[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** A control that is over is kept this long for readers, then forgotten (its version still counts). */
const KEEP_EXPIRED_MS = 30 * 86_400_000;
/** Longest sleep between two looks at the clock, so that a clock that is set shows within a minute. */
const MAX_SLEEP_MS = 60_000;

/** Reads the topic to its end, then follows it. Rejects with the bus's errors when the topic cannot be read. */
export async function openControlBoard(options: ControlBoardOptions): Promise<ControlBoard> {
  const board = new Board(options);
  await board.start();
  return board;
}

class Board implements ControlBoard {
  readonly #options: ControlBoardOptions;
  readonly #held = new Map<string, HeldControl>();
  readonly #expired = new Set<string>();
  readonly #listeners = new Set<BoardListener>();
  readonly #closing = new AbortController();
  #wake = new AbortController();
  #newestVersion = 0;
  #nextOffset = 0;
  #stopTail: () => Promise<void> = () => Promise.resolve();
  #expiryLoop: Promise<void> = Promise.resolve();

  constructor(options: ControlBoardOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.catchUp();
    const tail = await this.#options.bus.tail({
      topics: [TOPICS.controls.name],
      // From the beginning once more: a record between the end just read and the start of the tail is then not missed.
      from: 'earliest',
      onRecords: (records) => {
        this.#takeIn(records);
        return Promise.resolve();
      },
      onError: (error) => this.#options.log.warn({ err: error }, 'reading topic controls'),
    });
    this.#stopTail = () => tail.stop();
    this.#expiryLoop = this.#watchExpiry();
  }

  list(): readonly HeldControl[] {
    return [...this.#held.values()].toSorted(
      (left, right) =>
        right.control.version - left.control.version || (left.control.id < right.control.id ? -1 : 1),
    );
  }

  get(id: string): HeldControl | undefined {
    return this.#held.get(id);
  }

  inForce(): readonly Control[] {
    const nowMs = this.#options.clock.nowMs();
    return this.list()
      .map((held) => held.control)
      .filter((control) => isInForce(control, nowMs));
  }

  newestVersion(): number {
    return this.#newestVersion;
  }

  subscribe(listener: BoardListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async catchUp(): Promise<void> {
    const [at] = await this.#options.bus.offsets(TOPICS.controls.name);
    if (at === undefined || at.latest <= this.#nextOffset) return;
    const range = { topic: TOPICS.controls.name, partition: at.partition, from: this.#nextOffset };
    for await (const records of this.#options.bus.read({ ...range, to: at.latest })) this.#takeIn(records);
  }

  async acceptAppended(signed: SignedControl, offset: number): Promise<void> {
    if (offset > this.#nextOffset) return this.catchUp();
    // Below nextOffset the tail has already brought it.
    if (offset < this.#nextOffset) return;
    this.#nextOffset = offset + 1;
    this.#accept(signed);
  }

  #accept(signed: SignedControl): void {
    const verified = verifySignedControl(signed, this.#options.pinnedKeys, verifyEd25519);
    if (verified.kind === 'invalid') {
      // Somebody who may write to the bus but has not the key, or a key that was replaced.
      this.#options.log.error({ code: verified.code, keyId: signed.keyId }, 'control refused');
      return;
    }
    this.#merge({ control: verified.control, signed });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake.abort();
    await this.#stopTail();
    await this.#expiryLoop;
    this.#listeners.clear();
  }

  #takeIn(records: readonly BusRecord[]): void {
    for (const record of records) {
      const signed = decodeControlValue(record.value);
      if (signed !== undefined) this.#accept(signed);
      else if (record.value !== null)
        this.#options.log.error({ offset: record.offset, code: 'control_invalid' }, 'control refused');
      this.#nextOffset = Math.max(this.#nextOffset, record.offset + 1);
    }
  }

  #merge(received: HeldControl): void {
    const { control } = received;
    this.#newestVersion = Math.max(this.#newestVersion, control.version);
    if (newerControl(this.#held.get(control.id)?.control, control) !== 'newer') return;
    const nowMs = this.#options.clock.nowMs();
    const expiresMs = Date.parse(control.expiresAt);
    if (expiresMs + KEEP_EXPIRED_MS <= nowMs) {
      this.#held.delete(control.id);
      return;
    }
    this.#held.set(control.id, received);
    // What was over when we first saw it is no news to anybody but the reader of the whole list.
    if (nowMs >= expiresMs) this.#expired.add(control.id);
    else this.#expired.delete(control.id);
    this.#notify({ kind: control.state === 'set' ? 'set' : 'lifted', held: received });
    this.#wake.abort();
  }

  #notify(change: BoardChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#options.log.error({ err: error }, 'control listener');
      }
    }
  }

  async #watchExpiry(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController();
      const sleepMs = this.#expireDue(this.#options.clock.nowMs());
      await this.#options.clock.sleep(sleepMs, this.#wake.signal);
    }
  }

  /** Tells the listeners of every control that has just run out; answers the ms until the next one does. */
  #expireDue(nowMs: number): number {
    let nextMs = nowMs + MAX_SLEEP_MS;
    for (const [id, held] of this.#held) {
      const expiresMs = Date.parse(held.control.expiresAt);
      if (this.#expired.has(id)) {
        if (expiresMs + KEEP_EXPIRED_MS <= nowMs) this.#forget(id);
      } else if (nowMs >= expiresMs) {
        this.#expired.add(id);
        if (held.control.state === 'set') this.#notify({ kind: 'expired', held });
      } else nextMs = Math.min(nextMs, expiresMs);
    }
    return Math.max(1, nextMs - nowMs);
  }

  #forget(id: string): void {
    this.#held.delete(id);
    this.#expired.delete(id);
  }
}
