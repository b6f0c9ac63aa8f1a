/**
 * Erased or missing: an entry that lacks its bytes is erased where an ERASURE entry of the same tenant names its log and
 * index, and missing otherwise. Decided at the end of a bundle, since the audit log may stand behind the logs that it
 * speaks of. Memory: the runs of lacking entries and the ranges that ERASURE entries name. Pure.
 */
import type { ErasureBody } from '../../schemas/audit/v1.ts';
import { parseRanges, type IndexRange } from './index-ranges.ts';
import type { Fault } from './report.ts';
import type { LackingRun } from './log-settings.ts';

/** What a log brought. */
export interface ErasureFindings {
  readonly tenant: string;
  readonly logId: string;
  readonly lacking: readonly LackingRun[];
  readonly erasures: readonly ErasureBody[];
}

/** What ERASURE entries name. */
export class ErasedRanges {
  readonly #ranges = new Map<string, IndexRange[]>();

  take(tenant: string, { logs }: ErasureBody): void {
    for (const { log, indexes } of logs) {
      const key = keyOf(tenant, log);
      const held = this.#ranges.get(key) ?? [];
      for (const range of parseRanges(indexes) ?? []) held.push(range);
      this.#ranges.set(key, held);
    }
  }

  /** Of one log: sorted, without overlaps. */
  of(tenant: string, logId: string): readonly IndexRange[] {
    return merged(this.#ranges.get(keyOf(tenant, logId)) ?? []);
  }

  covers(tenant: string, logId: string, index: number): boolean {
    const ranges = this.#ranges.get(keyOf(tenant, logId)) ?? [];
    return ranges.some(({ from, to }) => from <= index && index <= to);
  }
}

export class Erasures {
  /** ERASURE entries seen. */
  entries = 0;
  /** Lacking entries that are covered; known after `uncovered`. */
  covered = 0;
  readonly #ranges = new ErasedRanges();
  readonly #lacking: ErasureFindings[] = [];

  take(found: ErasureFindings): void {
    if (found.lacking.length > 0) this.#lacking.push(found);
    this.entries += found.erasures.length;
    for (const erasure of found.erasures) this.#ranges.take(found.tenant, erasure);
  }

  /** The first entry, in order of log and index, that lacks its bytes without leave. */
  uncovered(): Fault | undefined {
    this.covered = 0;
    for (const { tenant, logId, lacking } of this.#lacking) {
      const ranges = this.#ranges.of(tenant, logId);
      let at = 0;
      for (const run of lacking) {
        while ((ranges[at]?.to ?? Infinity) < run.from) at += 1;
        const index = firstOutside(run, ranges[at]);
        if (index !== undefined) return faultAt(run, index);
        this.covered += run.to - run.from + 1;
      }
    }
    return undefined;
  }
}

/** Tenants hold no U+0000. */
function keyOf(tenant: string, logId: string): string {
  return `${tenant}\0${logId}`;
}

/** Sorted, without overlaps; neighbours joined. */
function merged(ranges: readonly IndexRange[]): IndexRange[] {
  const joined: { from: number; to: number }[] = [];
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined;
}

function firstOutside(run: LackingRun, range: IndexRange | undefined): number | undefined {
  if (range === undefined || range.from > run.from) return run.from;
  return range.to < run.to ? range.to + 1 : undefined;
}

/** Only of the first of a run the offset is at hand. */
function faultAt({ from, fault }: LackingRun, index: number): Fault {
  return index === from ? fault : { ...fault, index, offset: null };
}
