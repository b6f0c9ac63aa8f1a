/** The older dialect's join: events in any order, one a slot; the first event wins a slot, a full set is told and begins anew. */
import type { Completed, Hit, Ranked } from './sequence.ts';

export class JoinMachine<E extends Ranked> {
  readonly #size: number;
  readonly #slotsByKey = new Map<string, (E | undefined)[]>();

  constructor(size: number) {
    this.#size = size;
  }

  accept(event: E, hits: readonly Hit[], untilKeys: readonly string[]): Completed<E>[] {
    const completed: Completed<E>[] = [];
    for (const { stage, keys } of hits) {
      for (const key of keys) {
        const events = this.#fill(event, stage, key);
        if (events !== undefined) completed.push({ key, events });
      }
    }
    for (const key of untilKeys) this.#slotsByKey.delete(key);
    return completed;
  }

  #fill(event: E, slot: number, key: string): readonly E[] | undefined {
    const slots = this.#slotsByKey.get(key) ?? Array.from({ length: this.#size }, () => undefined);
    slots[slot] ??= event;
    const events = slots.filter((one) => one !== undefined);
    if (events.length < this.#size) {
      this.#slotsByKey.set(key, slots);
      return undefined;
    }
    this.#slotsByKey.delete(key);
    return events;
  }
}
