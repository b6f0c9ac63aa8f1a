/** What a rule does once it holds: thinning, exceptions, action. None of it changes what the rule matches. */
import { durationMs } from '../../schemas/rule/v1.ts';
import type { Compilation, Place } from './compilation.ts';
import { splitPlace } from './joins.ts';
import type { AfterMatch, Exception, OncePart, RuleAction } from './rule.ts';
import { compileSelection } from './selections.ts';

export function compileAfterMatch(c: Compilation): AfterMatch {
  const policy = c.source.after_match;
  if (policy === 'every' || policy === 'skip_past_last') return { kind: policy };
  const at = ['after_match', 'once_per'];
  const names = typeof policy.once_per === 'string' ? [policy.once_per] : policy.once_per;
  const parts = names.map((name): OncePart => {
    if (name === 'key') return { kind: 'key' };
    const [step, field] = splitPlace(name);
    // Of a repeated step the last one speaks.
    return { kind: 'field', step: c.elementsOf(step, at).at(-1) ?? -1, field: c.field(field, at) };
  });
  return { kind: 'once_per', parts, forMs: durationMs(policy.for) ?? 0 };
}

/** Field that names the target where the rule does not say. */
const TARGET_FIELDS: Readonly<Record<string, string>> = {
  tool: 'tool.name',
  class: 'tool.class',
  server: 'server',
  agent: 'agent',
  session: 'session',
};

export function compileAction(c: Compilation): RuleAction | undefined {
  const action = c.source.action;
  if (action === undefined) return undefined;
  if (action.scope === 'global') {
    c.fault(['action', 'scope'], 'only an admin sets a global control', 'use tenant or a narrower scope');
  }
  const target = action.target ?? TARGET_FIELDS[action.scope] ?? '*';
  if (target !== '*') c.field(target, ['action', 'target']);
  return { type: 'kill', scope: action.scope, target, mode: action.mode, ttlMs: durationMs(action.ttl) ?? 0 };
}

type ExceptionSource = Compilation['source']['exceptions'][number];

/** Exceptions, those with a fault left out; `at` is where the list stands. */
export function compileExceptions(
  c: Compilation,
  sources: readonly ExceptionSource[],
  at: Place = ['exceptions'],
): Exception[] {
  return sources.flatMap((exception, index) => {
    const faultsBefore = c.faults.length;
    const place = { at: [...at, index, 'when'], byResult: false };
    const selection = compileSelection(c, exception.name, exception.when, place);
    if (c.faults.length > faultsBefore) return [];
    const expiresMs = Date.parse(exception.expires);
    return [{ name: exception.name, selection, owner: exception.owner, expiresMs }];
  });
}
