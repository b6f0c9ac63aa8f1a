/** Progress of a long run on stderr: how much, how fast, and how far where the whole is known. */
import type { Output } from './output.ts';

const EVERY_MS = 1_000;
/** The clock is looked at this often: a run of millions of events must not spend its time on saying so. */
const LOOK_EVERY_EVENTS = 1_024;

export class Progress {
  private readonly output: Output;
  private readonly total: number | undefined;
  private startMs: number | undefined;
  private notedMs = 0;
  private lookedAt = 0;

  constructor(output: Output, total: number | undefined) {
    this.output = output;
    this.total = total;
  }

  /** `nowMs` on a monotonic clock. */
  at(events: number, nowMs: number): void {
    if (this.startMs === undefined) {
      this.startMs = nowMs;
      this.notedMs = nowMs;
    }
    if (events < this.lookedAt + LOOK_EVERY_EVENTS) return;
    this.lookedAt = events;
    if (nowMs < this.notedMs + EVERY_MS) return;
    this.notedMs = nowMs;
    this.output.note(progressText(events, nowMs - this.startMs, this.total));
  }
}

/** `read 50000 events, 25000 a second, 40 %`. */
export function progressText(events: number, elapsedMs: number, total: number | undefined): string {
  const rate = elapsedMs > 0 ? `, ${Math.round((events * 1000) / elapsedMs)} a second` : '';
  // Events may be entered while they are read: then there are more than were counted.
  const share =
    total === undefined || total === 0 ? '' : `, ${Math.min(100, Math.floor((events * 100) / total))} %`;
  return `read ${events} events${rate}${share}`;
}
