/** Runs a rule on events at hand: its own tests, and `rules match` on a file of events. */
import { TOOL_CLASSES, type Event, type ToolClass } from '../../schemas/event/v1.ts';
import { durationMs, type RuleTest, type TestEvent } from '../../schemas/rule/v1.ts';
import type { Condition } from '../compile/predicate.ts';
import type { CompiledRule, Selection } from '../compile/rule.ts';
import { arrivalsOf, DEFAULT_LATE_WAIT_MS, feedArrivals, type Arrival } from './arrivals.ts';
import { Engine } from './engine.ts';
import type { Match } from './finding.ts';
import { chainOf } from './prefixes.ts';

export interface RuleTestResult {
  readonly name: string;
  readonly passed: boolean;
  /** Positions of the completing events; or what kept the test from running. */
  readonly expected: readonly number[];
  readonly actual: readonly number[];
  readonly fault?: string;
}

const BASE_MS = 1_750_000_000_000;

function newEngine(rule: CompiledRule): Engine {
  const unlimited = Number.MAX_SAFE_INTEGER;
  return new Engine([rule], {
    lateWaitMs: DEFAULT_LATE_WAIT_MS,
    maxStates: unlimited,
    maxStatesPerTenant: unlimited,
  });
}

function runArrivals(rule: CompiledRule, arrivals: readonly Arrival[]): Match[] {
  const engine = newEngine(rule);
  feedArrivals(engine, arrivals);
  engine.advance(Number.MAX_SAFE_INTEGER);
  // Told by append time and again by event time: one match.
  const byCompleting = new Map<string, Match>();
  for (const finding of engine.take()) {
    if (finding.kind !== 'match') continue;
    const id = `${finding.keyText} ${finding.completed.last.entry.reference.eventId}`;
    if (!byCompleting.has(id)) byCompleting.set(id, finding);
  }
  return [...byCompleting.values()];
}

/** Alerts of a rule over events in the order in which they came: ids of the calls in step order, one entry a match. */
export function matchEvents(
  rule: CompiledRule,
  events: readonly Event[],
): { readonly ids: readonly string[] }[] {
  return runArrivals(rule, arrivalsOf(events)).map((match) => ({
    ids: chainOf(match.completed.last).map(({ entry }) => entry.reference.eventId),
  }));
}

/** A value that fits a condition, undefined where leaving the field out does. */
function fittingValue(condition: Condition): unknown {
  const first = condition.values[0];
  if (condition.operator === 'exists') return first !== condition.negated ? 'x' : undefined;
  if (condition.negated) return undefined;
  if (condition.operator === 'gt') return Number(first) + 1;
  if (condition.operator === 'lt') return Number(first) - 1;
  return condition.operator.endsWith('|all') ? condition.values.join(' ') : first;
}

const ROOTS: Readonly<Record<string, string>> = {
  'event.kind': 'kind',
  'tool.name': 'tool',
  'tool.server': 'server',
  session_id: 'session',
  agent_id: 'agent',
  call_id: 'callId',
  args_hash: 'argsHash',
  duration_ms: 'durationMs',
  schema_valid: 'schemaValid',
  'dest.host': 'args.url',
  'mcp.method': 'method',
  decision_id: 'decisionId',
  'mcp.task_id': 'mcp.taskId',
  'mcp.task_status': 'mcp.taskStatus',
  'policy.change': 'policyChange.state',
  'policy.previous_hash': 'policyChange.previousHash',
  'policy.previous_mode': 'policyChange.previousMode',
  'alert.rule': 'alert.ruleId',
  'alert.rule_hash': 'alert.ruleHash',
};

function setPath(target: Record<string, unknown>, path: string, value: unknown): void {
  const parts = (ROOTS[path] ?? path).split('.');
  const last = parts.pop() as string;
  let at = target;
  for (const part of parts) {
    const next = at[part];
    at = (typeof next === 'object' && next !== null ? next : (at[part] = {})) as Record<string, unknown>;
  }
  at[last] = path === 'dest.host' && typeof value === 'string' ? `https://${value}/` : value;
}

function toolClassOf(selection: Selection, set: Readonly<Record<string, unknown>>): ToolClass {
  const wanted = set['tool.class'] ?? selection.classes?.[0];
  return TOOL_CLASSES.find((name) => name === wanted) ?? 'other';
}

function eventOfSelection(
  selection: Selection,
  set: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const event: Record<string, unknown> = {
    kind: selection.kinds[0] ?? 'call.intent',
    tool: selection.name,
    args: {},
  };
  for (const condition of selection.conditions) {
    const value = fittingValue(condition);
    if (value !== undefined && condition.field !== 'tool.class') setPath(event, condition.field, value);
  }
  for (const [field, value] of Object.entries(set)) {
    if (field !== 'tool.class') setPath(event, field, value);
  }
  return event;
}

/** A stream of its own for each event that names none, so that the clock of one never holds back another. */
function streamOf(index: number): string {
  return index.toString(16).padStart(32, '0');
}

interface TestCall {
  readonly own: Readonly<Record<string, unknown>>;
  readonly toolClass: ToolClass | undefined;
}

function testCallOf(rule: CompiledRule, source: TestEvent): TestCall {
  if (!('e' in source)) return { own: source.event, toolClass: undefined };
  const selection = rule.selections.get(source.e);
  const set = source.set ?? {};
  if (selection === undefined) return { own: {}, toolClass: undefined };
  return { own: eventOfSelection(selection, set), toolClass: toolClassOf(selection, set) };
}

function arrivalOf(rule: CompiledRule, source: TestEvent, index: number): Arrival {
  const atMs = (text: string): number => BASE_MS + (durationMs(text) ?? 0);
  const { own, toolClass } = testCallOf(rule, source);
  const event = {
    v: 1,
    kind: 'call.intent',
    nonce: '0'.repeat(32),
    time: new Date(atMs(source.t)).toISOString(),
    agent: 'a1',
    callId: `call-${index}`,
    ...own,
    ...(source.agent === undefined ? {} : { agent: source.agent }),
    session: source.session ?? 's1',
    stream: typeof own['stream'] === 'string' ? own['stream'] : streamOf(index),
    seq: index,
  } as Event;
  return { event, timeMs: atMs(source.t), appendMs: atMs(source.arrives ?? source.t), toolClass };
}

function runRuleTest(rule: CompiledRule, test: RuleTest): RuleTestResult {
  const arrivals = test.events.map((event, index) => arrivalOf(rule, event, index));
  const positions = new Map(arrivals.map(({ event }, index) => [`${event.stream}-${event.seq}`, index]));
  const actual = runArrivals(rule, arrivals)
    .map((match) => positions.get(match.completed.last.entry.reference.eventId) ?? -1)
    .toSorted((a, b) => a - b);
  const passed = JSON.stringify(actual) === JSON.stringify(test.expect);
  return { name: test.name, passed, expected: test.expect, actual };
}

/** Runs the tests that a rule brings along; empty when it brings none. */
export function runRuleTests(rule: CompiledRule): RuleTestResult[] {
  return rule.tests.map((test) => runRuleTest(rule, test));
}
