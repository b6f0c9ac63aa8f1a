/** Which fields of an event a rule needs, by the part that the event plays: others are not read, and not sent on. */
import { selfFields } from './predicate.ts';
import type { CompiledRule, Guard, Step } from './rule.ts';

function keyFields(rule: CompiledRule, name: string): string[] {
  return rule.key.flatMap((part) => part.fields.get(name)?.field ?? []);
}

/** Fields that a step is asked for by key, joins, flows, measures and thinning. */
export function fieldsOfStep(rule: CompiledRule, step: Step): ReadonlySet<string> {
  const own = step.joins.map((join) => join.ownField);
  const others = rule.steps.flatMap(({ joins }) =>
    joins.flatMap((join) => (join.other === step.index ? [join.otherField] : [])),
  );
  const measured = rule.statistics.flatMap(({ step: of, field }) =>
    of === step.index && field !== undefined ? [field] : [],
  );
  const policy = rule.afterMatch;
  const once =
    policy.kind === 'once_per'
      ? policy.parts.flatMap((part) =>
          part.kind === 'field' && part.step === step.index ? [part.field] : [],
        )
      : [];
  return new Set([...keyFields(rule, step.keyName), ...own, ...others, ...measured, ...once]);
}

/** Fields that a guard is asked for: those of its key. */
export function fieldsOfGuard(rule: CompiledRule, guard: Guard): ReadonlySet<string> {
  return new Set(keyFields(rule, guard.selection.name));
}

/** Every field that a rule may read of an event. */
export function fieldsReadBy(rule: CompiledRule): ReadonlySet<string> {
  const tested = [...rule.steps, ...rule.guards, ...rule.exceptions].flatMap(({ selection }) =>
    selection.maps.flat().flatMap(({ field, values }) => [field, ...selfFields(values)]),
  );
  const steps = rule.steps.flatMap((step) => [...fieldsOfStep(rule, step)]);
  const guards = rule.guards.flatMap((guard) => [...fieldsOfGuard(rule, guard)]);
  return new Set([...tested, ...steps, ...guards]);
}
