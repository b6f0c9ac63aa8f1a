/** Starts detection: stage one on the tool calls, stage two on the facts, alerts to their topic. */
import type { Config } from '../../schemas/config/v1.ts';
import { tickMessage } from '../../schemas/bus/record.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { CLASSIFIER_VERSION } from '../../detectors/classify/classify.ts';
import { LABELS_VERSION } from '../../detectors/labels/index.ts';
import type { LoadedRules } from '../../detectors/compile/load.ts';
import type { CompiledRule, RuleFault } from '../../detectors/compile/rule.ts';
import { DEFAULT_TENANT } from '../platform/audit/trail.ts';
import type { RunningStep, StepContext, StepHealth } from '../platform/step.ts';
import { instruments } from './instruments.ts';
import {
  failedReload,
  planReload,
  reloadAudit,
  type Reloaded,
  type ReloadBy,
  type Reloads,
} from './reload.ts';
import { loadConfiguredRules, sha256, sha256Hex } from './rules.ts';
import { SNAPSHOT_VERSION } from '../../detectors/engine/snapshot.ts';
import { busSnapshots } from './snapshots.ts';
import { StageOneState, StageTwoState, type Runtime } from './stage-states.ts';
import type { DetectSettings } from './step.ts';
import { runStage, type RunningStage } from './worker.ts';

export { Backtest, type StoredLine } from './backtest.ts';
export type { CitedPlace } from './citations.ts';
export { CITED_COLUMNS } from './column-call.ts';
export type { Reloaded, Reloads } from './reload.ts';
export { registerReload } from './routes.ts';
export { readBuiltinRules, readRuleFiles, sha256Hex } from './rules.ts';

export const DETECT_GROUP = 'tripline-detect';
export const FACTS_GROUP = 'tripline-detect-facts';

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
    labelMapping: classify.labels,
    sha256Hex,
    sha256,
  };
}

/**
 * What a snapshot depends on beside the rules, whose states are versioned one by one. The tenant rules are in it because
 * of the facts: those of an event were forwarded for the rules of its time only, so that a process that starts with
 * other tenant rules reads the log again and forwards what they need (they are warmed by replay). A reload does not
 * read again: a tenant rule that is new or changed is fed from the reload on, the snapshot that follows at once goes by
 * the new rules, and a restart goes on from there. Only a crash before that snapshot reads the log from its start.
 */
function settingsHash(settings: DetectSettings): string {
  const tenantFields = settings.rules.filter((rule) => rule.scope === 'tenant').map((rule) => rule.hash);
  const { engine, mappings, internalHosts, labelMapping } = settings;
  return sha256Hex(
    JSON.stringify([
      SNAPSHOT_VERSION,
      CLASSIFIER_VERSION,
      engine,
      mappings,
      internalHosts,
      LABELS_VERSION,
      labelMapping,
      tenantFields.toSorted(),
    ]),
  );
}

function reportFaults(context: StepContext, faults: readonly RuleFault[]): void {
  for (const fault of faults) {
    context.log.error({ code: 'rule_invalid', ...fault }, 'rule left out');
  }
}

type StageName = 'one' | 'two';

async function startStage(runtime: Runtime, name: StageName): Promise<RunningStage> {
  const { context } = runtime;
  const { bus, clock, producer, config } = context;
  const log = context.log.child({ step: 'detect' });
  const own =
    name === 'one'
      ? {
          group: DETECT_GROUP,
          topic: TOPICS.toolcalls.name,
          create: (snapshot: unknown) => new StageOneState(runtime, snapshot),
        }
      : {
          group: FACTS_GROUP,
          topic: TOPICS.facts.name,
          create: (snapshot: unknown) => new StageTwoState(runtime, snapshot),
        };
  return await runStage({
    ...own,
    bus,
    clock,
    log,
    snapshots: busSnapshots(bus, producer, () => settingsHash(runtime.settings)),
    snapshotEveryEvents: config.detect.snapshotEveryEvents,
    snapshotEveryMs: config.detect.snapshotEveryMs,
    tick: async (partition: number) => {
      await producer.send(TOPICS.toolcalls.name, partition, [tickMessage()]);
    },
    onError: (error: unknown) => log.warn({ err: error }, 'detect recovers'),
  });
}

