/** An event as it fits a rule that keeps states of its own: under which keys, and what is kept of it. */
import type { CompiledRule } from '../compile/rule.ts';
import type { Call } from './call.ts';
import { keyTextOf } from './key.ts';
import type { RulePlan } from './plan.ts';
import type { Entry, FieldValue } from './prefixes.ts';

const NO_FIELDS: readonly (FieldValue | null)[] = [];

/** An event as it fits one rule under one key. */
export interface Fit {
  readonly call: Call;
  /** Numbers of all selections that it fits. */
  readonly selections: readonly number[];
  readonly keyText: string;
  readonly stepMask: number;
  readonly guardMask: number;
}

export function entryOf(plan: RulePlan, { call, stepMask, guardMask }: Fit): Entry {
  return {
    timeMs: call.timeMs,
    appendMs: call.appendMs,
    partition: call.partition,
    offset: call.offset,
    line: call.line,
    callKey: call.callKey,
    stepMask,
    guardMask,
    fields: plan.comparing ? fieldsOf(plan, call, stepMask) : NO_FIELDS,
    reference: call.reference(),
    alerted: null,
  };
}

function fieldsOf(plan: RulePlan, call: Call, stepMask: number): (FieldValue | null)[] {
  return plan.rule.valueFields.map((field, at) => {
    if (((plan.askedOf[at] as number) & stepMask) === 0) return null;
    return plan.isFlow[at] === true ? call.flow(field) : call.value(field);
  });
}

interface KeyGroup {
  readonly keyText: string;
  stepMask: number;
  guardMask: number;
}

export function keyGroups(
  rule: CompiledRule,
  call: Call,
  stepMask: number,
  guardMask: number,
): Iterable<KeyGroup> {
  const groups = new Map<string, KeyGroup>();
  const add = (name: string, stepBit: number, guardBit: number): void => {
    const keyText = keyTextOf(rule, call, name);
    if (keyText === null) return;
    const group = groups.get(keyText) ?? { keyText, stepMask: 0, guardMask: 0 };
    group.stepMask |= stepBit;
    group.guardMask |= guardBit;
    groups.set(keyText, group);
  };
  for (const step of rule.steps) {
    const bit = 1 << step.index;
    if ((stepMask & bit) !== 0) add(step.keyName, bit, 0);
  }
  rule.guards.forEach((guard, index) => {
    const bit = 1 << index;
    if ((guardMask & bit) !== 0) add(guard.selection.name, 0, bit);
  });
  return groups.values();
}
