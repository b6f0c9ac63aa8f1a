/** What an engine tells: assignments that completed, and what it had to give up. */
import type { CompiledRule } from '../compile/rule.ts';
import { keyNames } from './key.ts';
import type { Entry } from './prefixes.ts';
import type { Completed } from './state.ts';

/** A completed assignment that is to be told. */
export interface Match {
  readonly kind: 'match';
  readonly rule: CompiledRule;
  readonly tenant: string;
  /** Values of the rule's key as JSON, and by name. */
  readonly keyText: string;
  readonly completed: Completed;
  /** Watermark at which it was decided, Unix ms: the append time of its call, or when an absence was certain. */
  readonly decidedMs: number;
  /** Name of the exception that it falls under: told in mode shadow. */
  readonly exception?: string;
}

export type DegradedReason =
  'states_evicted' | 'prefixes_evicted' | 'events_evicted' | 'late_unrepaired' | 'values_left_out';
/** The engine had to give something up: a chain of this rule and tenant may be missed. */
export interface Degraded {
  readonly kind: 'degraded';
  readonly ruleId: string;
  readonly tenant: string;
  readonly reason: DegradedReason;
  /** The event at which the count passed the threshold. */
  readonly entry: Pick<Entry, 'reference' | 'timeMs'>;
}
export type Finding = Match | Degraded;

/** The exception that an alert completed by this event falls under: one of the rule's that had not ended by then. */
export function exceptionOf(rule: CompiledRule, entry: Entry): string | undefined {
  if (entry.excepted === undefined) return undefined;
  const { excepted } = entry;
  return rule.exceptions.find(({ name, expiresMs }) => excepted.includes(name) && entry.timeMs < expiresMs)
    ?.name;
}

/** The key of a match by name. */
export function keyByName(match: Match): Record<string, string> {
  return keyNames(match.rule, match.keyText);
}
