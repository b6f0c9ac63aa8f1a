/** The compiled form of a rule: what the matcher runs. */
import type { EventKind, ToolClass } from '../../schemas/event/v1.ts';
import type { ControlScope, Level, RuleMode } from '../../schemas/alert/v1.ts';
import type { RuleTest } from '../../schemas/rule/v1.ts';
import type { Condition, Test } from './predicate.ts';

/** A named event of a rule. Selections that say the same have the same hash, over all rules. */
export interface Selection {
  readonly name: string;
  /** First 16 hex digits of the SHA-256 over its canonical conditions and kinds. */
  readonly hash: string;
  readonly conditions: readonly Condition[];
  readonly tests: readonly Test[];
  readonly kinds: readonly EventKind[];
  /** Classes that it can match; undefined = any. */
  readonly classes: readonly ToolClass[] | undefined;
  /** Matches results, since it reads what only a result has. */
  readonly readsResult: boolean;
}

export interface KeyPart {
  readonly alias: string;
  /** Field by name of the selection. */
  readonly fields: ReadonlyMap<string, { readonly field: string; readonly optional: boolean }>;
}

export type JoinOperator = '==' | '!=';
export interface Join {
  readonly earlier: number;
  readonly earlierField: string;
  readonly operator: JoinOperator;
  readonly earlierSlot: number;
  readonly laterField: string;
}

export interface Step {
  readonly index: number;
  readonly selection: Selection;
  /** Longest time since the step before, inclusive. */
  readonly gapMs: number;
  /** Joins whose later side this step is. */
  readonly joins: readonly Join[];
  /** Fields whose values a prefix ending here, or running through here, must remember. */
  readonly slots: readonly string[];
  /** Slots (step, slot) that steps after this one still ask for: prefixes equal in them are interchangeable. */
  readonly signature: readonly (readonly [step: number, slot: number])[];
  /** Equality join that buckets the prefixes ending here by the value that the next step brings; -1 when none. */
  readonly bucketJoin: number;
  /** Absence after this step, ms; 0 when none. */
  readonly afterForMs: number;
}

export type Guard =
  | { readonly kind: 'between'; readonly selection: Selection; readonly from: number; readonly to: number }
  | { readonly kind: 'before'; readonly selection: Selection; readonly step: number; readonly forMs: number }
  | { readonly kind: 'after'; readonly selection: Selection; readonly step: number; readonly forMs: number };

export type OncePart =
  { readonly kind: 'key' } | { readonly kind: 'field'; readonly step: number; readonly slot: number };
export type AfterMatch =
  | { readonly kind: 'every' }
  | { readonly kind: 'once_per'; readonly parts: readonly OncePart[]; readonly forMs: number };

export interface RuleAction {
  readonly type: 'kill';
  readonly scope: ControlScope;
  readonly target: string;
  readonly mode: 'shadow' | 'enforce';
  readonly ttlMs: number;
}

export interface CompiledRule {
  readonly id: string;
  /** Semantic hash, 64 hex digits. */
  readonly hash: string;
  readonly title: string;
  readonly description: string;
  readonly level: Level;
  readonly mode: RuleMode;
  readonly tags: readonly string[];
  readonly scope: 'session' | 'tenant';
  readonly key: readonly KeyPart[];
  readonly steps: readonly Step[];
  readonly guards: readonly Guard[];
  readonly withinMs: number;
  readonly lateWaitMs: number | undefined;
  readonly runsPerKey: number;
  /** Steps can match intent and result of one call: assignments are checked for it. */
  readonly distinctCalls: boolean;
  readonly afterMatch: AfterMatch;
  readonly action: RuleAction | undefined;
  readonly tests: readonly RuleTest[];
  readonly selections: ReadonlyMap<string, Selection>;
  /** Fields that stage two needs the values of. */
  readonly valueFields: readonly string[];
  readonly path: string;
}

export interface RuleFault {
  readonly path: string;
  readonly line: number;
  /** Where in the rule, dots and [i]. */
  readonly at: string;
  readonly message: string;
  readonly hint: string;
}
