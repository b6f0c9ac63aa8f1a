/** Absences of a rule: `without` and `until`. */
import { durationMs } from '../../schemas/rule/v1.ts';
import type { Compilation, Place } from './compilation.ts';
import type { Guard } from './rule.ts';

export function compileGuards(c: Compilation): Guard[] {
  const { until, any_of: statistics } = c.source;
  if (statistics !== undefined && (until !== undefined || c.source.without.length > 0)) {
    c.fault(['any_of'], 'a measure has no guards', 'write a sequence over the alerts of this rule');
    return [];
  }
  const guards = c.source.without.flatMap((guard, index) => compileGuard(c, guard, ['without', index]));
  if (until === undefined) return guards;
  const selection = c.selection(until, ['until']);
  return selection === undefined ? guards : [...guards, { kind: 'until', selection }];
}

function compileGuard(c: Compilation, guard: Compilation['source']['without'][number], at: Place): Guard[] {
  const selection = c.selection(guard.event, at);
  if (selection === undefined) return [];
  if ('between' in guard) return between(c, guard.between, { selection, at });
  const forMs = durationMs(guard.for) ?? 0;
  if ('before' in guard)
    return [{ kind: 'before', selection, step: endOf(c, guard.before, at, 'first'), forMs }];
  return [{ kind: 'after', selection, step: endOf(c, guard.after, at, 'last'), forMs }];
}

function between(
  c: Compilation,
  names: readonly [string, string],
  guard: { readonly selection: Extract<Guard, { kind: 'between' }>['selection']; readonly at: Place },
): Guard[] {
  const { at, selection } = guard;
  if (c.source.all_of !== undefined) {
    c.fault(at, 'a set has no order to lie between', 'use before, after or until');
    return [];
  }
  const from = endOf(c, names[0], at, 'last');
  const to = endOf(c, names[1], at, 'first');
  if (from >= to && to >= 0) c.fault(at, 'between needs an earlier and a later step', 'swap the two names');
  return [{ kind: 'between', selection, from, to }];
}

/** The element at which an interval begins or ends; it must be in every assignment. */
function endOf(c: Compilation, name: string, at: Place, which: 'first' | 'last'): number {
  const found = c.elementsOf(name, at);
  if (found.some((index) => c.elements[index]?.optional === true)) {
    c.fault(at, `${name} may be missing`, 'a guard ends at a step that every match has: give min = max');
  }
  return found.at(which === 'first' ? 0 : -1) ?? -1;
}
