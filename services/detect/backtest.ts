/**
 * Backtest: stored lines through the engine that runs live, so that the alert ids are those of a live run. Lines come
 * log by log in the order of the ledger; each log has a stage one of its own, and the facts of all meet in stage two.
 * Pure: no clock, no I/O. An absence is decided at the end of what was stored.
 */
import type { AlertBody } from '../../schemas/alert/v1.ts';
import { FORMAT_EVENTS, HEADERS, TOPICS } from '../../schemas/topics.ts';
import { alertBody, type Sha256 } from '../../detectors/engine/alert.ts';
import type { Finding } from '../../detectors/engine/engine.ts';
import { StageTwo } from './merge.ts';
import { StageOne, type DetectSettings, type TenantFact } from './step.ts';

/** One entered line as the ledger and its payload tell it. */
export interface StoredLine {
  readonly partition: number;
  readonly offset: number;
  /** Index inside its record. */
  readonly line: number;
  readonly appendMs: number;
  /** 32 hex digits. */
  readonly stream: string;
  readonly seq: number;
  readonly bytes: Uint8Array;
}

const NEWLINE = new Uint8Array([10]);

export class Backtest {
  readonly #settings: DetectSettings;
  readonly #sha256: Sha256;
  readonly #findings: Finding[] = [];
  readonly #facts: TenantFact[] = [];
  #tenant = '';
  #stage: StageOne | undefined;
  #waiting: StoredLine[] = [];
  #sources = 1;
  events = 0;

  constructor(settings: DetectSettings, sha256: Sha256) {
    this.#settings = settings;
    this.#sha256 = sha256;
  }

  /** The next log begins. */
  openLog(tenant: string): void {
    this.#closeLog();
    this.#tenant = tenant;
    this.#stage = new StageOne(this.#settings);
  }

  /** Lines of one log, in the order of their entries. */
  line(stored: StoredLine): void {
    if (this.#waiting.length > 0 && this.#waiting[0]?.offset !== stored.offset) this.#processRecord();
    this.#waiting.push(stored);
    this.#sources = Math.max(this.#sources, stored.partition + 1);
    this.events += 1;
  }

  /** The alerts that would have been, each once. */
  finish(): readonly AlertBody[] {
    this.#closeLog();
    this.#joinSessions();
    const bodies = this.#findings.map((finding) => alertBody(finding, this.#sha256));
    return [...new Map(bodies.map((body) => [body.id, body])).values()];
  }

  #closeLog(): void {
    if (this.#stage === undefined) return;
    this.#processRecord();
    this.#stage.finish();
    this.#facts.push(...this.#stage.takeFacts());
    this.#findings.push(...this.#stage.takeFindings());
    this.#stage = undefined;
  }

  /** The record as it was; lines that the ledger did not enter (repeats, unreadable ones) leave an empty place. */
  #processRecord(): void {
    const [first] = this.#waiting;
    if (first === undefined || this.#stage === undefined) return;
    const lines: Uint8Array[] = [];
    for (const { line, bytes } of this.#waiting) lines[line] = bytes;
    const parts = Array.from(lines, (bytes) => bytes ?? new Uint8Array(0)).flatMap((bytes) => [
      bytes,
      NEWLINE,
    ]);
    this.#stage.process({
      topic: TOPICS.toolcalls.name,
      partition: first.partition,
      offset: first.offset,
      appendMs: first.appendMs,
      headers: {
        [HEADERS.format]: FORMAT_EVENTS,
        [HEADERS.tenant]: this.#tenant,
        [HEADERS.stream]: first.stream,
        [HEADERS.firstSeq]: String(first.seq - first.line),
      },
      value: joined(parts.slice(0, -1)),
    });
    this.#waiting = [];
    this.#findings.push(...this.#stage.takeFindings());
    this.#facts.push(...this.#stage.takeFacts());
  }

  #joinSessions(): void {
    const stage = new StageTwo(this.#settings, { sourceCount: this.#sources });
    for (const { tenant, fact } of this.#facts) stage.fact(tenant, fact);
    for (let source = 0; source < this.#sources; source += 1)
      stage.watermark({ source, watermarkMs: Number.MAX_SAFE_INTEGER });
    stage.advance(Number.MAX_SAFE_INTEGER);
    this.#findings.push(...stage.take());
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const value = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    value.set(part, at);
    at += part.length;
  }
  return value;
}
