/** A rule of the schema → its compiled form, or every fault that it has. */
import type { EventKind } from '../../schemas/event/v1.ts';
import { EVENT_KINDS, TOOL_CLASSES } from '../../schemas/event/v1.ts';
import { durationMs, type RuleSource } from '../../schemas/rule/v1.ts';
import { fieldReader } from './fields.ts';
import { conditionTest, parseCondition, type Condition } from './predicate.ts';
import type {
  AfterMatch,
  CompiledRule,
  Guard,
  Join,
  KeyPart,
  OncePart,
  RuleAction,
  Selection,
  Step,
} from './rule.ts';

/** SHA-256 of a UTF-8 text, 64 lower-case hex digits. */
export type HashText = (text: string) => string;

export interface CompileOptions {
  readonly sha256Hex: HashText;
  /** Operator's `$name` lists; they replace the rule's own defaults. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
}

/** A fault before it has a file and a line. `at` is the path in the rule. */
export interface CompileFault {
  readonly at: readonly (string | number)[];
  readonly message: string;
  readonly hint: string;
}

const DEFAULT_RUNS_PER_KEY = 256;
const CALL_KINDS: readonly EventKind[] = ['call.intent'];
const RESULT_KINDS: readonly EventKind[] = ['call.result'];

/** One compilation: collects faults so that a person sees all of them at once. */
class Compilation {
  readonly faults: CompileFault[] = [];
  readonly source: RuleSource;
  readonly options: CompileOptions;
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly selections = new Map<string, Selection>();
  readonly stepNames: string[];
  readonly slots: string[][];

  constructor(source: RuleSource, options: CompileOptions) {
    this.source = source;
    this.options = options;
    this.lists = new Map([...Object.entries(source.lists), ...Object.entries(options.lists ?? {})]);
    this.stepNames = source.sequence.map((step) => (typeof step === 'string' ? step : step.event));
    this.slots = source.sequence.map(() => []);
  }

  fault(at: readonly (string | number)[], message: string, hint: string): void {
    this.faults.push({ at, message, hint });
  }

  slot(step: number, field: string): number {
    const slots = this.slots[step] ?? [];
    const found = slots.indexOf(field);
    return found >= 0 ? found : slots.push(field) - 1;
  }

  /** Index of the step that a name means; steps that are named twice cannot be referred to. */
  stepOf(name: string, at: readonly (string | number)[]): number {
    const first = this.stepNames.indexOf(name);
    if (first < 0)
      this.fault(at, `${name} is no step of the sequence`, `steps are ${this.stepNames.join(', ')}`);
    else if (this.stepNames.indexOf(name, first + 1) >= 0) {
      this.fault(
        at,
        `${name} stands twice in the sequence`,
        'give the second one a selection name of its own',
      );
    }
    return first;
  }

