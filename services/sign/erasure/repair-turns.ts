/**
 * Repairs and erasures, never at once: what a repair found missing before the ERASURE entries were signed it would bring
 * back after the rows were taken, and seal under a key that nobody destroys. A repair is refused while an erasure is at
 * work; an erasure waits for the repair that is under way.
 */
import { TriplineError } from '../../../schemas/errors.ts';
import type { Clock } from '../../platform/clock.ts';
import type { RepairTurns as RepairTurnsPort } from '../../record/ports.ts';

/** Of a repair whose process died; longer than the inserts of one part, which the store ends by its own limit. */
const LEASE_MS = 5 * 60_000;
const LOOK_EVERY_MS = 200;

export class RepairTurns implements RepairTurnsPort {
  readonly #clock: Clock;
  /** yielded: an erasure is at work and waits for step record, which may itself wait for a repair. */
  #erasure: 'none' | 'at_work' | 'yielded' = 'none';
  #repairUntilMs = -Infinity;
  #isDisturbed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(): Promise<void> {
    if (this.#erasure === 'at_work') return Promise.reject(new TriplineError('erasure_under_way'));
    this.#isDisturbed ||= this.#erasure === 'yielded';
    this.#repairUntilMs = this.#clock.monotonicMs() + LEASE_MS;
    return Promise.resolve();
  }

  done(): Promise<void> {
    this.#repairUntilMs = -Infinity;
    return Promise.resolve();
  }

  /** Resolves when no repair is under way; none is let in until `end`. Rejects where `signal` aborts. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#isDisturbed = false;
    await this.#alone(signal);
  }

  /** While an erasure at work waits for others. */
  yield(): void {
    if (this.#erasure === 'at_work') this.#erasure = 'yielded';
  }

  /** After `yield`: as `begin`, and `isDisturbed` stays. */
  async resume(signal: AbortSignal): Promise<void> {
    if (this.#erasure === 'yielded') await this.#alone(signal);
  }

  end(): void {
    this.#erasure = 'none';
  }

  /** A repair took its turn since `begin`: what was listed may not be all. */
  get isDisturbed(): boolean {
    return this.#isDisturbed;
  }

  async #alone(signal: AbortSignal): Promise<void> {
    while (this.#clock.monotonicMs() < this.#repairUntilMs) {
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
      signal.throwIfAborted();
    }
    this.#erasure = 'at_work';
  }
}
