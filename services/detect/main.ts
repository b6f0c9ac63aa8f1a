/** Starts detection: stage one on the tool calls, stage two on the facts, alerts to their topic. */
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Config } from '../../schemas/config/v1.ts';
import { tickMessage } from '../../schemas/bus/record.ts';
import { HEADERS, TOPICS } from '../../schemas/topics.ts';
import { CLASSIFIER_VERSION } from '../../detectors/classify/classify.ts';
import type { CompiledRule, RuleFault } from '../../detectors/compile/rule.ts';
import type { Finding } from '../../detectors/engine/engine.ts';
import type { BusRecord, TopicPartition } from '../platform/bus/port.ts';
import type { RunningStep, StartStep, StepContext } from '../platform/step.ts';
import { FORMAT_FACTS, FORMAT_WATERMARK, zFact, zWatermark } from './facts.ts';
import { StageTwo, type StageTwoSnapshot } from './merge.ts';
import { publishAlerts, publishFacts } from './publish.ts';
import { loadConfiguredRules, sha256, sha256Hex } from './rules.ts';
import { SNAPSHOT_VERSION } from '../../detectors/engine/snapshot.ts';
import { busSnapshots } from './snapshots.ts';
import { StageOne, type DetectSettings, type StageOneSnapshot } from './step.ts';
import { runStage, SILENCE_MS, type RunningStage, type StageState } from './worker.ts';

export { Backtest, type StoredLine } from './backtest.ts';
export { readBuiltinRules, readRuleFiles, sha256Hex } from './rules.ts';

export const DETECT_GROUP = 'tripline-detect';
export const FACTS_GROUP = 'tripline-detect-facts';

interface Instruments {
  readonly events: Counter;
  readonly alerts: Counter<'rule' | 'level'>;
  readonly evictions: Counter;
  readonly latency: Histogram;
  readonly states: Gauge<'stage' | 'partition'>;
}

function instruments(context: StepContext): Instruments {
  const registers = [context.metrics];
  return {
    events: new Counter({ name: 'tripline_detect_events_total', help: 'Events examined', registers }),
    alerts: new Counter({
      name: 'tripline_detect_alerts_total',
      help: 'Alerts published, repeats included',
      labelNames: ['rule', 'level'],
      registers,
    }),
    evictions: new Counter({
      name: 'tripline_detect_evictions_total',
      help: 'State given up for lack of room; each may have cost a match',
      registers,
    }),
    latency: new Histogram({
      name: 'tripline_detect_alert_latency_seconds',
      help: 'From append of the completing event to durable alert',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10],
      registers,
    }),
    states: new Gauge({
      name: 'tripline_detect_states',
      help: 'States held',
      labelNames: ['stage', 'partition'],
      registers,
    }),
  };
}

/** What both stages share. */
interface Runtime {
  readonly context: StepContext;
  readonly settings: DetectSettings;
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

class StageOneState implements StageState {
  private readonly stage: StageOne;
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
    // One wait for both: an alert is not held up by facts, nor the next batch by two flushes in turn.
    await Promise.all([tell(this.runtime, this.stage.takeFindings()), this.forward(at)]);
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

  wantsTicks(at: TopicPartition, silentMs: number): readonly number[] {
    return silentMs < SILENCE_MS || this.stage.engine.nextDueMs() === undefined ? [] : [at.partition];
  }
}

class StageTwoState implements StageState {
  private readonly stage: StageTwo;
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

  /** By the silence of each source: that the others go on is what a chain waits in vain for. */
  wantsTicks(): readonly number[] {
    const silentSinceMs = this.runtime.context.clock.monotonicMs() - SILENCE_MS;
    return this.stage.lagging().filter((source) => (this.heardAtMs[source] ?? 0) <= silentSinceMs);
  }
}

/** What both stages need of the configuration; rules in mode off are left out. */
export function settingsOf(
  config: Config,
  rules: readonly CompiledRule[],
  partitions: number,
): DetectSettings {
  const { detect, classify } = config;
  return {
    rules: rules.filter((rule) => rule.mode !== 'off'),
    engine: {
      lateWaitMs: detect.lateWaitMs,
      // Budgets hold for the deployment; each partition keeps its part, so that decisions do not depend on who owns what.
      maxStates: Math.max(1, Math.floor(detect.maxStates / partitions)),
      maxStatesPerTenant: Math.max(1, Math.floor(detect.maxStatesPerTenant / partitions)),
    },
    mappings: classify.mappings,
    internalHosts: classify.internalHosts,
    sha256Hex,
    sha256,
  };
}

/** What a snapshot depends on beside the rules, whose states are versioned one by one. */
function settingsHash(settings: DetectSettings): string {
  const tenantFields = settings.rules.filter((rule) => rule.scope === 'tenant').map((rule) => rule.hash);
  const { engine, mappings, internalHosts } = settings;
  return sha256Hex(
    JSON.stringify([
      SNAPSHOT_VERSION,
      CLASSIFIER_VERSION,
      engine,
      mappings,
      internalHosts,
      tenantFields.toSorted(),
    ]),
  );
}

function reportFaults(context: StepContext, faults: readonly RuleFault[]): void {
  for (const fault of faults) {
    context.log.error({ code: 'rule_invalid', ...fault }, 'rule left out');
  }
}

async function startStages(runtime: Runtime): Promise<RunningStage[]> {
  const { context, settings } = runtime;
  const { bus, clock, producer, config } = context;
  const log = context.log.child({ step: 'detect' });
  const shared = {
    bus,
    clock,
    log,
    snapshots: busSnapshots(bus, producer, settingsHash(settings)),
    snapshotEveryEvents: config.detect.snapshotEveryEvents,
    snapshotEveryMs: config.detect.snapshotEveryMs,
    tick: async (partition: number) => {
      await producer.send(TOPICS.toolcalls.name, partition, [tickMessage()]);
    },
    onError: (error: unknown) => log.warn({ err: error }, 'detect recovers'),
  };
  const one = await runStage({
    ...shared,
    group: DETECT_GROUP,
    topic: TOPICS.toolcalls.name,
    create: (snapshot) => new StageOneState(runtime, snapshot),
  });
  if (!settings.rules.some((rule) => rule.scope === 'tenant')) return [one];
  const two = await runStage({
    ...shared,
    group: FACTS_GROUP,
    topic: TOPICS.facts.name,
    create: (snapshot) => new StageTwoState(runtime, snapshot),
  });
  return [one, two];
}

/** Step detect. Rules with faults are left out and said so in health and log; the others run. */
export const startDetect: StartStep = async (context): Promise<RunningStep> => {
  const { rules, faults } = loadConfiguredRules(context.config.rules);
  reportFaults(context, faults);
  const sourceCount = context.bus.partitionCount(TOPICS.toolcalls.name);
  const settings = settingsOf(context.config, rules, sourceCount);
  const runtime: Runtime = { context, settings, meters: instruments(context), sourceCount };
  const stages = await startStages(runtime);
  let stopped = false;
  return {
    name: 'detect',
    health() {
      const partitions = stages[0]?.owned() ?? 0;
      const broken = faults.length === 0 ? '' : `, ${faults.length} faults in rule files`;
      return { ready: !stopped, detail: `${settings.rules.length} rules, ${partitions} partitions${broken}` };
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      await Promise.all(stages.map((stage) => stage.stop()));
    },
  };
};