  field(name: string, at: readonly (string | number)[]): string {
    if (fieldReader(name) === undefined)
      this.fault(at, `there is no field ${name}`, 'see the table of fields');
    return name;
  }
}

/** Values that `field` is held to by an equality of the selection; undefined when it is not. */
function allowedValues(conditions: readonly Condition[], field: string): readonly string[] | undefined {
  const held = conditions.find((c) => c.field === field && c.operator === 'eq' && !c.negated);
  if (held === undefined || held.values.some((value) => String(value).startsWith('$self.'))) return undefined;
  return held.values.map((value) => String(value).toLowerCase());
}

/** Whether `kinds` or `classes` says all that the condition says. */
function isIndexed(condition: Condition, all: readonly Condition[]): boolean {
  const { field, cased } = condition;
  if (cased || (field !== 'tool.class' && field !== 'event.kind')) return false;
  // Of several equalities on one field the first is looked up by, the others stay tests.
  const held = all.find((c) => c.field === field && c.operator === 'eq' && !c.negated);
  return held === condition && allowedValues(all, field) !== undefined;
}

function readsResult(conditions: readonly Condition[]): boolean {
  return conditions.some((condition) => fieldReader(condition.field)?.ofResult === true);
}

function selectionKinds(conditions: readonly Condition[]): readonly EventKind[] {
  const named = allowedValues(conditions, 'event.kind');
  if (named !== undefined) return EVENT_KINDS.filter((kind) => named.includes(kind));
  return readsResult(conditions) ? RESULT_KINDS : CALL_KINDS;
}

function compileSelection(c: Compilation, name: string): Selection | undefined {
  const raw = c.source.events[name];
  if (raw === undefined) return undefined;
  const conditions: Condition[] = [];
  for (const [key, values] of Object.entries(raw)) {
    const outcome = parseCondition(key, values, c.lists);
    if (outcome.kind === 'condition') conditions.push(outcome.condition);
    else c.fault(['events', name, key], outcome.message, outcome.hint);
  }
  const kinds = selectionKinds(conditions);
  if (kinds.length === 0)
    c.fault(['events', name], 'matches no kind of event', `kinds are ${EVENT_KINDS.join(', ')}`);
  const classes = allowedValues(conditions, 'tool.class');
  const unknownClass = classes?.find((value) => !(TOOL_CLASSES as readonly string[]).includes(value));
  if (unknownClass !== undefined) {
    c.fault(
      ['events', name],
      `there is no tool class ${unknownClass}`,
      `classes are ${TOOL_CLASSES.join(', ')}`,
    );
  }
  const canonical = conditions.map((condition) => JSON.stringify(canonicalCondition(condition))).toSorted();
  return {
    name,
    hash: c.options.sha256Hex(JSON.stringify([kinds, canonical])).slice(0, 16),
    conditions,
    // What kinds and classes say is settled before a test runs: the matcher looks selections up by both.
    tests: conditions.filter((condition) => !isIndexed(condition, conditions)).map(conditionTest),
    kinds,
    classes: classes === undefined ? undefined : TOOL_CLASSES.filter((value) => classes.includes(value)),
    readsResult: readsResult(conditions),
  };
}

function canonicalCondition(condition: Condition): readonly unknown[] {
  const values = condition.values.map((value) => JSON.stringify(value)).toSorted();
  return [condition.field, condition.operator, condition.negated, condition.cased, values];
}

function compileSelections(c: Compilation): void {
  for (const name of Object.keys(c.source.events)) {
    const selection = compileSelection(c, name);
    if (selection !== undefined) c.selections.set(name, selection);
  }
}

function selectionOf(c: Compilation, name: string, at: readonly (string | number)[]): Selection | undefined {
  const selection = c.selections.get(name);
  if (selection === undefined) {
    c.fault(
      at,
      `there is no event ${name}`,
      `define it under events; there are ${[...c.selections.keys()].join(', ')}`,
    );
  }
  return selection;
}

function keyField(
  c: Compilation,
  raw: string,
  at: readonly (string | number)[],
): { field: string; optional: boolean } {
  const optional = raw.endsWith('?');
  return { field: c.field(optional ? raw.slice(0, -1) : raw, at), optional };
}

/** Every step and guard needs a value for every part: a part that only some have is a join, not a key. */
function compileKey(c: Compilation): KeyPart[] {
  const used = [...new Set([...c.stepNames, ...c.source.without.map((guard) => guard.event)])];
  const key =
    typeof c.source.key === 'string' ? { [c.source.key.replace('?', '')]: c.source.key } : c.source.key;
  return Object.entries(key).flatMap(([alias, raw]) => {
    if (alias === 'tenant') return [];
    const fields = new Map<string, { field: string; optional: boolean }>();
    for (const name of used) {
      const text = typeof raw === 'string' ? raw : raw[name];
      if (text !== undefined) fields.set(name, keyField(c, text, ['key', alias]));
      else
        c.fault(
          ['key', alias],
          `${name} has no field for key ${alias}`,
          'give every step one, or write a join between the steps',
        );
    }
    return [{ alias, fields }];
  });
}

const JOIN = /^\s*([A-Za-z_]\w*)\.(\S+)\s*(==|!=)\s*([A-Za-z_]\w*)\.(\S+)\s*$/;

interface PlacedJoin {
  readonly later: number;
  readonly join: Join;
}

function compileJoin(
  c: Compilation,
  parts: readonly string[],
  at: readonly (string | number)[],
): PlacedJoin[] {
  const [, leftStep = '', leftField = '', operator, rightStep = '', rightField = ''] = parts;
  const left = { step: c.stepOf(leftStep, at), field: c.field(leftField, at) };
  const right = { step: c.stepOf(rightStep, at), field: c.field(rightField, at) };
  if (left.step === right.step) c.fault(at, 'joins a step with itself', 'name two different steps');
  if (left.step < 0 || right.step < 0) return [];
  const [early, late] = left.step < right.step ? [left, right] : [right, left];
  const join: Join = {
    earlier: early.step,
    earlierField: early.field,
    operator: operator === '==' ? '==' : '!=',
    earlierSlot: c.slot(early.step, early.field),
    laterField: late.field,
  };
  return [{ later: late.step, join }];
}

function compileJoins(c: Compilation): PlacedJoin[] {
  return c.source.join.flatMap((text, index) => {
    const parts = JOIN.exec(text);
    if (parts !== null) return compileJoin(c, parts, ['join', index]);
    c.fault(
      ['join', index],
      `${text} is no join`,
      'write step.field == other.field or step.field != other.field',
    );
    return [];
  });
}

function compileGuards(c: Compilation): Guard[] {
  return c.source.without.flatMap((guard, index): Guard[] => {
    const at = ['without', index];
    const selection = selectionOf(c, guard.event, at);
    if (selection === undefined) return [];
    if ('between' in guard) {
      const from = c.stepOf(guard.between[0], at);
      const to = c.stepOf(guard.between[1], at);
      if (from >= to && to >= 0)
        c.fault(at, 'between needs an earlier and a later step', 'swap the two names');
      return [{ kind: 'between', selection, from, to }];
    }
    const forMs = durationMs(guard.for) ?? 0;
    return 'before' in guard
      ? [{ kind: 'before', selection, step: c.stepOf(guard.before, at), forMs }]
      : [{ kind: 'after', selection, step: c.stepOf(guard.after, at), forMs }];
  });
}

function compileAfterMatch(c: Compilation): AfterMatch {
  const policy = c.source.after_match;
  if (policy === 'every') return { kind: 'every' };
  const names = typeof policy.once_per === 'string' ? [policy.once_per] : policy.once_per;
  const parts = names.map((name): OncePart => {
    if (name === 'key') return { kind: 'key' };
    const dot = name.indexOf('.');
    const step = c.stepOf(dot < 0 ? name : name.slice(0, dot), ['after_match', 'once_per']);
    const field = c.field(name.slice(dot + 1), ['after_match', 'once_per']);
    return { kind: 'field', step, slot: c.slot(step, field) };
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

function compileAction(c: Compilation): RuleAction | undefined {
  const action = c.source.action;
  if (action === undefined) return undefined;
  if (action.scope === 'global') {
    c.fault(['action', 'scope'], 'only an admin sets a global control', 'use tenant or a narrower scope');
  }
  const target = action.target ?? TARGET_FIELDS[action.scope] ?? '*';
  if (target !== '*') c.field(target, ['action', 'target']);
  return { type: 'kill', scope: action.scope, target, mode: action.mode, ttlMs: durationMs(action.ttl) ?? 0 };
}

/** Slots that steps after `index` still read. */
function signatureOf(index: number, joins: readonly PlacedJoin[]): (readonly [number, number])[] {
  const seen = new Map<string, readonly [number, number]>();
  for (const { later, join } of joins) {
    if (join.earlier <= index && later > index) {
      seen.set(`${join.earlier}.${join.earlierSlot}`, [join.earlier, join.earlierSlot]);
    }
  }
  return [...seen.values()];
}

function compileSteps(c: Compilation, joins: readonly PlacedJoin[], guards: readonly Guard[]): Step[] {
  return c.source.sequence.flatMap((raw, index): Step[] => {
    const selection = selectionOf(c, c.stepNames[index] ?? '', ['sequence', index]);
    if (selection === undefined) return [];
    const own = joins.filter((entry) => entry.later === index).map((entry) => entry.join);
    const after = guards.map((guard) => (guard.kind === 'after' && guard.step === index ? guard.forMs : 0));
    const gap = typeof raw === 'string' || raw.within === undefined ? undefined : durationMs(raw.within);
    return [
      {
        index,
        selection,
        gapMs: gap ?? Number.POSITIVE_INFINITY,
        joins: own,
        slots: c.slots[index] ?? [],
        signature: signatureOf(index, joins),
        bucketJoin: own.findIndex((join) => join.operator === '=='),
        afterForMs: Math.max(0, ...after),
      },
    ];
  });
}

/** Calls of one session always share a partition: only then a rule can run where its events are read. */
function scopeOf(key: readonly KeyPart[]): 'session' | 'tenant' {
  const isSession = (part: KeyPart): boolean =>
    [...part.fields.values()].every(
      (entry) => ['session', 'session_id'].includes(entry.field) && !entry.optional,
    );
  return key.some(isSession) ? 'session' : 'tenant';
}

/** Everything that decides what the rule matches, and nothing else: title, tags, tests, mode, action stay out. */
function semanticText(c: Compilation, selections: ReadonlyMap<string, Selection>): string {
  const s = c.source;
  const events = [...selections.values()]
    .map((selection) => [selection.name, selection.hash])
    .toSorted(byFirst);
  const meaning = [s.key, events, s.sequence, s.within, s.join, s.without, s.late, s.limits, s.after_match];
  return JSON.stringify(['tripline/rule/v1', ...meaning.map((part) => part ?? null)]);
}

function byFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1;
}

function checkWindow(c: Compilation): void {
  if (c.source.sequence.length > 1 && c.source.within === undefined) {
    c.fault(['sequence'], 'several steps without a window', 'write within: 10m beside sequence');
  }
}

function checkTests(c: Compilation): void {
  c.source.tests.forEach((test, index) => {
    for (const event of test.events) {
      if ('e' in event) selectionOf(c, event.e, ['tests', index]);
    }
    if (test.expect.some((at) => at >= test.events.length)) {
      c.fault(['tests', index, 'expect'], 'expects an event that is not there', 'positions count from 0');
    }
  });
}

function valueFieldsOf(
  key: readonly KeyPart[],
  joins: readonly Join[],
  slots: readonly string[][],
): string[] {
  const ofKey = key.flatMap((part) => [...part.fields.values()].map((entry) => entry.field));
  return [...new Set([...ofKey, ...joins.map((join) => join.laterField), ...slots.flat()])].toSorted();
}

/** A call has one intent, but its results may be several and come beside it: then an assignment could hold it twice. */
function needsDistinctCalls(steps: readonly Step[]): boolean {
  return steps.length > 1 && steps.some((step) => step.selection.readsResult);
}

/** The compiled rule, or all faults. `path` names the file. */
export function compileRule(
  source: RuleSource,
  path: string,
  options: CompileOptions,
): { readonly rule?: CompiledRule; readonly faults: readonly CompileFault[] } {
  const c = new Compilation(source, options);
  compileSelections(c);
  const key = compileKey(c);
  const joins = compileJoins(c);
  const guards = compileGuards(c);
  const afterMatch = compileAfterMatch(c);
  const action = compileAction(c);
  const steps = compileSteps(c, joins, guards);
  checkWindow(c);
  checkTests(c);
  if (c.faults.length > 0) return { faults: c.faults };
  const rule: CompiledRule = {
    id: source.id,
    hash: options.sha256Hex(semanticText(c, c.selections)),
    title: source.title,
    description: source.description ?? '',
    level: source.level,
    mode: source.mode,
    tags: source.tags,
    scope: scopeOf(key),
    key,
    steps,
    guards,
    withinMs: durationMs(source.within ?? '0s') ?? 0,
    lateWaitMs: source.late === undefined ? undefined : durationMs(source.late.wait),
    runsPerKey: source.limits?.runs_per_key ?? DEFAULT_RUNS_PER_KEY,
    distinctCalls: needsDistinctCalls(steps),
    afterMatch,
    action,
    tests: source.tests,
    selections: c.selections,
    valueFields: valueFieldsOf(
      key,
      joins.map((entry) => entry.join),
      c.slots,
    ),
    path,
  };
  return { rule, faults: [] };
}
