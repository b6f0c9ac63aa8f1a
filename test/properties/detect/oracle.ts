/**
 * What a rule means, by brute force: every assignment of calls to steps is tried. Written from the semantics in
 * detectors/rules/README.md, shares nothing with the matcher: steps stay as a person wrote them, repeated or optional.
 */

export interface OracleEvent {
  readonly id: string;
  readonly session: string;
  readonly class: string;
  /** Value of args.k; undefined = missing. */
  readonly k: string | undefined;
  readonly kind: 'call.intent' | 'call.result';
  readonly call: string;
  /** Effective time. */
  readonly timeMs: number;
  /** Running maximum of append times. */
  readonly appendMs: number;
  /** Position in the partition. */
  readonly offset: number;
}

export interface OracleSelection {
  readonly classes: readonly string[];
  readonly result: boolean;
}

export interface OracleStep extends OracleSelection {
  readonly gapMs: number | undefined;
  readonly optional: boolean;
  /** How often in a row; 1 and 1 for a step that is not repeated. */
  readonly min: number;
  readonly max: number;
}

export const OPERATORS = ['==', '!=', '<', '<=', '>', '>='] as const;
export interface OracleJoin {
  readonly a: number;
  readonly b: number;
  readonly operator: (typeof OPERATORS)[number];
}

export type OracleGuard =
  | {
      readonly kind: 'between';
      readonly selection: OracleSelection;
      readonly from: number;
      readonly to: number;
    }
  | {
      readonly kind: 'before' | 'after';
      readonly selection: OracleSelection;
      readonly step: number;
      readonly forMs: number;
    }
  | { readonly kind: 'until'; readonly selection: OracleSelection };

export interface OracleRule {
  readonly body: 'sequence' | 'all_of';
  readonly steps: readonly OracleStep[];
  readonly withinMs: number;
  readonly joins: readonly OracleJoin[];
  readonly guards: readonly OracleGuard[];
  readonly waitMs: number;
}

/** By step the calls that stand for it, in order; none for an optional step that was passed over. */
type Assignment = readonly (readonly OracleEvent[])[];
type Order = (a: OracleEvent, b: OracleEvent) => number;
/** Which order and which time an assignment is judged by. */
interface Basis {
  readonly order: Order;
  readonly timeOf: (event: OracleEvent) => number;
}

function fits(event: OracleEvent, selection: OracleSelection): boolean {
  return selection.classes.includes(event.class) && (event.kind === 'call.result') === selection.result;
}

function compare(operator: OracleJoin['operator'], a: string, b: string): boolean {
  if (operator === '==') return a === b;
  if (operator === '!=') return a !== b;
  const [x, y] = [Number(a), Number(b)];
  if (operator === '<') return x < y;
  if (operator === '<=') return x <= y;
  return operator === '>' ? x > y : x >= y;
}

function joined(rule: OracleRule, chosen: Assignment): boolean {
  return rule.joins.every(({ a, b, operator }) =>
    (chosen[a] ?? []).every((left) =>
      (chosen[b] ?? []).every(
        (right) => left.k !== undefined && right.k !== undefined && compare(operator, left.k, right.k),
      ),
    ),
  );
}

/** Runs of `count` further calls of a step, each after the one before and within its gap. */
function* runs(
  step: OracleStep,
  count: number,
  before: readonly OracleEvent[],
  pick: { readonly events: readonly OracleEvent[]; readonly basis: Basis },
): Generator<readonly OracleEvent[]> {
  if (count === 0) {
    yield [];
    return;
  }
  const { events, basis } = pick;
  const last = before.at(-1);
  for (const event of events) {
    if (!fits(event, step) || before.some((other) => other.call === event.call)) continue;
    if (last !== undefined) {
      if (basis.order(last, event) >= 0) continue;
      const gapMs = basis.timeOf(event) - basis.timeOf(last);
      if (step.gapMs !== undefined && gapMs > step.gapMs) continue;
    }
    for (const rest of runs(step, count - 1, [...before, event], pick)) yield [event, ...rest];
  }
}

function countsOf(step: OracleStep): number[] {
  const counts = Array.from({ length: step.max - step.min + 1 }, (_, index) => step.min + index);
  return step.optional ? [0, ...counts] : counts;
}

/** Every assignment of a sequence. */
function* sequences(
  rule: OracleRule,
  pick: { readonly events: readonly OracleEvent[]; readonly basis: Basis },
  chosen: Assignment = [],
): Generator<Assignment> {
  const step = rule.steps[chosen.length];
  if (step === undefined) {
    yield chosen;
    return;
  }
  for (const count of countsOf(step)) {
    for (const run of runs(step, count, chosen.flat(), pick)) yield* sequences(rule, pick, [...chosen, run]);
  }
}

