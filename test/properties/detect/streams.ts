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
import type { OracleEvent, OracleRule, OracleSelection } from './oracle.ts';

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
  return { classes: random(3) === 0 ? [one, two] : [one], result: results && random(3) === 0 };
}

function randomGuards(random: Random, steps: number, results: boolean): OracleRule['guards'] {
  if (random(2) === 0) return [];
  return Array.from({ length: 1 + random(2) }, () => {
    const selection = randomSelection(random, results);
    const kind = (['between', 'before', 'after'] as const)[random(3)] ?? 'before';
    if (kind === 'between' && steps > 1) {
      const from = random(steps - 1);
      return { kind, selection, from, to: from + 1 + random(steps - from - 1) };
    }
    const side = kind === 'after' ? kind : 'before';
    return { kind: side, selection, step: random(steps), forMs: random(6) * 500 };
  });
}

function selectionText(selection: OracleSelection): Record<string, unknown> {
  return { 'tool.class': selection.classes, ...(selection.result ? { 'outcome|exists': true } : {}) };
}

/** The rule as a person would write it. */
function sourceOf(rule: OracleRule, id: string): unknown {
  const events: Record<string, unknown> = {};
  rule.steps.forEach((step, index) => (events[`s${index}`] = selectionText(step)));
  rule.guards.forEach((guard, index) => (events[`g${index}`] = selectionText(guard.selection)));
  return {
    id,
    title: id,
    level: 'low',
    key: 'session',
    events,
    sequence: rule.steps.map((_, index) => {
      const gap = rule.gapsMs[index];
      return gap === undefined ? `s${index}` : { event: `s${index}`, within: `${gap}ms` };
    }),
    within: `${rule.withinMs}ms`,
    join: rule.joins.map(({ a, b, equal }) => `s${a}.args.k ${equal ? '==' : '!='} s${b}.args.k`),
    without: rule.guards.map((guard, index) =>
      guard.kind === 'between'
        ? { event: `g${index}`, between: [`s${guard.from}`, `s${guard.to}`] }
        : { event: `g${index}`, [guard.kind]: `s${guard.step}`, for: `${guard.forMs}ms` },
    ),
    late: { wait: `${WAIT_MS}ms` },
  };
}

export function randomRule(random: Random, id: string): RandomRule {
  const steps = 1 + random(4);
  const results = random(4) === 0;
  const joins =
    steps > 1 && random(3) === 0
      ? Array.from({ length: 1 + random(2) }, () => {
          const a = random(steps - 1);
          return { a, b: a + 1 + random(steps - a - 1), equal: random(2) === 0 };
        })
      : [];
  const oracle: OracleRule = {
    steps: Array.from({ length: steps }, () => randomSelection(random, results)),
    withinMs: 500 * (1 + random(10)),
    gapsMs: Array.from({ length: steps }, (_, index) =>
      index > 0 && random(4) === 0 ? 500 * random(6) : undefined,
    ),
    joins,
    guards: randomGuards(random, steps, results),
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
      k: (['x', 'y', undefined] as const)[random(3)],
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
  stage.engine.advance(Number.MAX_SAFE_INTEGER);
  collect();
  return found;
}
