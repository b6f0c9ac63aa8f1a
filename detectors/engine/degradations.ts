/** What an engine has given up at the event at hand, and what was said of it lately. */
import type { Degraded, DegradedReason } from './finding.ts';

/** One report an hour of watermark for a rule, tenant and reason. */
const REPORT_EVERY_MS = 3_600_000;
const MAX_REPORTS = 4_096;

export class Degradations {
  /** Watermark of the last report by rule, tenant, reason. */
  readonly reported = new Map<string, number>();
  private now: { reason: DegradedReason; ruleId: string; tenant: string }[] = [];

  add(reason: DegradedReason, ruleId: string, tenant: string): void {
    this.now.push({ reason, ruleId, tenant });
  }

  /** Says nothing of what was added since the last report. */
  clear(): void {
    if (this.now.length > 0) this.now = [];
  }

  /** Turns what was given up at this event into findings, at most one an hour for a rule, tenant and reason. */
  report(entry: Degraded['entry'], watermarkMs: number, found: (degraded: Degraded) => void): void {
    if (this.now.length === 0) return;
    const { reported } = this;
    for (const { reason, ruleId, tenant } of this.now) {
      const key = JSON.stringify([ruleId, tenant, reason]);
      const lastMs = reported.get(key);
      if (lastMs !== undefined && watermarkMs < lastMs + REPORT_EVERY_MS) continue;
      reported.delete(key);
      reported.set(key, watermarkMs);
      if (reported.size > MAX_REPORTS) reported.delete(reported.keys().next().value as string);
      found({ kind: 'degraded', ruleId, tenant, reason, entry });
    }
    this.now = [];
  }
}