/** Every choice of one call for each member of a set, in any order. */
function* sets(
  rule: OracleRule,
  events: readonly OracleEvent[],
  chosen: Assignment = [],
): Generator<Assignment> {
  const step = rule.steps[chosen.length];
  if (step === undefined) {
    yield chosen;
    return;
  }
  for (const event of events) {
    if (!fits(event, step) || chosen.flat().some((other) => other.call === event.call)) continue;
    yield* sets(rule, events, [...chosen, [event]]);
  }
}

/** Every assignment of distinct calls in order, inside the window, with all joins. */
function* assignments(rule: OracleRule, events: readonly OracleEvent[], basis: Basis): Generator<Assignment> {
  const all = rule.body === 'all_of' ? sets(rule, events) : sequences(rule, { events, basis });
  for (const chosen of all) {
    const calls = chosen.flat().toSorted(basis.order);
    const spanMs = basis.timeOf(calls.at(-1) as OracleEvent) - basis.timeOf(calls[0] as OracleEvent);
    if (spanMs <= rule.withinMs && joined(rule, chosen)) yield chosen;
  }
}

const byEventTime: Order = (a, b) => a.timeMs - b.timeMs || a.offset - b.offset;
const EVENT_TIME: Basis = { order: byEventTime, timeOf: (event) => event.timeMs };
const APPEND_TIME: Basis = { order: (a, b) => a.offset - b.offset, timeOf: (event) => event.appendMs };

type Ends = readonly [first: OracleEvent, last: OracleEvent];

function endsOf(chosen: Assignment, step: number): Ends {
  return [chosen[step]?.[0] as OracleEvent, chosen[step]?.at(-1) as OracleEvent];
}

const INSIDE: {
  readonly [Kind in OracleGuard['kind']]: (
    guard: Extract<OracleGuard, { kind: Kind }>,
    chosen: Assignment,
    event: OracleEvent,
  ) => boolean;
} = {
  between: ({ from, to }, chosen, event) =>
    // An event that is both guard and step kills first: the later end counts as inside.
    byEventTime(event, endsOf(chosen, from)[1]) > 0 && byEventTime(event, endsOf(chosen, to)[0]) <= 0,
  before: ({ step, forMs }, chosen, event) => {
    const [first] = endsOf(chosen, step);
    return byEventTime(event, first) < 0 && event.timeMs >= first.timeMs - forMs;
  },
  after: ({ step, forMs }, chosen, event) => {
    const [, last] = endsOf(chosen, step);
    return byEventTime(event, last) > 0 && event.timeMs <= last.timeMs + forMs;
  },
  until: (_, chosen, event) => {
    // Open at both ends: the first and the last call may be such an event themselves.
    const calls = chosen.flat().toSorted(byEventTime);
    return (
      byEventTime(event, calls[0] as OracleEvent) > 0 && byEventTime(event, calls.at(-1) as OracleEvent) < 0
    );
  },
};

function isInside(guard: OracleGuard, chosen: Assignment, event: OracleEvent): boolean {
  if (guard.kind === 'between') return INSIDE.between(guard, chosen, event);
  if (guard.kind === 'until') return INSIDE.until(guard, chosen, event);
  return guard.kind === 'before'
    ? INSIDE.before(guard as never, chosen, event)
    : INSIDE.after(guard as never, chosen, event);
}

function violates(rule: OracleRule, chosen: Assignment, event: OracleEvent): boolean {
  return rule.guards.some((guard) => fits(event, guard.selection) && isInside(guard, chosen, event));
}

/** Watermark from which an assignment is decided. */
function settlesAt(rule: OracleRule, chosen: Assignment): number {
  const deadlines = chosen.flatMap((calls, step) => {
    const after = rule.guards.map((guard) =>
      guard.kind === 'after' && guard.step === step ? guard.forMs : 0,
    );
    // The deadline of an absence runs from the last call of its step.
    return calls.map((event, index) =>
      Math.max(event.appendMs, event.timeMs + (index === calls.length - 1 ? Math.max(0, ...after) : 0)),
    );
  });
  return Math.max(...deadlines) + rule.waitMs;
}

const completing = (chosen: Assignment, order: Order): string =>
  (chosen.flat().toSorted(order).at(-1) as OracleEvent).id;

/** Ids of the completing events of all alerts of one session, given all events in the order of their arrival. */
export function expectedAlerts(rule: OracleRule, arrived: readonly OracleEvent[]): Set<string> {
  const ids = new Set<string>();
  if (rule.guards.length === 0) {
    for (const basis of [EVENT_TIME, APPEND_TIME]) {
      for (const chosen of assignments(rule, arrived, basis)) ids.add(completing(chosen, basis.order));
    }
    return ids;
  }
  for (const chosen of assignments(rule, arrived, EVENT_TIME)) {
    const settles = settlesAt(rule, chosen);
    // Decided by the first record whose append time reaches it, before that record's own event is seen.
    const decider = arrived.find((event) => event.appendMs >= settles);
    const known = arrived.filter((event) => decider === undefined || event.offset < decider.offset);
    if (!known.some((event) => violates(rule, chosen, event))) ids.add(completing(chosen, byEventTime));
  }
  return ids;
}
