/**
 * Stage two, pure: facts and watermarks of all source partitions in, findings of the rules that join sessions out. Facts
 * are released by (append time, source partition, offset, line) once every source's watermark has passed them, so that
 * the order, and with it every alert, does not depend on which source was read first.
 */
import { Engine } from '../../detectors/engine/engine.ts';
import type { Finding } from '../../detectors/engine/finding.ts';
import { restoreEngine, snapshotEngine, type EngineSnapshot } from '../../detectors/engine/snapshot.ts';
import { AlertCall, MAX_ALERT_DEPTH } from '../../detectors/engine/alert-call.ts';
import { compareFacts, comparePositions, FactCall, placeOf, type Fact, type Watermark } from './facts.ts';
import type { DetectSettings, TenantFact } from './step.ts';

interface Source {
  watermarkMs: number;
  offset: number;
  line: number;
}

export interface StageTwoSnapshot {
  readonly v: 1;
  readonly engine: EngineSnapshot;
  readonly sources: readonly {
    readonly watermarkMs: number | null;
    readonly offset: number;
    readonly line: number;
  }[];
  readonly waiting: readonly TenantFact[];
}

/** Decisions of one advance that rules on alerts see one by one: an absence may wait for the alert of an absence, without end. */
const MAX_STEPS = 10_000;

export class StageTwo {
  readonly engine: Engine;
  private readonly sources: Source[];
  private waiting: TenantFact[] = [];
  private sorted = true;
  private findings: Finding[] = [];
  private readonly settings: DetectSettings;
  readonly counts = { facts: 0, duplicates: 0 };

  constructor(
    settings: DetectSettings,
    from: { readonly sourceCount: number; readonly snapshot?: StageTwoSnapshot },
  ) {
    const own = settings.rules.filter((rule) => rule.scope === 'tenant');
    const { snapshot } = from;
    this.settings = settings;
    this.engine =
      snapshot === undefined
        ? new Engine(own, settings.engine)
        : restoreEngine(snapshot.engine, own, settings.engine);
    this.sources = Array.from({ length: from.sourceCount }, (_, index): Source => {
      const held = snapshot?.sources[index];
      return {
        watermarkMs: held?.watermarkMs ?? Number.NEGATIVE_INFINITY,
        offset: held?.offset ?? -1,
        line: held?.line ?? -1,
      };
    });
    if (snapshot !== undefined) {
      // They stand as they came: in order of arrival, not of release.
      this.waiting = [...snapshot.waiting];
      this.sorted = false;
    }
  }

  snapshot(): StageTwoSnapshot {
    const sources = this.sources.map((source) => ({
      ...source,
      watermarkMs: Number.isFinite(source.watermarkMs) ? source.watermarkMs : null,
    }));
    return { v: 1, engine: snapshotEngine(this.engine), sources, waiting: this.waiting };
  }

  /** The same place in the order of facts under other rules; see StageOne.renewed. */
  renewed(settings: DetectSettings): StageTwo {
    const snapshot = this.snapshot();
    const next = new StageTwo(settings, { sourceCount: this.sources.length, snapshot });
    next.findings = this.findings;
    // Where no rule is left, stage one sends no watermarks, and what waits would wait for ever.
    if (next.engine.rules.length === 0) next.waiting = [];
    Object.assign(next.counts, this.counts);
    Object.assign(next.engine.counts, this.engine.counts);
    return next;
  }

  /** A fact; one that is not above the last position of its source was sent twice and is dropped. */
  fact(tenant: string, fact: Fact): void {
    const source = this.sources[fact.reference.partition];
    if (source === undefined) return;
    const at = placeOf(fact);
    if (comparePositions(at, source) <= 0) {
      this.counts.duplicates++;
      return;
    }
    this.counts.facts++;
    source.offset = at.offset;
    source.line = at.line;
    this.waiting.push({ tenant, fact });
    this.sorted = false;
  }

  watermark(mark: Watermark): void {
    const source = this.sources[mark.source];
    if (source === undefined || mark.watermarkMs <= source.watermarkMs) return;
    source.watermarkMs = mark.watermarkMs;
    this.release();
  }

  /** Sources that hold back what waits, as of now. */
  lagging(): readonly number[] {
    const oldest = this.waiting.reduce(
      (least, { fact }) => Math.min(least, fact.appendMs),
      Number.POSITIVE_INFINITY,
    );
    const needed = Math.min(oldest, this.engine.nextDueMs() ?? Number.POSITIVE_INFINITY);
    if (!Number.isFinite(needed)) return [];
    return this.sources.flatMap((source, index) => (source.watermarkMs <= needed ? [index] : []));
  }

  take(): readonly Finding[] {
    const { findings } = this;
    if (findings.length > 0) this.findings = [];
    return findings;
  }

  /** Decides all that is due at this watermark; rules on alerts see each alert before anything later is decided. */
  advance(watermarkMs: number): void {
    if (watermarkMs > this.engine.watermarkMs) {
      for (let step = 0; step < MAX_STEPS && this.engine.decideNext(watermarkMs); step++) this.settle();
    }
    this.engine.advance(watermarkMs);
    this.settle();
  }

  /** Takes what the engine found, and lets rules on alerts see it. */
  private settle(): void {
    for (let depth = 0; depth <= MAX_ALERT_DEPTH; depth++) {
      const found = this.engine.take();
      if (found.length === 0) return;
      this.findings.push(...found);
      if (depth === MAX_ALERT_DEPTH) return;
      for (const finding of found) {
        if (finding.kind !== 'match') continue;
        const call = new AlertCall(finding, this.settings);
        if (this.engine.concerns(call.kind, call.toolClass)) this.engine.process(call);
      }
    }
  }

  private release(): void {
    const passedMs = this.sources.reduce(
      (least, source) => Math.min(least, source.watermarkMs),
      Number.POSITIVE_INFINITY,
    );
    if (!Number.isFinite(passedMs)) return;
    if (!this.sorted) {
      this.waiting.sort((a, b) => compareFacts(a.fact, b.fact));
      this.sorted = true;
    }
    // A source may still bring facts of the very millisecond of its watermark: only what is below is complete.
    let released = 0;
    for (const { tenant, fact } of this.waiting) {
      if (fact.appendMs >= passedMs) break;
      this.advance(fact.appendMs);
      this.engine.process(new FactCall(tenant, fact));
      this.settle();
      released++;
    }
    if (released > 0) this.waiting = this.waiting.slice(released);
    // Decisions due up to here see exactly the facts below their time: the next fact is at or after passedMs.
    this.advance(passedMs);
  }
}
