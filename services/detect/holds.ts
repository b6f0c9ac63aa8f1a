/**
 * Verdicts on calls that hosts hold back: pure. A call is refused where it completes a rule that would kill, alerts of it
 * thinned or not. Rules that wait (guards) or join sessions are not decided by then: their verdict is the next call's.
 */
import type { Event } from '../../schemas/event/v1.ts';
import type { Verdict } from '../../schemas/verdict/v1.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import { exceptionOf } from '../../detectors/engine/finding.ts';
import type { Completed } from '../../detectors/engine/state.ts';

export interface HeldVerdict {
  readonly tenant: string;
  readonly verdict: Verdict;
  /** Append time of the intent, and how long its host waits at most, ms. */
  readonly appendMs: number;
  readonly budgetMs: number;
}

interface Held {
  readonly tenant: string;
  readonly stream: string;
  readonly seq: number;
  readonly appendMs: number;
  readonly budgetMs: number;
  ruling: Ruling;
}

type Ruling = Pick<Verdict, 'verdict' | 'ruleId'>;
const CLEAR: Ruling = { verdict: 'clear' };
const RANK = { clear: 0, shadow_refuse: 1, refuse: 2 } as const;

/** Held calls of the record at hand, and verdicts that are to be sent. */
export class Holds {
  private readonly held = new Map<number, Held>();
  private verdicts: HeldVerdict[] = [];

  /** An intent that is about to be processed. */
  intent(
    event: Event,
    at: { readonly tenant: string; readonly line: number; readonly appendMs: number },
  ): void {
    if (event.kind !== 'call.intent') return;
    const { hold, stream, seq } = event;
    if (hold === undefined) return;
    const { tenant, appendMs, line } = at;
    this.held.set(line, { tenant, stream, seq, appendMs, budgetMs: hold.budgetMs, ruling: CLEAR });
  }

  /** An assignment that ends at a call of this record. */
  completed(rule: CompiledRule, { last, timeBasis }: Completed, offset: number): void {
    const { entry } = last;
    const held = entry.offset === offset ? this.held.get(entry.line) : undefined;
    // By append time alone nothing is stopped: a clock was wrong or back-dated.
    if (held === undefined || timeBasis !== 'event') return;
    const ruling = rulingOf(rule, exceptionOf(rule, entry) !== undefined);
    if (RANK[ruling.verdict] > RANK[held.ruling.verdict]) held.ruling = ruling;
  }

  /** The record has been processed. */
  settle(): void {
    if (this.held.size === 0) return;
    for (const { tenant, stream, seq, appendMs, budgetMs, ruling } of this.held.values())
      this.verdicts.push({ tenant, verdict: { v: 1, stream, seq, ...ruling }, appendMs, budgetMs });
    this.held.clear();
  }

  take(): readonly HeldVerdict[] {
    const { verdicts } = this;
    if (verdicts.length > 0) this.verdicts = [];
    return verdicts;
  }
}

function rulingOf(rule: CompiledRule, isExcepted: boolean): Ruling {
  const { action, mode, id } = rule;
  if (action === undefined || mode === 'off' || mode === 'alert' || isExcepted) return CLEAR;
  const isEnforced = mode === 'enforce' && action.mode === 'enforce';
  return { verdict: isEnforced ? 'refuse' : 'shadow_refuse', ruleId: id };
}
