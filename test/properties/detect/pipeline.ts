/**
 * Both stages as the service runs them, without a bus: sessions assigned to partitions, facts and watermarks in queues
 * that stage two reads in any interleaving, stages that go on from a snapshot as JSON.
 */
import assert from 'node:assert/strict';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { StageTwo, type StageTwoSnapshot } from '../../../services/detect/merge.ts';
import type { Watermark } from '../../../services/detect/facts.ts';
import {
  StageOne,
  type DetectSettings,
  type SourceRecord,
  type StageOneSnapshot,
  type TenantFact,
} from '../../../services/detect/step.ts';
import { idsOf, recordFrom, tickAt, type EventSpec } from './records.ts';
import type { Random } from './streams.ts';

/** What is appended, in the order of the whole bus; `copyOf` sends the record of an earlier place again. */
export type Arrival = { readonly event: EventSpec } | { readonly copyOf: number; readonly appendMs: number };

export interface Layout {
  readonly partitions: number;
  readonly partitionOf: (session: string) => number;
}

/** Silence after the last event in which all absences are decided. */
const END_AFTER_MS = 3_600_000;

export function recordsByPartition(arrivals: readonly Arrival[], layout: Layout): SourceRecord[][] {
  const queues: SourceRecord[][] = Array.from({ length: layout.partitions }, () => []);
  const eventAt = (at: number): EventSpec => {
    const arrival = arrivals[at] as Arrival;
    return 'event' in arrival ? arrival.event : eventAt(arrival.copyOf);
  };
  let lastMs = 0;
  for (const arrival of arrivals) {
    const event = 'event' in arrival ? arrival.event : eventAt(arrival.copyOf);
    lastMs = 'event' in arrival ? event.appendMs : arrival.appendMs;
    const partition = layout.partitionOf(event.session);
    const queue = queues[partition] as SourceRecord[];
    queue.push(recordFrom({ ...event, appendMs: lastMs }, { partition, offset: queue.length }));
  }
  queues.forEach((queue, partition) =>
    queue.push(tickAt(lastMs + END_AFTER_MS, { partition, offset: queue.length })),
  );
  return queues;
}

type Message = TenantFact | { readonly mark: Watermark };

/** One partition's stage one. After a crash it goes on from its last snapshot and sends what it had sent since again. */
class Source {
  readonly out: Message[] = [];
  private readonly settings: DetectSettings;
  private readonly records: readonly SourceRecord[];
  private readonly partition: number;
  private stage: StageOne;
  private next = 0;
  private saved: { readonly json: string; readonly next: number } | undefined;

  constructor(settings: DetectSettings, records: readonly SourceRecord[], partition: number) {
    this.settings = settings;
    this.records = records;
    this.partition = partition;
    this.stage = new StageOne(settings);
  }

  get done(): boolean {
    return this.next >= this.records.length;
  }

  step(): readonly Finding[] {
    this.stage.process(this.records[this.next++] as SourceRecord);
    this.out.push(...this.stage.takeFacts());
    this.out.push({ mark: { source: this.partition, watermarkMs: this.stage.watermarkMs } });
    return this.stage.takeFindings();
  }

  save(): void {
    this.saved = { json: JSON.stringify(this.stage.snapshot()), next: this.next };
  }

  crash(): void {
    const { saved } = this;
    this.next = saved?.next ?? 0;
    const snapshot = saved === undefined ? undefined : (JSON.parse(saved.json) as StageOneSnapshot);
    this.stage = new StageOne(this.settings, snapshot);
  }
}

export interface Interruptions {
  readonly random: Random;
  /** A stage saves, or crashes and goes on from where it saved, once in so many turns. */
  readonly onceIn: number;
}

/** Ids of all alerts, ascending. `random` decides which partition moves and whose facts are read next. */
export function alertIdsOf(
  settings: DetectSettings,
  queues: readonly (readonly SourceRecord[])[],
  random: Random,
  interruptions?: Interruptions,
): string[] {
  const ids = new Set<string>();
  const sources = queues.map((records, partition) => new Source(settings, records, partition));
  const read = queues.map(() => 0);
  let two = new StageTwo(settings, { sourceCount: queues.length });
  let saved = { json: JSON.stringify(two.snapshot()), read: [...read] };
  const now = (): boolean => interruptions !== undefined && interruptions.random(interruptions.onceIn) === 0;
  const take = (findings: readonly Finding[]): void => idsOf(findings).forEach((id) => ids.add(id));

  const readOne = (source: number): void => {
    const message = sources[source]?.out[read[source] as number];
    if (message === undefined) return;
    read[source] = (read[source] as number) + 1;
    if ('mark' in message) two.watermark(message.mark);
    else two.fact(message.tenant, message.fact);
    take(two.take());
  };
  const restartTwo = (): void => {
    const snapshot = JSON.parse(saved.json) as StageTwoSnapshot;
    two = new StageTwo(settings, { sourceCount: queues.length, snapshot });
    saved.read.forEach((at, source) => (read[source] = at));
  };
  const isRead = (): boolean => sources.every(({ out, done }, at) => done && read[at] === out.length);
  while (!isRead()) {
    const at = random(sources.length);
    const source = sources[at] as Source;
    if (random(2) === 0) {
      if (!source.done) take(source.step());
    } else for (let left = random(8); left >= 0; left--) readOne(at);
    if (now()) source.save();
    if (now()) source.crash();
    if (now()) saved = { json: JSON.stringify(two.snapshot()), read: [...read] };
    if (now()) restartTwo();
  }
  assert.deepEqual(two.lagging(), []);
  return [...ids].toSorted();
}
