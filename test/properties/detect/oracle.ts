/**
 * What a rule means, by brute force: every assignment of calls to steps is tried. Written from the semantics in
 * detectors/rules/README.md, shares nothing with the matcher.
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
export interface OracleRule {
  readonly steps: readonly OracleSelection[];
  readonly withinMs: number;
  readonly gapsMs: readonly (number | undefined)[];
  readonly joins: readonly { readonly a: number; readonly b: number; readonly equal: boolean }[];
  readonly guards: readonly (
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
  )[];
  readonly waitMs: number;
}

function fits(event: OracleEvent, selection: OracleSelection): boolean {
  return selection.classes.includes(event.class) && (event.kind === 'call.result') === selection.result;
}

type Order = (a: OracleEvent, b: OracleEvent) => number;
/** Which order and which time an assignment is judged by. */
interface Basis {
  readonly order: Order;
  readonly timeOf: (event: OracleEvent) => number;
}

function inTime(rule: OracleRule, all: readonly OracleEvent[], basis: Basis): boolean {
  const step = all.length - 1;
  const event = all[step] as OracleEvent;
  const before = all[step - 1];
  if (before === undefined) return true;
  if (basis.order(before, event) >= 0) return false;
  if (basis.timeOf(event) - basis.timeOf(all[0] as OracleEvent) > rule.withinMs) return false;
  return basis.timeOf(event) - basis.timeOf(before) <= (rule.gapsMs[step] ?? Number.POSITIVE_INFINITY);
}

function joined(rule: OracleRule, all: readonly OracleEvent[]): boolean {
  return rule.joins.every(({ a, b, equal }) => {
    const left = all[a];
    const right = all[b];
    if (left === undefined || right === undefined) return true;
    return left.k !== undefined && right.k !== undefined && (left.k === right.k) === equal;
  });
}

/** Every assignment of distinct calls in increasing order, inside all windows, with all joins. */
function* assignments(
  rule: OracleRule,
  events: readonly OracleEvent[],
  basis: Basis,
  chosen: readonly OracleEvent[] = [],
): Generator<readonly OracleEvent[]> {
  const selection = rule.steps[chosen.length];
  if (selection === undefined) {
    yield chosen;
    return;
  }
  for (const event of events) {
    if (!fits(event, selection) || chosen.some((other) => other.call === event.call)) continue;
    const all = [...chosen, event];
    if (inTime(rule, all, basis) && joined(rule, all)) yield* assignments(rule, events, basis, all);
  }
}

const byEventTime: Order = (a, b) => a.timeMs - b.timeMs || a.offset - b.offset;
const EVENT_TIME: Basis = { order: byEventTime, timeOf: (event) => event.timeMs };
const APPEND_TIME: Basis = { order: (a, b) => a.offset - b.offset, timeOf: (event) => event.appendMs };

function violates(rule: OracleRule, chosen: readonly OracleEvent[], guardEvent: OracleEvent): boolean {
  return rule.guards.some((guard) => {
    if (!fits(guardEvent, guard.selection)) return false;
    if (guard.kind === 'between') {
      const from = chosen[guard.from] as OracleEvent;
      const to = chosen[guard.to] as OracleEvent;
      // An event that is both guard and step kills first: the later end counts as inside.
      return byEventTime(guardEvent, from) > 0 && byEventTime(guardEvent, to) <= 0;
    }
    const step = chosen[guard.step] as OracleEvent;
    if (guard.kind === 'before') {
      return byEventTime(guardEvent, step) < 0 && guardEvent.timeMs >= step.timeMs - guard.forMs;
    }
    return byEventTime(guardEvent, step) > 0 && guardEvent.timeMs <= step.timeMs + guard.forMs;
  });
}

/** Watermark from which an assignment is decided. */
function settlesAt(rule: OracleRule, chosen: readonly OracleEvent[]): number {
  return (
    Math.max(
      ...chosen.map((event, step) => {
        const after = rule.guards.map((guard) =>
          guard.kind === 'after' && guard.step === step ? guard.forMs : 0,
        );
        return Math.max(event.appendMs, event.timeMs + Math.max(0, ...after));
      }),
    ) + rule.waitMs
  );
}

/** Ids of the completing events of all alerts of one session, given all events in the order of their arrival. */
export function expectedAlerts(rule: OracleRule, arrived: readonly OracleEvent[]): Set<string> {
  const completing = new Set<string>();
  const last = rule.steps.length - 1;
  if (rule.guards.length === 0) {
    for (const chosen of assignments(rule, arrived, EVENT_TIME)) {
      completing.add((chosen[last] as OracleEvent).id);
    }
    for (const chosen of assignments(rule, arrived, APPEND_TIME)) {
      completing.add((chosen[last] as OracleEvent).id);
    }
    return completing;
  }
  for (const chosen of assignments(rule, arrived, EVENT_TIME)) {
    const settles = settlesAt(rule, chosen);
    // Decided by the first record whose append time reaches it, before that record's own event is seen.
    const decider = arrived.find((event) => event.appendMs >= settles);
    const known = arrived.filter((event) => decider === undefined || event.offset < decider.offset);
    if (!known.some((event) => violates(rule, chosen, event)))
      completing.add((chosen[last] as OracleEvent).id);
  }
  return completing;
}
