/** A rule with what the hot loop needs worked out once. */
import { Fingerprints } from '../flow/list.ts';
import type { FieldValue } from './prefixes.ts';
import { isFlowField } from '../compile/flow-field.ts';
import { fieldsOfStep } from '../compile/needs.ts';
import { START, type CompiledRule, type Join } from '../compile/rule.ts';

/** A comparison with the places of both values among the fields of an entry. */
export interface PlannedJoin {
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
  /** By element. */
  readonly joins: readonly (readonly PlannedJoin[])[];
  /** By state. */
  readonly signatures: readonly (readonly FieldPlace[])[];
  readonly buckets: readonly (FieldPlace | undefined)[];
  /** By index of a field: bits of the elements that are asked for it. */
  readonly askedOf: readonly number[];
  /** Where fingerprints of values stand among the fields of an entry. */
  readonly fingerprints: readonly number[];
  /** By index of a field whether it holds fingerprints. */
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
  flows: (a, b) => a instanceof Fingerprints && b instanceof Fingerprints && a.sharesWith(b),
};

function plannedJoin(join: Join, indexOf: (field: string) => number): PlannedJoin {
  const compare = COMPARISONS[join.operator];
  return {
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

export function planRule(rule: CompiledRule, index: number, onEvicted: () => void): RulePlan {
  const indexOf = (field: string): number => rule.valueFields.indexOf(field);
  const { automaton } = rule;
  const finalState = automaton.states - 1;
  const gapless = rule.steps.every((step) => step.gapMs === Number.POSITIVE_INFINITY);
  const joinless = rule.steps.every((step) => step.joins.length === 0);
  const completing = automaton.transitions.filter(({ to }) => to === finalState);
  return {
    rule,
    index,
    onEvicted,
    comparing: rule.recordsValues,
    single: joinless && gapless && !rule.distinctCalls,
    finalState,
    completingMask:
      rule.body === 'any_of' ? -1 : completing.reduce((mask, { step }) => mask | (1 << step), 0),
    advanced: advancedStates(rule),
    joins: rule.steps.map((step) => step.joins.map((join) => plannedJoin(join, indexOf))),
    signatures: automaton.signatures.map((places) =>
      places.map(([step, field]) => [step, indexOf(field)] as const),
    ),
    buckets: automaton.buckets.map((place) =>
      place === undefined ? undefined : ([place[0], indexOf(place[1])] as const),
    ),
    askedOf: rule.valueFields.map((field) =>
      rule.steps.reduce(
        (bits, step) => (fieldsOfStep(rule, step).has(field) ? bits | (1 << step.index) : bits),
        0,
      ),
    ),
    fingerprints: rule.valueFields.flatMap((field, at) => (isFlowField(field) ? [at] : [])),
    isFlow: rule.valueFields.map(isFlowField),
    measured: rule.statistics.map(({ field }) => (field === undefined ? -1 : indexOf(field))),
  };
}
