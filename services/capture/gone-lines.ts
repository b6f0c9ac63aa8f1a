/**
 * Which lines of a connection go on before they are looked at, and how they are looked at then: here (line-queue.ts), or,
 * where another thread lets them go, as it has left them (line-follower.ts).
 */
import type { ControlGuard } from './controls/guard.ts';
import type { EventDraft } from './draft.ts';
import { LineQueue, type QueuedLine } from './line-queue.ts';
import { signsOf } from './line-signs.ts';
import type { Direction } from './message.ts';
import type { Observer } from './observer.ts';
import type { AboutLine } from './passed.ts';
import type { JournalledLine } from './recorder/line-parts.ts';
import type { LineFollower } from './recorder/line-follower.ts';
import type { Recorder } from './recorder/recorder.ts';

export interface GoneLinesOptions {
  readonly recorder: Recorder;
  readonly guard: ControlGuard;
  readonly observer: () => Observer;
  /** False where answers may be changed, held or refused: then they are looked at first, and so is all else. */
  readonly answersMayGo: () => boolean;
  /** False where requests may be, too, or where their record cannot wait. */
  readonly requestsMayGo: boolean;
  /** Where another thread lets lines go. */
  readonly follower: LineFollower | undefined;
}

/** Kept for whoever reads the journal. */
const MAX_OPEN_CALLS = 64;

export class GoneLines {
  readonly #options: GoneLinesOptions;
  readonly #queue = new LineQueue((lines) => this.#look(lines));
  #underWay: QueuedLine | undefined;
  #isFollowing = false;

  constructor(options: GoneLinesOptions) {
    this.#options = options;
  }

  /** The line that is looked at now, after it has gone on. */
  get underWay(): QueuedLine | undefined {
    return this.#underWay;
  }

  /** True when the line may go on now; it is queued to be looked at. */
  goesFirst(direction: Direction, line: Uint8Array, about: AboutLine): boolean {
    const { follower, answersMayGo } = this.#options;
    // What may go first has gone by the other thread.
    return follower === undefined && answersMayGo() && this.#goes(direction, line, about);
  }

  #goes(direction: Direction, line: Uint8Array, about: AboutLine): boolean {
    const isAnswer = direction === 'to_client';
    if (!isAnswer && !this.#isAllowed(about)) return false;
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
    this.follow(Infinity);
  }

  /** Looks at the next ones that another thread has let go, at most so many; answers how many there were. */
  follow(most: number): number {
    const { follower } = this.#options;
    // What a look puts on record has its place here.
    if (follower === undefined || this.#isFollowing) return 0;
    const lines = follower.take(most);
    if (lines.length === 0) return 0;
    this.#isFollowing = true;
    try {
      this.#look(lines);
      follower.waitFor(this.#openCalls());
      follower.looked(lines.length);
    } finally {
      this.#isFollowing = false;
    }
    return lines.length;
  }

  /** Tells the other thread what has changed: what may go, and the calls that are open. What went before is here. */
  tell(): void {
    const { follower, recorder, guard, answersMayGo, requestsMayGo } = this.#options;
    if (follower === undefined) return;
    const answers = recorder.mayKeep && requestsMayGo && answersMayGo();
    follower.allow({ answers, requests: answers && guard.allowsAll });
    follower.waitFor(this.#openCalls());
  }

  /** Nothing more goes by another thread until it is told so. */
  stop(): void {
    this.#options.follower?.allow({ answers: false, requests: false });
  }

  /** Runs `then` when all that has gone on until now is on record: at once where it is. */
  after(then: () => void): void {
    this.#queue.after(then);
  }
}
