/** Random rules and streams for the comparison with the oracle; all from one seed. */
import { createHash } from 'node:crypto';
import { zRule } from '../../../schemas/rule/v1.ts';
import { FORMAT_EVENTS, FORMAT_TICK, HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { compileRule } from '../../../detectors/compile/compile.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import {
  StageOne,
  type DetectSettings,
  type SourceRecord,
  type StageOneSnapshot,
} from '../../../services/detect/step.ts';
import {
  OPERATORS,
  type OracleEvent,
  type OracleGuard,
  type OracleJoin,
  type OracleRule,
  type OracleSelection,
  type OracleStep,
} from './oracle.ts';

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const CLASSES = ['search', 'secret_read', 'external_post', 'delete'] as const;
const WAIT_MS = 1_000;
export const BASE_MS = 1_750_000_000_000;

export type Random = (below: number) => number;
/** mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

export interface RandomRule {
  readonly oracle: OracleRule;
  readonly compiled: CompiledRule;
}

function randomSelection(random: Random, results: boolean): OracleSelection {
  const one = CLASSES[random(4)] as string;
  const two = CLASSES[random(4)] as string;
  return { classes: random(2) === 0 ? [one, two] : [one], result: results && random(3) === 0 };
}

function randomStep(
  random: Random,
  place: { readonly inner: boolean; readonly index: number; readonly results: boolean },
): OracleStep {
  const { inner, index, results } = place;
  const roll = random(8);
  const min = roll === 0 ? 1 + random(3) : 1;
  return {
    ...randomSelection(random, results),
    gapMs: (index > 0 || roll === 0) && random(4) === 0 ? 500 * random(6) : undefined,
    optional: inner && roll === 1,
    min,
    max: roll === 0 ? min + random(2) : min,
  };
}

/** Steps at which a guard may end: those that every assignment has a fixed number of calls for. */
function fixedSteps(steps: readonly OracleStep[]): number[] {
  return steps.flatMap((step, index) => (step.optional || step.min !== step.max ? [] : [index]));
}

function randomGuards(random: Random, steps: readonly OracleStep[], shape: Shape): readonly OracleGuard[] {
  if (random(2) === 0) return [];
  const fixed = fixedSteps(steps);
  const guards = Array.from({ length: 1 + random(2) }, (): OracleGuard[] => {
    const selection = randomSelection(random, shape.results);
    const kind = (['between', 'before', 'after'] as const)[random(3)] ?? 'before';
    if (kind === 'between' && fixed.length > 1 && shape.body === 'sequence') {
      const at = random(fixed.length - 1);
      const to = fixed[at + 1 + random(fixed.length - at - 1)] as number;
      return [{ kind, selection, from: fixed[at] as number, to }];
    }
    const step = fixed[random(fixed.length)];
    if (step === undefined) return [];
    return [{ kind: kind === 'after' ? kind : 'before', selection, step, forMs: random(6) * 500 }];
  }).flat();
  // `until` stands once in a rule, and last.
  const until: OracleGuard[] =
    random(4) === 0 ? [{ kind: 'until', selection: randomSelection(random, shape.results) }] : [];
  return [...guards, ...until];
}

function selectionText(selection: OracleSelection): Record<string, unknown> {
  return { 'tool.class': selection.classes, ...(selection.result ? { 'outcome|exists': true } : {}) };
}

function stepText(step: OracleStep, index: number): unknown {
  const event = `s${index}`;
  const repeat = step.min === 1 && step.max === 1 ? {} : { repeat: { min: step.min, max: step.max } };
  const within = step.gapMs === undefined ? {} : { within: `${step.gapMs}ms` };
  const text = { event, ...within, ...repeat, ...(step.optional ? { optional: true } : {}) };
  return Object.keys(text).length === 1 ? event : text;
}

function guardText(guard: OracleGuard, index: number): unknown[] {
  if (guard.kind === 'until') return [];
  const event = `g${index}`;
  if (guard.kind === 'between') return [{ event, between: [`s${guard.from}`, `s${guard.to}`] }];
  return [{ event, [guard.kind]: `s${guard.step}`, for: `${guard.forMs}ms` }];
}

