/** The compiled form of a rule: what the matcher runs. */
import { EVENT_KINDS, type EventKind, type ToolClass } from '../../schemas/event/v1.ts';
import type { ControlScope, Level, RuleMode } from '../../schemas/alert/v1.ts';
import type { RuleTest, STATUSES } from '../../schemas/rule/v1.ts';
import type { StatisticPlan } from '../statistics/plan.ts';
import type { Condition, Test } from './predicate.ts';

/** Kinds that a selection may ask for: those of events, and alerts of other rules. */
export type RuleKind = EventKind | 'alert';
export const RULE_KINDS: readonly RuleKind[] = [...EVENT_KINDS, 'alert'];

/** A named event of a rule. Selections that say the same have the same hash, over all rules. */
export interface Selection {
  readonly name: string;
  /** First 16 hex digits of the SHA-256 over its canonical conditions and kinds. */
  readonly hash: string;
  /** Conditions of the first alternative: what a test event is made from. */
  readonly conditions: readonly Condition[];
  /** Conditions of each map that it is a list of: all of one map must hold, of any map. */
  readonly maps: readonly (readonly Condition[])[];
  /** All must hold; what `kinds` and `classes` say is left out. */
  readonly tests: readonly Test[];
  readonly kinds: readonly RuleKind[];
  /** Classes that it can match; undefined = any. */
  readonly classes: readonly ToolClass[] | undefined;
  /** Matches results, since it reads what only a result has. */
  readonly readsResult: boolean;
  /** Looks for something in a whole body, so that a part of one can fit it; what must not stand in a body, no part tells. */
  readonly readsBody: boolean;
}

export interface KeyPart {
  readonly alias: string;
  /** Field by name of the selection. */
  readonly fields: ReadonlyMap<string, { readonly field: string; readonly optional: boolean }>;
}

export type JoinOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'flows';
/** A comparison with a step that stands in the assignment already: `other OPERATOR own`. */
export interface Join {
  readonly other: number;
  readonly otherField: string;
  readonly operator: JoinOperator;
  readonly ownField: string;
  /** The other way round: `own OPERATOR other`. */
  readonly swapped: boolean;
}

/** An element of an assignment: a step of a sequence (repeated ones written out), a member of a set, a statistic. */
export interface Step {
  readonly index: number;
  /** As joins, guards and alerts call it. */
  readonly name: string;
  /** Name under which the rule's key has its fields. */
  readonly keyName: string;
  readonly selection: Selection;
  /** Longest time since the element before, inclusive. */
  readonly gapMs: number;
  /** The assignment is whole without it. */
  readonly optional: boolean;
  /** Comparisons with elements that may stand before it. */
  readonly joins: readonly Join[];
  /** Absence after this element, ms; 0 when none. */
  readonly afterForMs: number;
}

/** From one state of a run to the next by an element. State START has no element yet; the last state is a whole assignment. */
export interface Transition {
  readonly from: number;
  readonly to: number;
  readonly step: number;
  /** Index in the element's joins of the equality by which runs in `from` are bucketed; -1 when none. */
  readonly bucketJoin: number;
}
export const START = -1;

/** How elements may follow each other: a chain for a sequence, the lattice of subsets for a set. */
export interface Automaton {
  /** Number of states; the last one is final. */
  readonly states: number;
  /** By `from`, descending: a call then serves one element of an assignment. */
  readonly transitions: readonly Transition[];
  /** By state the places (element, field) that later elements still ask for: runs equal in them are interchangeable. */
  readonly signatures: readonly (readonly (readonly [step: number, field: string])[])[];
  /** By state: a later element asks for a gap, so the time of the last call matters too. */
  readonly gapMatters: readonly boolean[];
  /** By state the place whose value buckets its runs; undefined where they lie in one. */
  readonly buckets: readonly (readonly [step: number, field: string] | undefined)[];
}

export type Guard =
  | { readonly kind: 'between'; readonly selection: Selection; readonly from: number; readonly to: number }
  | { readonly kind: 'before'; readonly selection: Selection; readonly step: number; readonly forMs: number }
  | { readonly kind: 'after'; readonly selection: Selection; readonly step: number; readonly forMs: number }
  | { readonly kind: 'until'; readonly selection: Selection };

/** A measure over the events of a key; its element is the step of the same index. */
export interface Statistic {
  readonly step: number;
  readonly plan: StatisticPlan;
  /** Field that is measured, undefined where events are counted. */
  readonly field: string | undefined;
}

export interface Exception {
  readonly name: string;
  readonly selection: Selection;
  readonly owner: string;
  readonly expiresMs: number;
}

export type OncePart =
  { readonly kind: 'key' } | { readonly kind: 'field'; readonly step: number; readonly field: string };
export type AfterMatch =
  | { readonly kind: 'every' }
  | { readonly kind: 'skip_past_last' }
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
  readonly status: (typeof STATUSES)[number];
  readonly references: readonly string[];
  readonly falsePositives: readonly string[];
  readonly body: 'sequence' | 'all_of' | 'any_of';
  readonly steps: readonly Step[];
  readonly automaton: Automaton;
  readonly statistics: readonly Statistic[];
  readonly guards: readonly Guard[];
  readonly exceptions: readonly Exception[];
  readonly withinMs: number;
  readonly lateWaitMs: number | undefined;
  readonly runsPerKey: number;
  /** Steps can match intent and result of one call: assignments are checked for it. */
  readonly distinctCalls: boolean;
  readonly afterMatch: AfterMatch;
  readonly action: RuleAction | undefined;
  readonly tests: readonly RuleTest[];
  readonly selections: ReadonlyMap<string, Selection>;
  /** Fields whose values a kept event carries, and that stage two needs. */
  readonly valueFields: readonly string[];
  /** Something but the key asks for values: joins, flows, measures, thinning. */
  readonly recordsValues: boolean;
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
