/**
 * Stage two, pure: facts and watermarks of all source partitions in, findings of the rules that join sessions out. Facts
 * are released by (append time, source partition, offset, line) once every source's watermark has passed them, so that
 * the order, and with it every alert, does not depend on which source was read first.
 */
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import { Engine, type EngineOptions, type Finding } from '../../detectors/engine/engine.ts';
import { restoreEngine, snapshotEngine, type EngineSnapshot } from '../../detectors/engine/snapshot.ts';
import { compareFacts, comparePositions, FactCall, type Fact, type Watermark } from './facts.ts';
import type { TenantFact } from './step.ts';

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

export class StageTwo {
  readonly engine: Engine;
  private readonly sources: Source[];
  private waiting: TenantFact[] = [];
  private sorted = true;
  readonly counts = { facts: 0, duplicates: 0 };

  constructor(
    rules: readonly CompiledRule[],
    options: EngineOptions,
    from: { readonly sourceCount: number; readonly snapshot?: StageTwoSnapshot },
  ) {
    const own = rules.filter((rule) => rule.scope === 'tenant');
    const { snapshot } = from;
    this.engine =
      snapshot === undefined ? new Engine(own, options) : restoreEngine(snapshot.engine, own, options);
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

  /** A fact; one that is not above the last position of its source was sent twice and is dropped. */
  fact(tenant: string, fact: Fact): void {
    const source = this.sources[fact.reference.partition];
    if (source === undefined) return;
    if (comparePositions(fact.reference, source) <= 0) {
      this.counts.duplicates++;
      return;
    }
    this.counts.facts++;
    source.offset = fact.reference.offset;
    source.line = fact.reference.line;
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
    return this.engine.take();
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
      this.engine.advance(fact.appendMs);
      this.engine.process(new FactCall(tenant, fact));
      released++;
    }
    if (released > 0) this.waiting = this.waiting.slice(released);
    // Decisions due up to here see exactly the facts below their time: the next fact is at or after passedMs.
    this.engine.advance(passedMs);
  }
}
