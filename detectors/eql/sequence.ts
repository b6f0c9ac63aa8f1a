/**
 * EQL's sequence state machine: one pending sequence for each key and stage. An event moves the pending sequence of the stage
 * before it (the newest wins, what stood there is lost); stages are tried from the last to the first, so that an event
 * serves one stage of a sequence; `until` clears a key after the same event's matches.
 * What the method loses against a search for any valid choice of events is told in README.md.
 */
import { exceeds, type Moment } from './events.ts';

/** An event in EQL's order. */
export interface Ranked {
  readonly moment: Moment;
}

/** An event fits a stage, for these keys. */
export interface Hit {
  readonly stage: number;
  readonly keys: readonly string[];
}

export interface Completed<E extends Ranked> {
  readonly key: string;
  /** One event a stage. */
  readonly events: readonly E[];
}

export interface MachineOptions {
  readonly stages: number;
  readonly maxSpanMs?: number | undefined;
  /** Stages that copy the pending sequence and leave it. */
  readonly forks?: ReadonlySet<number>;
}

export class SequenceMachine<E extends Ranked> {
  readonly #options: MachineOptions;
  /** key → by stage, the events of the sequence that has reached it. */
  readonly #pending = new Map<string, (readonly E[] | undefined)[]>();

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /** Takes the next event; answers what it completes. `hits` are its stages, `untilKeys` the keys that it clears. */
  accept(event: E, hits: readonly Hit[], untilKeys: readonly string[]): Completed<E>[] {
    const completed: Completed<E>[] = [];
    for (const { stage, keys } of hits.toSorted((a, b) => b.stage - a.stage)) {
      for (const key of keys) {
        const events = this.#advance(event, stage, key);
        if (events !== undefined) completed.push({ key, events });
      }
    }
    for (const key of untilKeys) this.#pending.delete(key);
    return completed;
  }

  /** The whole sequence where the event completes one. */
  #advance(event: E, stage: number, key: string): readonly E[] | undefined {
    const before = stage === 0 ? [] : this.#leave(event, stage, key);
    if (before === undefined) return undefined;
    const events = [...before, event];
    if (stage === this.#options.stages - 1) return events;
    const stages = this.#pending.get(key) ?? Array.from({ length: this.#options.stages }, () => undefined);
    stages[stage] = events;
    this.#pending.set(key, stages);
    return undefined;
  }

  /** Takes the pending sequence out of the stage before; one that is too old is dropped. */
  #leave(event: E, stage: number, key: string): readonly E[] | undefined {
    const stages = this.#pending.get(key);
    const before = stages?.[stage - 1];
    if (stages === undefined || before === undefined) return undefined;
    const isTooOld = this.#isTooOld(before, event);
    if (isTooOld || this.#options.forks?.has(stage) !== true) {
      stages[stage - 1] = undefined;
      if (stages.every((one) => one === undefined)) this.#pending.delete(key);
    }
    return isTooOld ? undefined : before;
  }

  #isTooOld([first]: readonly E[], { moment }: E): boolean {
    const { maxSpanMs } = this.#options;
    return first !== undefined && maxSpanMs !== undefined && exceeds(first.moment, moment, maxSpanMs);
  }
}