export interface DetectOptions {
  /** The rules' part of the configuration as its file has it now; by default as it was at the start. */
  readonly readRules?: () => Config['rules'];
}

export interface Forgetful {
  /**
   * Forgets all that was read, and reads what the bus holds again. `drop` runs in between, while no state is in memory;
   * it removes what states are kept in. Alerts that are found again are the same, and known.
   */
  forget(drop: () => Promise<void>): Promise<void>;
}

export type RunningDetect = RunningStep & Reloads & Forgetful;

class Detect implements RunningDetect {
  readonly name = 'detect';
  private readonly runtime: Runtime;
  private readonly readRules: () => Config['rules'];
  private readonly stages = new Map<StageName, RunningStage>();
  private faults: readonly RuleFault[];
  private stopped = false;
  /** Reloads and the stop run one after the other. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(runtime: Runtime, faults: readonly RuleFault[], readRules: () => Config['rules']) {
    this.runtime = runtime;
    this.faults = faults;
    this.readRules = readRules;
  }

  async start(): Promise<void> {
    this.stages.set('one', await startStage(this.runtime, 'one'));
    await this.startStageTwo();
  }

  private async startStageTwo(): Promise<void> {
    const isNeeded = this.runtime.settings.rules.some((rule) => rule.scope === 'tenant');
    if (isNeeded && !this.stages.has('two')) this.stages.set('two', await startStage(this.runtime, 'two'));
  }

  health(): StepHealth {
    const partitions = this.stages.get('one')?.owned() ?? 0;
    const { length } = this.faults;
    const broken = length === 0 ? '' : `, ${length} faults in rule files`;
    const detail = `${this.runtime.settings.rules.length} rules, ${partitions} partitions${broken}`;
    return { ready: !this.stopped, detail };
  }

  reload(by: ReloadBy): Promise<Reloaded> {
    return this.inTurn(() => this.reloadNow(by));
  }

  private async reloadNow(by: ReloadBy): Promise<Reloaded> {
    if (this.stopped) throw new TriplineError('not_ready');
    const { context, settings } = this.runtime;
    const loaded = await this.loadAgain(by);
    const { changes, rules } = planReload(settings.rules, loaded);
    const reloaded: Reloaded = { ...changes, rules: rules.length, faults: loaded.faults };
    // Before it takes effect: a change that cannot be put on record does not happen.
    await context.audit.record(DEFAULT_TENANT, reloadAudit(by, reloaded));
    reportFaults(context, loaded.faults);
    this.faults = loaded.faults;
    this.runtime.settings = { ...settings, rules };
    for (const stage of this.stages.values()) stage.renew();
    await this.startStageTwo();
    context.log.info({ step: 'detect', ...changes, faults: loaded.faults.length }, 'rules loaded anew');
    return reloaded;
  }

  private async loadAgain(by: ReloadBy): Promise<LoadedRules> {
    try {
      return loadConfiguredRules(this.readRules());
    } catch (error) {
      await this.runtime.context.audit.record(DEFAULT_TENANT, failedReload(by, error));
      throw error;
    }
  }

  forget(drop: () => Promise<void>): Promise<void> {
    return this.inTurn(async () => {
      if (this.stopped) throw new TriplineError('not_ready');
      await Promise.all([...this.stages.values()].map((stage) => stage.stop()));
      this.stages.clear();
      try {
        await drop();
      } finally {
        await this.start();
      }
    });
  }

  stop(): Promise<void> {
    return this.inTurn(async () => {
      if (this.stopped) return;
      this.stopped = true;
      await Promise.all([...this.stages.values()].map((stage) => stage.stop()));
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work, work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

/** Step detect. Rules with faults are left out and said so in health and log; the others run. */
export async function startDetect(context: StepContext, options: DetectOptions = {}): Promise<RunningDetect> {
  const { rules, faults } = loadConfiguredRules(context.config.rules);
  reportFaults(context, faults);
  const sourceCount = context.bus.partitionCount(TOPICS.toolcalls.name);
  const settings = settingsOf(context.config, rules, sourceCount);
  const runtime: Runtime = { context, settings, meters: instruments(context), sourceCount };
  const detect = new Detect(runtime, faults, options.readRules ?? (() => context.config.rules));
  await detect.start();
  return detect;
}
