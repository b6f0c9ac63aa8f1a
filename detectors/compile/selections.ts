/** Selections of a rule: `field|modifier: values` maps → tests, with what they can match at all worked out. */
import { TOOL_CLASSES, type ToolClass } from '../../schemas/event/v1.ts';
import type { SelectionFields } from '../../schemas/rule/v1.ts';
import type { Compilation, Place } from './compilation.ts';
import { fieldReader } from './fields.ts';
import { conditionTest, parseCondition, type Condition, type Test } from './predicate.ts';
import { RULE_KINDS, type RuleKind, type Selection } from './rule.ts';

const CALL_KINDS: readonly RuleKind[] = ['call.intent'];
const RESULT_KINDS: readonly RuleKind[] = ['call.result'];
const MESSAGE_KINDS: readonly RuleKind[] = ['mcp.request'];
const MESSAGE_RESULT_KINDS: readonly RuleKind[] = ['mcp.result'];

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

/** Kinds that one map asks for; `byResult` where something else of the rule reads the result of this event. */
function kindsOf(conditions: readonly Condition[], byResult: boolean): readonly RuleKind[] {
  const named = allowedValues(conditions, 'event.kind');
  if (named !== undefined) return RULE_KINDS.filter((kind) => named.includes(kind));
  if (conditions.some((condition) => condition.field.startsWith('alert.'))) return ['alert'];
  const ofResult = byResult || readsResult(conditions);
  if (conditions.some((condition) => condition.field.startsWith('mcp.')))
    return ofResult ? MESSAGE_RESULT_KINDS : MESSAGE_KINDS;
  if (conditions.some((condition) => condition.field.startsWith('peer.'))) return ['peer.info'];
  return ofResult ? RESULT_KINDS : CALL_KINDS;
}

interface Alternative {
  readonly conditions: readonly Condition[];
  readonly kinds: readonly RuleKind[];
  readonly classes: readonly ToolClass[] | undefined;
}

function alternativeOf(
  c: Compilation,
  fields: SelectionFields,
  place: { readonly at: Place; readonly byResult: boolean },
): Alternative {
  const conditions: Condition[] = [];
  for (const [key, values] of Object.entries(fields)) {
    const outcome = parseCondition(key, values, c.lists, c.areTried);
    if (outcome.kind === 'condition') conditions.push(outcome.condition);
    else c.fault([...place.at, key], outcome.message, outcome.hint);
  }
  const kinds = kindsOf(conditions, place.byResult);
  if (kinds.length === 0) c.fault(place.at, 'matches no kind of event', `kinds are ${RULE_KINDS.join(', ')}`);
  const classes = allowedValues(conditions, 'tool.class');
  const unknown = classes?.find((value) => !(TOOL_CLASSES as readonly string[]).includes(value));
  if (unknown !== undefined) {
    c.fault(place.at, `there is no tool class ${unknown}`, `classes are ${TOOL_CLASSES.join(', ')}`);
  }
  return {
    conditions,
    kinds,
    classes: classes === undefined ? undefined : TOOL_CLASSES.filter((value) => classes.includes(value)),
  };
}

const canonicalOf = (conditions: readonly Condition[]): string[] =>
  conditions.map((condition) => JSON.stringify(canonicalCondition(condition))).toSorted();

function canonicalCondition(condition: Condition): readonly unknown[] {
  const values = condition.values.map((value) => JSON.stringify(value)).toSorted();
  return [condition.field, condition.operator, condition.negated, condition.cased, values];
}

const testsOf = (conditions: readonly Condition[]): Test[] =>
  conditions.filter((condition) => !isIndexed(condition, conditions)).map(conditionTest);

/** Any of several maps: kinds and classes of each are tested with it, since the index knows only what all allow. */
function anyTest(alternatives: readonly Alternative[]): Test {
  const parts = alternatives.map(({ conditions, kinds, classes }) => ({
    kinds: kinds as readonly string[],
    classes: classes as readonly string[] | undefined,
    tests: testsOf(conditions),
  }));
  return (source) =>
    parts.some(
      ({ kinds, classes, tests }) =>
        // An alert inside the matcher has no kind of its own among the events'.
        kinds.includes(source.event.kind ?? 'alert') &&
        (classes === undefined || classes.includes(source.toolClass)) &&
        tests.every((test) => test(source)),
    );
}

const WHOLE_BODIES: readonly string[] = ['args_text', 'result_text'];

function readsBody(conditions: readonly Condition[]): boolean {
  const ofBodies = conditions.filter(({ field }) => WHOLE_BODIES.includes(field));
  return ofBodies.length > 0 && ofBodies.every(({ negated }) => !negated);
}

function joined(c: Compilation, name: string, alternatives: readonly Alternative[]): Selection {
  const [first] = alternatives as readonly [Alternative, ...Alternative[]];
  const kinds = RULE_KINDS.filter((kind) => alternatives.some((each) => each.kinds.includes(kind)));
  const classes = alternatives.some((each) => each.classes === undefined)
    ? undefined
    : TOOL_CLASSES.filter((value) => alternatives.some((each) => each.classes?.includes(value)));
  const canonical =
    alternatives.length === 1
      ? canonicalOf(first.conditions)
      : alternatives.map((each) => JSON.stringify([each.kinds, canonicalOf(each.conditions)])).toSorted();
  return {
    name,
    hash: c.options.sha256Hex(JSON.stringify([kinds, canonical])).slice(0, 16),
    conditions: first.conditions,
    maps: alternatives.map((each) => each.conditions),
    // What kinds and classes say is settled before a test runs: the matcher looks selections up by both.
    tests: alternatives.length === 1 ? testsOf(first.conditions) : [anyTest(alternatives)],
    kinds,
    classes,
    readsResult: kinds.includes('call.result') || kinds.includes('mcp.result'),
    readsBody: readsBody(alternatives.flatMap((each) => each.conditions)),
  };
}

/** The selection of a map or a list of maps. Faults go to the compilation. */
export function compileSelection(
  c: Compilation,
  name: string,
  raw: SelectionFields | readonly SelectionFields[],
  place: { readonly at: Place; readonly byResult: boolean },
): Selection {
  const maps = Array.isArray(raw) ? (raw as readonly SelectionFields[]) : [raw as SelectionFields];
  const alternatives = maps.map((fields, index) =>
    alternativeOf(c, fields, maps.length === 1 ? place : { ...place, at: [...place.at, index] }),
  );
  return joined(c, name, alternatives);
}
