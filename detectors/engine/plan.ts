/** A rule with what the hot loop needs worked out once. */
import { coveringsOf, type Covering } from './cover.ts';
import { FlowCell } from '../compile/flow-cell.ts';
import type { FieldValue } from './prefixes.ts';
import { isFlowField } from '../compile/flow-field.ts';
import { fieldsOfStep } from '../compile/needs.ts';
import { START, type CompiledRule, type Join } from '../compile/rule.ts';

/** A comparison with the places of both values among the fields of an entry. */
export interface PlannedJoin {
  readonly flows: boolean;
  readonly other: number;
  readonly otherIndex: number;
  readonly ownIndex: number;
  readonly holds: (other: FieldValue, own: FieldValue) => boolean;
}

/** A place in an assignment: element and index among the fields of its entry. */
export type FieldPlace = readonly [step: number, fieldIndex: number];

export interface RulePlan {
  readonly rule: CompiledRule;
  /** Position of the rule in its engine. */
  readonly index: number;
  /** Called for each prefix that a limit pushed out. */
  readonly onEvicted: () => void;
  /** Entries carry the values of the rule's fields. */
  readonly comparing: boolean;
  /** No joins, gaps or shared calls: a prefix is its state and start, so one a state is all there is to know. */
  readonly single: boolean;
  readonly finalState: number;
  /** Bit j: element j may complete an assignment. */
  readonly completingMask: number;
  /** By state: a prefix there has more than one element. */
  readonly advanced: readonly boolean[];
  /** By element, as the rule writes them. */
  readonly joins: readonly (readonly PlannedJoin[])[];
  /** The same, those that take bodies apart last: most prefixes are refused before. */
  readonly cheapestFirst: readonly (readonly PlannedJoin[])[];
  /** By state. */
  readonly signatures: readonly (readonly FieldPlace[])[];
  readonly buckets: readonly (FieldPlace | undefined)[];
  readonly coverings: readonly Covering[];
  /** By index of a field: bits of the elements that are asked for it. */
  readonly askedOf: readonly number[];
  /** By index of a field whether it is a flow field. */
  readonly isFlow: readonly boolean[];
  /** By index in the rule's measures, where their values stand; -1 where events are counted. */
  readonly measured: readonly number[];
}

type Compare = (a: FieldValue, b: FieldValue) => boolean;

/** Numbers compare as numbers; what is none compares with nothing. */
function ordered(holds: (a: number, b: number) => boolean): Compare {
  return (a, b) =>
    typeof a === 'string' &&
    typeof b === 'string' &&
    a.trim() !== '' &&
    b.trim() !== '' &&
    holds(Number(a), Number(b));
}

const COMPARISONS: Readonly<Record<Join['operator'], Compare>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': ordered((a, b) => a < b),
  '<=': ordered((a, b) => a <= b),
  '>': ordered((a, b) => a > b),
  '>=': ordered((a, b) => a >= b),
  flows: (source, sink) => source instanceof FlowCell && sink instanceof FlowCell && source.sharesWith(sink),
};

/** Compares values, and says where what was left out of a list may be what both share. */
function flowing(onLeftOut: () => void): Compare {
  return (source, sink) => {
    if (COMPARISONS.flows(source, sink)) return true;
    if (source instanceof FlowCell && sink instanceof FlowCell && source.mayShareWith(sink)) onLeftOut();
    return false;
  };
}

function plannedJoin(join: Join, indexOf: (field: string) => number, onLeftOut: () => void): PlannedJoin {
  const compare = join.operator === 'flows' ? flowing(onLeftOut) : COMPARISONS[join.operator];
  return {
    flows: join.operator === 'flows',
    other: join.other,
    otherIndex: indexOf(join.otherField),
    ownIndex: indexOf(join.ownField),
    holds: join.swapped ? (other, own) => compare(own, other) : compare,
  };
}

function advancedStates(rule: CompiledRule): boolean[] {
  const { states, transitions } = rule.automaton;
  return Array.from(
    { length: states },
    (_, state) => !transitions.some(({ from, to }) => from === START && to === state),
  );
}

/** No joins, gaps or calls that may stand twice: the latest start is all there is to know of a prefix. */
export function isSingle({ steps, distinctCalls }: CompiledRule): boolean {
  return (
    !distinctCalls &&
    steps.every(({ gapMs, joins }) => gapMs === Number.POSITIVE_INFINITY && joins.length === 0)
  );
}

/** What a plan reports while it is run. */
export interface PlanReports {
  /** A limit pushed a prefix out. */
  readonly onEvicted: () => void;
  /** Two values were compared of which a bound left something out. */
  readonly onLeftOut: () => void;
}

export function planRule(rule: CompiledRule, index: number, reports: PlanReports): RulePlan {
  const indexOf = (field: string): number => rule.valueFields.indexOf(field);
  const { automaton } = rule;
  const joins = rule.steps.map((step) =>
    step.joins.map((join) => plannedJoin(join, indexOf, reports.onLeftOut)),
  );
  const finalState = automaton.states - 1;
  const completing = automaton.transitions.filter(({ to }) => to === finalState);
  return {
    rule,
    index,
    onEvicted: reports.onEvicted,
    comparing: rule.recordsValues,
    single: isSingle(rule),
    finalState,
    completingMask:
      rule.body === 'any_of' ? -1 : completing.reduce((mask, { step }) => mask | (1 << step), 0),
    advanced: advancedStates(rule),
    joins,
    cheapestFirst: joins.map((own) => [
      ...own.filter(({ flows }) => !flows),
      ...own.filter(({ flows }) => flows),
    ]),
    signatures: automaton.signatures.map((places) =>
      places.map(([step, field]) => [step, indexOf(field)] as const),
    ),
    buckets: automaton.buckets.map((place) =>
      place === undefined ? undefined : ([place[0], indexOf(place[1])] as const),
    ),
    coverings: coveringsOf(rule),
    askedOf: rule.valueFields.map((field) =>
      rule.steps.reduce(
        (bits, step) => (fieldsOfStep(rule, step).has(field) ? bits | (1 << step.index) : bits),
        0,
      ),
    ),
    isFlow: rule.valueFields.map(isFlowField),
    measured: rule.statistics.map(({ field }) => (field === undefined ? -1 : indexOf(field))),
  };
}
