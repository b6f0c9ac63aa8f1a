/** A rule of the schema → its compiled form, or every fault that it has. */
import { durationMs, type RuleSource } from '../../schemas/rule/v1.ts';
import { statisticHorizonMs } from '../statistics/plan.ts';
import { checkTag } from '../tags/check.ts';
import { buildAutomaton } from './automaton.ts';
import {
  Compilation,
  type CompileFault,
  type CompileOptions,
  type Element,
  type HashText,
  type Place,
} from './compilation.ts';
import { fieldReader } from './fields.ts';
import { compileGuards } from './guards.ts';
import { compileJoins, splitPlace } from './joins.ts';
import { compileAction, compileAfterMatch, compileExceptions } from './policy.ts';
import type { AfterMatch, CompiledRule, Guard, Join, KeyPart, Selection, Statistic, Step } from './rule.ts';
import { compileSelection } from './selections.ts';
import { compileStatistics } from './statistics.ts';

export type { CompileFault, CompileOptions, HashText };

const DEFAULT_RUNS_PER_KEY = 256;

/** Events whose result a flow or a measure reads: they are matched when the call has returned. */
function eventsByResult(source: RuleSource): ReadonlySet<string> {
  const steps = new Map(
    (source.sequence ?? []).map((step) =>
      typeof step === 'string' ? [step, step] : [step.as ?? step.event, step.event],
    ),
  );
  const places = source.flow.flatMap((flow) => [splitPlace(flow.from), splitPlace(flow.to)]);
  const measured = (source.any_of ?? []).flatMap((statistic) =>
    'event' in statistic ? [[statistic.event, String(Object.values(statistic)[0])] as const] : [],
  );
  return new Set(
    [...places, ...measured].flatMap(([step, field]) =>
      fieldReader(field)?.ofResult === true ? [steps.get(step) ?? step] : [],
    ),
  );
}

function compileSelections(c: Compilation): void {
  const byResult = eventsByResult(c.source);
  for (const [name, raw] of Object.entries(c.source.events)) {
    const place = { at: ['events', name], byResult: byResult.has(name) };
    c.selections.set(name, compileSelection(c, name, raw, place));
  }
}

function keyField(c: Compilation, raw: string, at: Place): { field: string; optional: boolean } {
  const optional = raw.endsWith('?');
  return { field: c.field(optional ? raw.slice(0, -1) : raw, at), optional };
}

/** Names whose events enter the state of a key: steps by their own name and their event's, guards by their event's. */
function keyedNames(c: Compilation): (readonly [name: string, event: string])[] {
  const steps = c.elements.map((element) => [keyNameOf(c, element), element.event] as const);
  const guards = c.source.without.map(({ event }) => [event, event] as const);
  const until = c.source.until === undefined ? [] : [[c.source.until, c.source.until] as const];
  return [...new Map([...steps, ...guards, ...until])];
}

/** Measures have no names of their own: their events stand for them. */
function keyNameOf(c: Compilation, element: Element): string {
  return c.source.any_of === undefined ? element.name : element.event;
}

/** Every step and guard needs a value for every part: a part that only some have is a join, not a key. */
function compileKey(c: Compilation): KeyPart[] {
  const key =
    typeof c.source.key === 'string' ? { [c.source.key.replace('?', '')]: c.source.key } : c.source.key;
  return Object.entries(key).flatMap(([alias, raw]) => {
    if (alias === 'tenant') return [];
    const at = ['key', alias];
    const fields = new Map<string, { field: string; optional: boolean }>();
    for (const [name, event] of keyedNames(c)) {
      const text = typeof raw === 'string' ? raw : (raw[name] ?? raw[event]);
      if (text !== undefined) fields.set(name, keyField(c, text, at));
      else {
        const hint = 'give every step one, or write a join between the steps';
        c.fault(at, `${name} has no field for key ${alias}`, hint);
      }
    }
    return [{ alias, fields }];
  });
}

function compileSteps(c: Compilation, joins: readonly (readonly Join[])[], guards: readonly Guard[]): Step[] {
  return c.elements.flatMap((element, index): Step[] => {
    const selection = c.selection(element.event, [bodyOf(c.source), index]);
    if (selection === undefined) return [];
    const after = guards.map((guard) => (guard.kind === 'after' && guard.step === index ? guard.forMs : 0));
    return [
      {
        index,
        name: element.name,
        keyName: keyNameOf(c, element),
        selection,
        gapMs: element.gapMs,
        optional: element.optional,
        joins: joins[index] ?? [],
        afterForMs: Math.max(0, ...after),
      },
    ];
  });
}

function bodyOf(source: RuleSource): CompiledRule['body'] {
  if (source.all_of !== undefined) return 'all_of';
  return source.any_of === undefined ? 'sequence' : 'any_of';
}

/** Calls of one session always share a partition: only then a rule can run where its events are read. */
function scopeOf(key: readonly KeyPart[], selections: Iterable<Selection>): 'session' | 'tenant' {
  // Alerts are found in both stages; only stage two sees all of them.
  if ([...selections].some((selection) => selection.kinds.includes('alert'))) return 'tenant';
  const isSession = (part: KeyPart): boolean =>
    [...part.fields.values()].every(
      (entry) => ['session', 'session_id'].includes(entry.field) && !entry.optional,
    );
  return key.some(isSession) ? 'session' : 'tenant';
}

