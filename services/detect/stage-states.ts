/** Both stages as the worker runs them: records in, alerts and facts to the bus. */
import { HEADERS } from '../../schemas/topics.ts';
import type { Finding } from '../../detectors/engine/finding.ts';
import type { BusRecord, TopicPartition } from '../platform/bus/port.ts';
import type { StepContext } from '../platform/step.ts';
import { FORMAT_FACTS, FORMAT_WATERMARK, zFact, zWatermark } from './facts.ts';
import type { Instruments } from './instruments.ts';
import { StageTwo, type StageTwoSnapshot } from './merge.ts';
import { publishAlerts, publishFacts, publishVerdicts } from './publish.ts';
import { sha256 } from './rules.ts';
import { StageOne, type DetectSettings, type StageOneSnapshot } from './step.ts';
import { SILENCE_MS, type StageState } from './worker.ts';

/** What both stages share. */
export interface Runtime {
  readonly context: StepContext;
  /** Changed by a reload. */
  settings: DetectSettings;
  readonly meters: Instruments;
  readonly sourceCount: number;
}

async function tell(runtime: Runtime, findings: readonly Finding[]): Promise<void> {
  if (findings.length === 0) return;
  const { bus, producer, clock } = runtime.context;
  const told = await publishAlerts(bus, producer, findings, sha256);
  for (const { ruleId, level } of told) runtime.meters.alerts.inc({ rule: ruleId, level });
  for (const finding of findings) {
    if (finding.kind !== 'match' || finding.rule.guards.length > 0) continue;
    const seconds = (clock.nowMs() - finding.completed.last.entry.appendMs) / 1000;
    runtime.meters.latency.observe(Math.max(0, seconds));
  }
}

/** A watermark alone is sent at most this often. */
const WATERMARK_EVERY_MS = 50;

export class StageOneState implements StageState {
  private stage: StageOne;
  private readonly runtime: Runtime;
  private sentWatermarkMs = Number.NEGATIVE_INFINITY;
  private counted = { events: 0, evictions: 0 };

  constructor(runtime: Runtime, snapshot: unknown) {
    this.runtime = runtime;
    // Our own record on our own topic; its manifest's hash was checked.
    this.stage = new StageOne(runtime.settings, snapshot as StageOneSnapshot | undefined);
  }

  process(record: BusRecord): void {
    this.stage.process(record);
  }

  async publish(at: TopicPartition): Promise<void> {
    const { meters } = this.runtime;
    const { producer, clock } = this.runtime.context;
    // One wait for all: an alert is not held up by facts, nor the next batch by flushes in turn.
    await Promise.all([
      publishVerdicts(producer, this.stage.takeVerdicts(), clock.nowMs()),
      tell(this.runtime, this.stage.takeFindings()),
      this.forward(at),
    ]);
    const { events } = this.stage.counts;
    const { evictions } = this.stage.engine.counts;
    meters.events.inc(events - this.counted.events);
    meters.evictions.inc(evictions - this.counted.evictions);
    this.counted = { events, evictions };
    meters.states.set({ stage: 'session', partition: String(at.partition) }, this.stage.engine.stateCount());
  }

  /** Facts at once; a watermark that brings none only when it has moved on by a little. */
  private async forward(at: TopicPartition): Promise<void> {
    if (!this.stage.needsStageTwo) return;
    const facts = this.stage.takeFacts();
    const { watermarkMs } = this.stage;
    if (!Number.isFinite(watermarkMs)) return;
    if (facts.length === 0 && watermarkMs < this.sentWatermarkMs + WATERMARK_EVERY_MS) return;
    const { bus, producer } = this.runtime.context;
    await publishFacts(bus, producer, facts, { source: at.partition, watermarkMs });
    this.sentWatermarkMs = watermarkMs;
  }

  snapshot(): unknown {
    return this.stage.snapshot();
  }

  renew(): void {
    this.stage = this.stage.renewed(this.runtime.settings);
  }

  wantsTicks(at: TopicPartition, silentMs: number): readonly number[] {
    return silentMs < SILENCE_MS || this.stage.engine.nextDueMs() === undefined ? [] : [at.partition];
  }
}

export class StageTwoState implements StageState {
  private stage: StageTwo;
  private readonly runtime: Runtime;
  /** When each source last said anything, by the monotonic clock. */
  private readonly heardAtMs: number[];
  private evictions = 0;

  constructor(runtime: Runtime, snapshot: unknown) {
    const { settings, sourceCount } = runtime;
    this.runtime = runtime;
    this.heardAtMs = Array.from({ length: sourceCount }, () => runtime.context.clock.monotonicMs());
    const held = snapshot as StageTwoSnapshot | undefined;
    this.stage = new StageTwo(settings, {
      sourceCount,
      ...(held === undefined ? {} : { snapshot: held }),
    });
  }

  process(record: BusRecord): void {
    if (record.value === null) return;
    const text = new TextDecoder().decode(record.value);
    const format = record.headers[HEADERS.format];
    if (format === FORMAT_WATERMARK) {
      const mark = zWatermark.parse(JSON.parse(text));
      this.heardAtMs[mark.source] = this.runtime.context.clock.monotonicMs();
      this.stage.watermark(mark);
    } else if (format === FORMAT_FACTS) {
      const tenant = record.headers[HEADERS.tenant] ?? '';
      for (const line of text.split('\n')) this.stage.fact(tenant, zFact.parse(JSON.parse(line)));
    }
  }

  async publish(at: TopicPartition): Promise<void> {
    await tell(this.runtime, this.stage.take());
    const { meters } = this.runtime;
    meters.evictions.inc(this.stage.engine.counts.evictions - this.evictions);
    this.evictions = this.stage.engine.counts.evictions;
    meters.states.set({ stage: 'tenant', partition: String(at.partition) }, this.stage.engine.stateCount());
  }

  snapshot(): unknown {
    return this.stage.snapshot();
  }

  renew(): void {
    this.stage = this.stage.renewed(this.runtime.settings);
  }

  /** By the silence of each source: that the others go on is what a chain waits in vain for. */
  wantsTicks(): readonly number[] {
    const silentSinceMs = this.runtime.context.clock.monotonicMs() - SILENCE_MS;
    return this.stage.lagging().filter((source) => (this.heardAtMs[source] ?? 0) <= silentSinceMs);
  }
}