/** The rule as a person would write it. */
function sourceOf(rule: OracleRule, id: string): unknown {
  const events: Record<string, unknown> = {};
  rule.steps.forEach((step, index) => (events[`s${index}`] = selectionText(step)));
  rule.guards.forEach((guard, index) => (events[`g${index}`] = selectionText(guard.selection)));
  const until = rule.guards.findIndex((guard) => guard.kind === 'until');
  return {
    id,
    title: id,
    level: 'low',
    key: 'session',
    events,
    [rule.body]: rule.steps.map((step, index) =>
      rule.body === 'all_of' ? `s${index}` : stepText(step, index),
    ),
    within: `${rule.withinMs}ms`,
    join: rule.joins.map(({ a, b, operator }) => `s${a}.args.k ${operator} s${b}.args.k`),
    without: rule.guards.flatMap(guardText),
    ...(until < 0 ? {} : { until: `g${until}` }),
    late: { wait: `${WAIT_MS}ms` },
  };
}

interface Shape {
  readonly body: OracleRule['body'];
  readonly results: boolean;
}

function randomJoins(random: Random, steps: number): OracleJoin[] {
  if (steps < 2 || random(2) !== 0) return [];
  return Array.from({ length: 1 + random(2) }, () => {
    const a = random(steps - 1);
    const b = a + 1 + random(steps - a - 1);
    const operator = OPERATORS[random(3) === 0 ? random(OPERATORS.length) : random(2)] ?? '==';
    return { a, b, operator };
  });
}

export function randomRule(random: Random, id: string): RandomRule {
  const results = random(4) === 0;
  const body = random(5) === 0 ? 'all_of' : 'sequence';
  const count = body === 'all_of' ? 2 + random(3) : 1 + random(4);
  const steps = Array.from({ length: count }, (_, index): OracleStep =>
    body === 'all_of'
      ? { ...randomSelection(random, results), gapMs: undefined, optional: false, min: 1, max: 1 }
      : randomStep(random, { inner: index > 0 && index < count - 1, index, results }),
  );
  const oracle: OracleRule = {
    body,
    steps,
    withinMs: 500 * (1 + random(10)),
    joins: randomJoins(random, count),
    guards: randomGuards(random, steps, { body, results }),
    waitMs: WAIT_MS,
  };
  const outcome = compileRule(zRule.parse(sourceOf(oracle, id)), id, { sha256Hex });
  if (outcome.rule === undefined) throw new Error(JSON.stringify(outcome.faults));
  return { oracle, compiled: outcome.rule };
}

export interface RandomStream {
  readonly events: readonly OracleEvent[];
  /** Events as records, with duplicates and TICKs in between. */
  readonly records: readonly SourceRecord[];
}

interface Draft {
  readonly event: Omit<OracleEvent, 'appendMs' | 'offset' | 'id'>;
  /** One a call: intent and results are told apart by seq. */
  readonly stream: string;
  readonly seq: number;
  /** What the producer claims; the event holds the effective time. */
  readonly claimedMs: number;
}

function recordOf(draft: Draft, place: { readonly offset: number; readonly appendMs: number }): SourceRecord {
  const { event, stream, seq, claimedMs } = draft;
  const body = {
    v: 1,
    kind: event.kind,
    stream,
    seq,
    nonce: '0'.repeat(32),
    time: new Date(claimedMs).toISOString(),
    session: event.session,
    agent: 'a',
    callId: event.call,
    tool: event.class,
    args: event.k === undefined ? {} : { k: event.k },
    ...(event.kind === 'call.result' ? { outcome: 'ok' } : {}),
  };
  return {
    topic: TOPICS.toolcalls.name,
    partition: 0,
    ...place,
    headers: {
      [HEADERS.format]: FORMAT_EVENTS,
      [HEADERS.tenant]: 'default',
      [HEADERS.stream]: stream,
      [HEADERS.firstSeq]: String(seq),
    },
    value: new TextEncoder().encode(JSON.stringify(body)),
  };
}

