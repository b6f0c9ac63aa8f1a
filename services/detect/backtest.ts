/**
 * Backtest: stored lines through the engine that runs live, so that the alert ids are those of a live run. Lines come
 * log by log in the order of the ledger; each log has a stage one of its own, and the facts of all meet in stage two.
 * Pure: no clock, no I/O. An absence is decided at the end of what was stored.
 */
import type { AlertBody } from '../../schemas/alert/v1.ts';
import { FORMAT_EVENTS, HEADERS, TOPICS } from '../../schemas/topics.ts';
import { alertBody, type Sha256 } from '../../detectors/engine/alert.ts';
import type { Call } from '../../detectors/engine/call.ts';
import type { Finding } from '../../detectors/engine/finding.ts';
import type { CallPart } from '../../schemas/event/columns.ts';
import { Citations } from './citations.ts';
import { CallReader } from './column-call.ts';
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
  readonly #reader: CallReader;
  /** Of the alerts, after `end`: calls whose columns were not all read. */
  readonly citations: Citations;
  /** Where the last call stands: partition, offset, line. */
  #last: readonly [number, number, number] = [-1, -1, -1];
  events = 0;

  constructor(settings: DetectSettings, sha256: Sha256) {
    this.#settings = settings;
    this.#sha256 = sha256;
    this.#reader = new CallReader(settings);
    this.citations = new Citations(settings);
  }

  /** The next log begins. */
  openLog(tenant: string): void {
    this.#closeLog();
    this.#tenant = tenant;
    this.#stage = new StageOne(this.#settings);
  }

  /**
   * Calls that the rules could hear of, the parts of a log in turn. Of all others nothing depends: a decision that is due
   * is made as of its own time, whenever the next call shows that it has come.
   */
  calls(part: CallPart): void {
    const isNext = part.tenant === this.#tenant && part.partition === this.#last[0];
    if (!isNext || this.#stage === undefined) this.openLog(part.tenant);
    const stage = this.#stage as StageOne;
    this.#sources = Math.max(this.#sources, part.partition + 1);
    const order = inOrder(part);
    for (let from = 0; from < order.length;) from = this.#record(stage, part, { order, from });
    this.#take(stage);
  }

  /** The calls of one record; answers where those of the next begin. */
  #record(
    stage: StageOne,
    part: CallPart,
    { order, from }: { readonly order: Uint32Array; readonly from: number },
  ): number {
    const first = order[from] as number;
    const offset = part.offset[first] as number;
    const appendMs = part.appendMs[first] as number;
    const latestMs = Math.max(stage.watermarkMs, appendMs);
    const calls: Call[] = [];
    let next = from;
    for (; next < order.length && part.offset[order[next] as number] === offset; next++) {
      const at = order[next] as number;
      const place = [part.partition, offset, part.line[at] as number] as const;
      // A twin: somebody wrote to the table.
      if (place.every((each, index) => each === this.#last[index])) continue;
      this.#last = place;
      const call = this.#reader.call(part, at, latestMs);
      if (call !== undefined) calls.push(call);
    }
    stage.processCalls({ offset, appendMs }, calls);
    this.events += calls.length;
    return next;
  }

  /** Lines of one log, in the order of their entries. */
  line(stored: StoredLine): void {
    if (this.#waiting.length > 0 && this.#waiting[0]?.offset !== stored.offset) this.#processRecord();
    this.#waiting.push(stored);
    this.#sources = Math.max(this.#sources, stored.partition + 1);
    this.events += 1;
  }

  /** No more comes: decides what is left. */
  end(): void {
    this.#closeLog();
    this.#joinSessions();
    for (const finding of this.#findings) this.citations.see(finding);
  }

  /** The alerts that would have been, each once; after `end`. */
  alerts(): readonly AlertBody[] {
    const bodies = this.#findings.map((finding) => alertBody(finding, this.#sha256));
    return [...new Map(bodies.map((body) => [body.id, body])).values()];
  }

  #closeLog(): void {
    if (this.#stage === undefined) return;
    this.#processRecord();
    this.#stage.finish();
    this.#take(this.#stage);
    this.#stage = undefined;
    this.#last = [-1, -1, -1];
  }

  #take(stage: StageOne): void {
    for (const fact of stage.takeFacts()) this.#facts.push(fact);
    for (const finding of stage.takeFindings()) this.#findings.push(finding);
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
    this.#take(this.#stage);
  }

  #joinSessions(): void {
    const stage = new StageTwo(this.#settings, { sourceCount: this.#sources });
    for (const { tenant, fact } of this.#facts) stage.fact(tenant, fact);
    for (let source = 0; source < this.#sources; source += 1)
      stage.watermark({ source, watermarkMs: Number.MAX_SAFE_INTEGER });
    stage.advance(Number.MAX_SAFE_INTEGER);
    for (const finding of stage.take()) this.#findings.push(finding);
  }
}

/** Numbers of the calls of a part by offset and line. */
function inOrder({ offset, line }: CallPart): Uint32Array {
  const order = Uint32Array.from(offset, (_, at) => at);
  let sorted = true;
  for (let at = 1; at < order.length && sorted; at++) sorted = compare(offset, line, [at - 1, at]) <= 0;
  return sorted ? order : order.toSorted((a, b) => compare(offset, line, [a, b]));
}

function compare(
  offset: readonly number[],
  line: readonly number[],
  [a, b]: readonly [number, number],
): number {
  return (offset[a] as number) - (offset[b] as number) || (line[a] as number) - (line[b] as number);
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
