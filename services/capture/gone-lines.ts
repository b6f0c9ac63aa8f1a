/** Which lines of a connection go on before they are looked at, and how they are looked at then (line-queue.ts). */
import type { ControlGuard } from './controls/guard.ts';
import type { EventDraft } from './draft.ts';
import { LineQueue, type QueuedLine } from './line-queue.ts';
import { signsOf } from './line-signs.ts';
import type { Direction } from './message.ts';
import type { Observer } from './observer.ts';
import type { AboutLine } from './passed.ts';
import type { JournalledLine } from './recorder/line-journal.ts';
import type { Recorder } from './recorder/recorder.ts';

export interface GoneLinesOptions {
  readonly recorder: Recorder;
  readonly guard: ControlGuard;
  readonly observer: () => Observer;
  /** False where answers may be changed, held or refused: then they are looked at first, and so is all else. */
  readonly answersMayGo: () => boolean;
  /** False where requests may be, too, or where their record cannot wait. */
  readonly requestsMayGo: boolean;
}

/** Kept for whoever reads the journal. */
const MAX_OPEN_CALLS = 64;

export class GoneLines {
  readonly #options: GoneLinesOptions;
  readonly #queue = new LineQueue((lines) => this.#look(lines));
  #underWay: QueuedLine | undefined;

  constructor(options: GoneLinesOptions) {
    this.#options = options;
  }

  /** The line that is looked at now, after it has gone on. */
  get underWay(): QueuedLine | undefined {
    return this.#underWay;
  }

  /** True when the line may go on now; it is queued to be looked at. */
  goesFirst(direction: Direction, line: Uint8Array, about: AboutLine): boolean {
    const isAnswer = direction === 'to_client';
    if (!this.#options.answersMayGo() || !(isAnswer || this.#isAllowed(about))) return false;
    const signs = signsOf(direction, line);
    if (isAnswer && !signs.isOnlyAnswers) return false;
    const { scope = '', read } = about;
    const gone = { direction, line, scope, timeMs: Date.now() };
    const isJournalled = !signs.mayHoldInput && this.#keep(gone);
    if (!isAnswer && !isJournalled) return false;
    this.#queue.add({ ...gone, read, isJournalled, monotonicMs: performance.now() });
    return true;
  }

  #keep(gone: JournalledLine): boolean {
    const { requestsMayGo, recorder } = this.#options;
    return requestsMayGo && recorder.keepLine(gone, this.#openCalls);
  }

  /** A request. */
  #isAllowed({ refuse, labels }: AboutLine): boolean {
    const { requestsMayGo, guard } = this.#options;
    return requestsMayGo && refuse === undefined && labels === undefined && guard.allowsAll;
  }

  /** Asked when all that has gone on is looked at. */
  readonly #openCalls = (): ReturnType<Observer['openCalls']> =>
    this.#options.observer().openCalls(MAX_OPEN_CALLS);

  #look(lines: readonly QueuedLine[]): void {
    const observer = this.#options.observer();
    const drafts: EventDraft[] = [];
    for (const gone of lines) {
      this.#underWay = gone;
      drafts.push(...observer.observe(gone.direction, gone.line, gone.scope, gone.read).drafts);
    }
    this.#underWay = undefined;
    this.#options.recorder.recordKept(drafts, lines.filter(({ isJournalled }) => isJournalled).length);
  }

  /** Looks at all of them, now: before anything else of the connection goes on record. */
  empty(): void {
    this.#queue.empty();
  }

  /** Runs `then` when all that has gone on until now is on record: at once where it is. */
  after(then: () => void): void {
    this.#queue.after(then);
  }
}
