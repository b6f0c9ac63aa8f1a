/** What a reload of the rules changes. Pure. */
import { isTriplineError } from '../../schemas/errors.ts';
import type { AuditBody } from '../../schemas/audit/v1.ts';
import type { LoadedRules } from '../../detectors/compile/load.ts';
import type { CompiledRule, RuleFault } from '../../detectors/compile/rule.ts';

/** Ids of rules, by what became of them. */
export interface RuleChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Another semantic hash: what they held is gone, they begin empty. */
  readonly changed: readonly string[];
  /** Same meaning, other mode, level, action or exceptions: what they held stays. */
  readonly adjusted: readonly string[];
  /** Their file has a fault now: they run on as they were, so that a slip of the pen switches no detection off. */
  readonly kept: readonly string[];
}

export interface Reloaded extends RuleChanges {
  /** Rules that run now. */
  readonly rules: number;
  readonly faults: readonly RuleFault[];
}

export interface RulePlanChange {
  readonly changes: RuleChanges;
  /** All that are to run. */
  readonly rules: readonly CompiledRule[];
}

/** A fault names a file, or a folder that could not be read. */
function isFaulty({ path }: CompiledRule, faults: readonly RuleFault[]): boolean {
  return faults.some((fault) => path === fault.path || path.startsWith(`${fault.path}/`));
}

/** What a rule does with a match; its semantic hash leaves all of it out. */
function settingsOf({ mode, level, title, tags, action, exceptions }: CompiledRule): string {
  const known = exceptions.map(({ name, selection, owner, expiresMs }) => [
    name,
    selection.hash,
    owner,
    expiresMs,
  ]);
  return JSON.stringify([mode, level, title, tags, action ?? null, known]);
}

/** From what runs and what was read to what shall run. Rules in mode off are not run. */
export function planReload(running: readonly CompiledRule[], loaded: LoadedRules): RulePlanChange {
  const read = new Map(loaded.rules.map((rule) => [rule.id, rule]));
  const kept = running.filter((rule) => !read.has(rule.id) && isFaulty(rule, loaded.faults));
  const rules = [...loaded.rules.filter(({ mode }) => mode !== 'off'), ...kept];
  const before = new Map(running.map((rule) => [rule.id, rule]));
  const after = new Set(rules.map(({ id }) => id));
  const both = rules.flatMap((rule) => {
    const old = before.get(rule.id);
    return old === undefined ? [] : [{ old, rule }];
  });
  const ids = (pairs: readonly { readonly rule: CompiledRule }[]): string[] =>
    pairs.map(({ rule }) => rule.id);
  const changes: RuleChanges = {
    added: rules.filter(({ id }) => !before.has(id)).map(({ id }) => id),
    removed: running.filter(({ id }) => !after.has(id)).map(({ id }) => id),
    changed: ids(both.filter(({ old, rule }) => old.hash !== rule.hash)),
    adjusted: ids(
      both.filter(({ old, rule }) => old.hash === rule.hash && settingsOf(old) !== settingsOf(rule)),
    ),
    kept: kept.map(({ id }) => id),
  };
  return { changes, rules };
}

/** Who asked for a reload, and by which way. */
export interface ReloadBy {
  readonly actor: string;
  readonly role: string;
  readonly target: string;
}

/** Rules that can be read again while they run. */
export interface Reloads {
  /**
   * Reads the rules again and runs them from the next record on, once that is on record in topic audit. States of rules
   * that mean the same are kept. Rejects, with nothing changed, where the configuration is none any more
   * (`config_invalid`) or the audit event cannot be written. Of this process only: others reload on their own.
   */
  reload(by: ReloadBy): Promise<Reloaded>;
}

const MAX_TEXT = 2_048;
const clip = (text: string): string => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`);

export function reloadAudit(by: ReloadBy, reloaded: Reloaded): AuditBody {
  const { added, removed, changed, adjusted, kept, faults, rules } = reloaded;
  const lists = Object.entries({ added, removed, changed, adjusted, kept }).map(
    ([name, ids]) => [name, clip(ids.join(' '))] as const,
  );
  const told = faults.map(({ path, line, at, message }) => `${path}:${line}: ${at}: ${message}`).join('; ');
  return {
    action: 'rules.load',
    ...by,
    outcome: 'ok',
    details: { ...Object.fromEntries(lists), rules, faults: faults.length, fault: clip(told) },
  };
}

/** Nothing was changed: the configuration cannot be read. */
export function failedReload(by: ReloadBy, error: unknown): AuditBody {
  const code = isTriplineError(error) ? error.code : 'internal';
  return { action: 'rules.load', ...by, outcome: 'failed', details: { code } };
}