/** Everything that decides what the rule matches, and nothing else: title, tags, tests, mode, action stay out. */
function semanticText(c: Compilation): string {
  const s = c.source;
  const events = [...c.selections.values()]
    .map((selection) => [selection.name, selection.hash] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const meaning = [s.key, events, s.sequence, s.within, s.join, s.without, s.late, s.limits, s.after_match];
  const more = [
    ['all_of', s.all_of],
    ['any_of', s.any_of],
    ['until', s.until],
    ['flow', s.flow],
  ].filter(([, value]) => value !== undefined && (!Array.isArray(value) || value.length > 0));
  return JSON.stringify(['tripline/rule/v1', ...meaning.map((part) => part ?? null), ...more]);
}

function checkWindow(c: Compilation): void {
  const { any_of: statistics, within, join } = c.source;
  if (statistics === undefined && c.elements.length > 1 && within === undefined) {
    c.fault([bodyOf(c.source)], 'several steps without a window', 'write within: 10m beside the steps');
  }
  if (statistics !== undefined && (within !== undefined || join.length > 0 || c.source.flow.length > 0)) {
    c.fault(['any_of'], 'within, join and flow do not go with measures', 'each measure has its own within');
  }
}

function checkTests(c: Compilation): void {
  c.source.tests.forEach((test, index) => {
    for (const event of test.events) {
      if ('e' in event) c.selection(event.e, ['tests', index]);
    }
    if (test.expect.some((at) => at >= test.events.length)) {
      c.fault(['tests', index, 'expect'], 'expects an event that is not there', 'positions count from 0');
    }
  });
}

function checkTags(c: Compilation): void {
  c.source.tags.forEach((tag, index) => {
    const fault = checkTag(tag);
    if (fault !== undefined) c.fault(['tags', index], fault.message, fault.hint);
  });
}

interface Parts {
  readonly key: readonly KeyPart[];
  readonly steps: readonly Step[];
  readonly guards: readonly Guard[];
  readonly statistics: readonly Statistic[];
  readonly afterMatch: AfterMatch;
}

/** Fields whose values a kept event carries, and stage two needs. */
function valueFieldsOf(parts: Parts): string[] {
  const ofKey = parts.key.flatMap((part) => [...part.fields.values()].map((entry) => entry.field));
  return [...new Set([...ofKey, ...recordedFields(parts)])].toSorted();
}

function recordedFields(parts: Parts): string[] {
  const joined = parts.steps.flatMap((step) =>
    step.joins.flatMap((join) => [join.otherField, join.ownField]),
  );
  const measured = parts.statistics.flatMap(({ field }) => (field === undefined ? [] : [field]));
  const policy = parts.afterMatch;
  const once =
    policy.kind === 'once_per'
      ? policy.parts.flatMap((part) => (part.kind === 'field' ? [part.field] : []))
      : [];
  return [...joined, ...measured, ...once];
}

/** A call has one intent, but its results may be several and come beside it: then an assignment could hold it twice. */
function needsDistinctCalls(steps: readonly Step[]): boolean {
  return steps.length > 1 && steps.some((step) => step.selection.readsResult);
}

function windowOf(source: RuleSource, statistics: readonly Statistic[]): number {
  const measured = statistics.map(({ plan }) => statisticHorizonMs(plan));
  return Math.max(durationMs(source.within ?? '0s') ?? 0, ...measured);
}

/** The compiled rule, or all faults. `path` names the file. */
export function compileRule(
  source: RuleSource,
  path: string,
  options: CompileOptions,
): { readonly rule?: CompiledRule; readonly faults: readonly CompileFault[] } {
  const c = new Compilation(source, options);
  compileSelections(c);
  const guards = compileGuards(c);
  const steps = compileSteps(c, compileJoins(c), guards);
  const key = compileKey(c);
  const parts = { key, steps, guards, statistics: compileStatistics(c), afterMatch: compileAfterMatch(c) };
  const action = compileAction(c);
  const exceptions = compileExceptions(c, source.exceptions);
  checkWindow(c);
  checkTests(c);
  checkTags(c);
  if (c.faults.length > 0) return { faults: c.faults };
  const rule: CompiledRule = {
    id: source.id,
    hash: options.sha256Hex(semanticText(c)),
    title: source.title,
    description: source.description ?? '',
    status: source.status,
    references: source.references,
    falsePositives: source.false_positives,
    level: source.level,
    mode: source.mode,
    tags: source.tags,
    scope: scopeOf(key, c.selections.values()),
    body: bodyOf(source),
    ...parts,
    automaton: buildAutomaton(steps, bodyOf(source)),
    withinMs: windowOf(source, parts.statistics),
    lateWaitMs: source.late === undefined ? undefined : durationMs(source.late.wait),
    runsPerKey: source.limits?.runs_per_key ?? DEFAULT_RUNS_PER_KEY,
    distinctCalls: needsDistinctCalls(steps),
    exceptions,
    action,
    tests: source.tests,
    selections: c.selections,
    valueFields: valueFieldsOf(parts),
    recordsValues: recordedFields(parts).length > 0,
    path,
  };
  return { rule, faults: [] };
}

/**
 * Exceptions that the operator's configuration makes for a rule. A fault leaves its exception out, never the rule: who
 * mistypes one must hear of more alerts, not of none.
 */
export function compileOperatorExceptions(
  source: RuleSource,
  exceptions: RuleSource['exceptions'],
  options: CompileOptions,
): { readonly exceptions: CompiledRule['exceptions']; readonly faults: readonly CompileFault[] } {
  const c = new Compilation(source, options);
  const compiled = compileExceptions(c, exceptions, ['rules', 'exceptions']);
  return { exceptions: compiled, faults: c.faults };
}
