/** Keys of rules: which calls belong together. */
import type { CompiledRule } from '../compile/rule.ts';
import type { Call } from './call.ts';

/** Key of the call as the step or guard of that name sees it, as JSON; null when a value is missing that must be there. */
export function keyTextOf(rule: CompiledRule, call: Call, name: string): string | null {
  const values: string[] = [];
  for (const part of rule.key) {
    const field = part.fields.get(name);
    const value = field === undefined ? null : call.value(field.field);
    if (value === null && field?.optional !== true) return null;
    values.push(value ?? '');
  }
  return JSON.stringify(values);
}

/** What a rule's key reads, where every step and guard reads the same: rules of equal names share keys. */
export function keyName(rule: CompiledRule): string | undefined {
  const names = [
    ...rule.steps.map((step) => step.keyName),
    ...rule.guards.map((guard) => guard.selection.name),
  ];
  const texts = new Set(names.map((name) => JSON.stringify(rule.key.map((part) => part.fields.get(name)))));
  return texts.size === 1 ? [...texts][0] : undefined;
}

/** Values of a key by the names that the rule gives them. */
export function keyNames(rule: CompiledRule, keyText: string): Record<string, string> {
  const values = JSON.parse(keyText) as string[];
  return Object.fromEntries(rule.key.map((part, index) => [part.alias, values[index] ?? '']));
}