/** A record that matches nothing but moves the watermark. */
function blank(place: { readonly offset: number; readonly appendMs: number }): OracleEvent {
  return { id: '', session: '', class: '', k: undefined, kind: 'call.intent', call: '', timeMs: 0, ...place };
}

function tickRecord(place: { readonly offset: number; readonly appendMs: number }): SourceRecord {
  const headers = { [HEADERS.format]: FORMAT_TICK };
  return { topic: TOPICS.toolcalls.name, partition: 0, ...place, headers, value: new Uint8Array(0) };
}

/** A third are late; a few have a clock that runs ahead, less than is believed. */
function randomSkewMs(random: Random): number {
  return [random(8) * -500, 0, random(4) * 500, 0, 0, random(8) * -500][random(6)] ?? 0;
}

/** A new call, or the next result of one that `drafts` holds. */
function randomDraft(
  random: Random,
  drafts: readonly Draft[],
  appendMs: number,
  of: Draft | undefined,
): Draft {
  const claimedMs = appendMs + randomSkewMs(random);
  const own = of === undefined ? [] : drafts.filter((draft) => draft.stream === of.stream);
  const call = of?.event.call ?? `c${drafts.length}`;
  return {
    stream: sha256Hex(call).slice(0, 32),
    seq: own.length,
    claimedMs,
    event: {
      session: of?.event.session ?? (random(5) === 0 ? 'other' : 'main'),
      class: of?.event.class ?? (CLASSES[random(4)] as string),
      k: (['2', '10', '10', undefined] as const)[random(4)],
      kind: of === undefined ? 'call.intent' : 'call.result',
      call,
      timeMs: own.reduce((least, draft) => Math.max(least, draft.event.timeMs), claimedMs),
    },
  };
}

/** Ties, late events, clocks that run ahead, duplicates, TICKs, two sessions. */
export function randomStream(random: Random): RandomStream {
  const events: OracleEvent[] = [];
  const records: SourceRecord[] = [];
  const drafts: Draft[] = [];
  let appendMs = BASE_MS;
  for (let left = 3 + random(8); left > 0; left--) {
    appendMs += random(4) * 500;
    const place = { offset: records.length, appendMs };
    const roll = random(12);
    const again = drafts[random(drafts.length)];
    if (roll === 0) records.push(tickRecord(place));
    else if (roll === 1 && again !== undefined) records.push(recordOf(again, place));
    else {
      const draft = randomDraft(random, drafts, appendMs, roll < 5 ? again : undefined);
      drafts.push(draft);
      records.push(recordOf(draft, place));
      events.push({ ...draft.event, id: `${draft.stream}-${draft.seq}`, ...place });
      continue;
    }
    events.push(blank(place));
  }
  return { events, records };
}

export function settingsFor(rules: readonly CompiledRule[]): DetectSettings {
  return {
    rules,
    engine: { lateWaitMs: WAIT_MS, maxStates: 1_000_000, maxStatesPerTenant: 1_000_000 },
    // Classes are given by tool name, so that the test does not lean on the name table.
    mappings: CLASSES.map((name) => ({ tool: name, class: name })),
    internalHosts: [],
    sha256Hex,
    sha256: (bytes) => createHash('sha256').update(bytes).digest(),
  };
}

/** Completing events by rule id; with `restartAt`, through a snapshot as JSON before that record. */
export function runStageOne(
  settings: DetectSettings,
  records: readonly SourceRecord[],
  restartAt?: number,
): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  let stage = new StageOne(settings);
  const collect = (): void => {
    for (const finding of stage.takeFindings()) {
      if (finding.kind !== 'match') continue;
      const ids = found.get(finding.rule.id) ?? new Set();
      ids.add(finding.completed.last.entry.reference.eventId);
      found.set(finding.rule.id, ids);
    }
  };
  records.forEach((record, index) => {
    if (index === restartAt) {
      collect();
      stage = new StageOne(settings, JSON.parse(JSON.stringify(stage.snapshot())) as StageOneSnapshot);
    }
    stage.process(record);
  });
  stage.finish();
  collect();
  return found;
}
