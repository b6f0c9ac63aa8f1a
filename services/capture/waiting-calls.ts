/** Calls of one line that wait: for the verdict of detection on their intents, for a person's approval, or both. */
import type { ControlGuard } from './controls/guard.ts';
import { heldBy, type Held, type HoldSettings, type Settled } from './holds.ts';
import type { HeldLine } from './line-state.ts';
import type { Passed } from './passed.ts';
import type { Recorder } from './recorder/recorder.ts';

export interface WaitingCallsOptions {
  readonly recorder: Recorder;
  readonly guard: ControlGuard;
  readonly hold: HoldSettings | undefined;
  /** What came before them goes on record before them. */
  readonly beforeRecord: () => void;
}

export class WaitingCalls {
  readonly #options: WaitingCallsOptions;

  constructor(options: WaitingCallsOptions) {
    this.#options = options;
  }

  /** What becomes of the line once its calls are judged. Called in the turn in which their intents were recorded. */
  async judged(held: HeldLine): Promise<Passed> {
    const { recorder } = this.#options;
    const { places } = recorder;
    recorder.flush();
    const decided = await Promise.all(
      held.calls.map(async ({ draft, isHeld, approved }): Promise<Settled> => {
        const [ruled, approval] = await Promise.all([
          isHeld ? this.#ruled(places[draft]) : undefined,
          approved?.(),
        ]);
        return { held: ruled, approval };
      }),
    );
    this.#options.beforeRecord();
    const { drafts, forward, answers } = held.settle(decided);
    recorder.record(drafts);
    return { forward, answers };
  }

  async #ruled(seq: number | undefined): Promise<Held | undefined> {
    const { hold, guard, recorder } = this.#options;
    if (hold === undefined) return undefined;
    const fromMs = performance.now();
    const ruling =
      seq === undefined
        ? ({ kind: 'timeout' } as const)
        : await guard.verdict(recorder.stream, seq, hold.budgetMs);
    return heldBy(ruling, hold, performance.now() - fromMs);
  }
}
