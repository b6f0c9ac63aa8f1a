/**
 * A backtest over the calls that the sieve leaves tells what one over all of them tells, to the letter: for random rules
 * and for every shipped rule that is sifted, over streams with ties, late calls and sessions longer than the ring.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import { sift, type SiftedCalls } from '../../../detectors/engine/sieve.ts';
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { zConfig } from '../../../schemas/config/v1.ts';
import type { CallPart, CallRequest, CallSieve } from '../../../schemas/event/columns.ts';
import { EVENT_KINDS, TOOL_CLASSES } from '../../../schemas/event/v1.ts';
import { requestFor } from '../../../services/cli/stored-calls.ts';
import { Backtest, settingsOf } from '../../../services/detect/main.ts';
import { loadConfiguredRules } from '../../../services/detect/rules.ts';
import { BASE_MS, seeded, sha256Hex, type Random } from './streams.ts';

const config = zConfig.parse({});
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;

type Sifted = CallRequest & { readonly sieve: CallSieve };

/** The request of a rule that is sifted. */
function siftedRequest(rule: CompiledRule): Sifted | undefined {
  const request = requestFor(rule, config, {});
  return request?.sieve === undefined ? undefined : { ...request, sieve: request.sieve };
}

interface Shape {
  readonly kinds: readonly string[];
  readonly classes: readonly string[];
  readonly calls: number;
  readonly sessions: number;
  readonly stepMs: number;
  readonly lateMs: number;
}

/** Calls of one log: appended in order, with ties; a part of them late, now and then by more than the ring holds. */
function randomPart(random: Random, shape: Shape): CallPart {
  const part = {
    offset: [] as number[],
    line: [] as number[],
    appendMs: [] as number[],
    effectiveMs: [] as number[],
    kind: [] as number[],
    toolClass: [] as number[],
    seq: [] as number[],
  };
  const columns: Record<string, string[]> = {};
  let appendMs = BASE_MS;
  let offset = 0;
  for (let n = 0; n < shape.calls; n++) {
    const line = n > 0 && random(4) === 0 ? (part.line[n - 1] as number) + 1 : 0;
    if (line === 0) {
      appendMs += random(3) * random(shape.stepMs);
      offset++;
    }
    const late = random(3) === 0 ? random(shape.lateMs + 1) : random(8) === 0 ? -random(5_000) : 0;
    part.offset.push(offset);
    part.line.push(line);
    part.appendMs.push(appendMs);
    part.effectiveMs.push(appendMs - late);
    part.kind.push(EVENT_KINDS.indexOf(pick(random, shape.kinds) as (typeof EVENT_KINDS)[number]) + 1);
    part.toolClass.push(
      TOOL_CLASSES.indexOf(pick(random, shape.classes) as (typeof TOOL_CLASSES)[number]) + 1,
    );
    part.seq.push(n);
    const own: Record<string, string> = {
      session_id: `s${random(shape.sessions)}`,
      agent: `a${random(2)}`,
      stream: String(n).padStart(32, '0'),
      call_id: `c${n}`,
      tool: pick(random, ['t0', 't1', 'T2', 't3']),
      server: pick(random, ['web', 'vault']),
      dest_host: pick(random, ['', 'a.example']),
      outcome: pick(random, ['ok', 'tool_error', 'denied']),
      trace_id: '',
    };
    for (const [name, value] of Object.entries(own)) (columns[name] ??= []).push(value);
  }
  return { type: 'calls', tenant: 'default', partition: 0, ...part, columns };
}

/** Bits of the selections that a row may fit, as the tables judge it. */
function fitsOf(part: CallPart, at: number, { of }: CallRequest): number {
  const kind = EVENT_KINDS[(part.kind[at] as number) - 1] as (typeof EVENT_KINDS)[number];
  const toolClass = TOOL_CLASSES[(part.toolClass[at] as number) - 1] as (typeof TOOL_CLASSES)[number];
  return of.reduce((bits, { kinds, classes, equals }, n) => {
    const isEqual = (equals ?? []).every(({ column, cased, values }) => {
      const text = part.columns[column]?.[at] ?? '';
      return values.includes(cased ? text : text.toLowerCase());
    });
    const isFit = kinds.includes(kind) && (classes === null || classes.includes(toolClass)) && isEqual;
    return isFit ? bits | (1 << n) : bits;
  }, 0);
}

function picked(part: CallPart, at: readonly number[]): CallPart {
  const of = <T>(values: readonly T[]): T[] => at.map((index) => values[index] as T);
  return {
    ...part,
    offset: of(part.offset),
    line: of(part.line),
    appendMs: of(part.appendMs),
    effectiveMs: of(part.effectiveMs),
    kind: of(part.kind),
    toolClass: of(part.toolClass),
    seq: of(part.seq ?? []),
    columns: Object.fromEntries(Object.entries(part.columns).map(([name, values]) => [name, of(values)])),
  };
}

/** Numbers of the calls that the sieve leaves. */
function sifted(part: CallPart, request: Sifted): number[] {
  const fits = Uint32Array.from(part.offset, (_, at) => fitsOf(part, at, request));
  const own = [...fits.keys()].filter((at) => fits[at] !== 0);
  const names = new Map<string, number>();
  const numberOf = (at: number): number => {
    const name = part.columns['session_id']?.[at] ?? '';
    const known = names.get(name) ?? names.size;
    names.set(name, known);
    return known;
  };
  const session = Uint32Array.from(own, numberOf);
  const calls: SiftedCalls = {
    count: own.length,
    session,
    sessions: names.size,
    offset: Float64Array.from(own, (at) => part.offset[at] as number),
    line: Uint16Array.from(own, (at) => part.line[at] as number),
    effectiveMs: Float64Array.from(own, (at) => part.effectiveMs[at] as number),
    appendMs: Float64Array.from(own, (at) => part.appendMs[at] as number),
    fits: fits.filter((bits) => bits !== 0),
  };
  const kept = sift(calls, request.sieve);
  return own.filter((_, at) => kept[at] === 1);
}

function alertsOf(rule: CompiledRule, part: CallPart): readonly AlertBody[] {
  const run = new Backtest(settingsOf(config, [{ ...rule, mode: 'alert' }], 1), sha256);
  run.calls(part);
  run.end();
  return run.alerts().toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

interface Seen {
  alerts: number;
  calls: number;
  left: number;
  degraded: number;
}

function compare(rule: CompiledRule, request: Sifted, part: CallPart, seen: Seen): void {
  const whole = alertsOf(rule, part);
  const at = sifted(part, request);
  assert.deepEqual(alertsOf(rule, picked(part, at)), whole, rule.id);
  seen.alerts += whole.length;
  seen.degraded += whole.filter(({ ruleId }) => ruleId !== rule.id).length;
  seen.calls += part.offset.length;
  seen.left += at.length;
}

const shapes = (random: Random, of: Pick<Shape, 'kinds' | 'classes'>): Shape => ({
  ...of,
  calls: 300,
  sessions: pick(random, [1, 6, 40]),
  stepMs: pick(random, [50, 2_000, 60_000]),
  lateMs: pick(random, [0, 0, 900, 50_000, 200_000]),
});

const RULE_CLASSES = ['search', 'secret_read', 'external_post', 'delete'] as const;

function randomRule(random: Random, id: string): CompiledRule {
  const selection = (): string =>
    pick(random, [
      `{ tool.class: ${pick(random, RULE_CLASSES)} }`,
      `{ tool.class: [${pick(random, RULE_CLASSES)}, ${pick(random, RULE_CLASSES)}] }`,
      `{ tool.name: [t0, T2] }`,
      `{ tool.name|cased: t2, agent: A1 }`,
      `{ tool.class: ${pick(random, RULE_CLASSES)}, dest.host|not: '' }`,
    ]);
  const count = 2 + random(3);
  const steps = Array.from({ length: count }, (_, at) => `s${at}`);
  const isSet = random(4) === 0;
  const written = steps.map((name, at) => {
    if (isSet || at === 0 || at === count - 1) return name;
    return pick(random, [
      name,
      name,
      `{ event: ${name}, optional: true }`,
      `{ event: ${name}, repeat: { min: 1, max: 2 } }`,
    ]);
  });
  const policy = pick(random, [
    'every',
    'skip_past_last',
    '{ once_per: key, for: 3s }',
    '{ once_per: [key, s0.agent], for: 10m }',
  ]);
  const exception =
    random(4) === 0
      ? 'exceptions: [{ name: n, when: { agent: a1 }, owner: o, reason: r, expires: 2099-01-01T00:00:00.000Z }]\n'
      : '';
  const text = `id: ${id}
title: T
level: low
key: ${pick(random, ['session', 'session', '{ s: session, agent: agent }'])}
events:
${steps.map((name) => `  ${name}: ${selection()}`).join('\n')}
${isSet ? 'all_of' : 'sequence'}: [${written.join(', ')}]
within: ${pick(random, [300, 5_000, 60_000, 600_000])}ms
after_match: ${policy}
${exception}`;
  const { rules, faults } = loadRules([{ path: id, text }], { sha256Hex });
  assert.deepEqual(faults, [], text);
  return rules[0] as CompiledRule;
}

test('random rules over random streams', () => {
  const random = seeded(11);
  const seen: Seen = { alerts: 0, calls: 0, left: 0, degraded: 0 };
  let rules = 0;
  for (let n = 0; n < 250; n++) {
    const rule = randomRule(random, `sieve.${n}`);
    const request = siftedRequest(rule);
    if (request === undefined) continue;
    rules++;
    const part = randomPart(random, shapes(random, { kinds: ['call.intent'], classes: RULE_CLASSES }));
    compare(rule, request, part, seen);
  }
  console.log(`${rules} rules, ${JSON.stringify(seen)}`);
  assert.ok(rules > 220 && seen.alerts > 2_500 && seen.degraded > 0);
  assert.ok(seen.left < seen.calls * 0.8, 'it leaves something out');
});

test('every shipped rule that is sifted', () => {
  const random = seeded(12);
  const { rules } = loadConfiguredRules(config.rules);
  const seen: Seen = { alerts: 0, calls: 0, left: 0, degraded: 0 };
  const firing = new Set<string>();
  let count = 0;
  for (const rule of rules) {
    const request = siftedRequest(rule);
    if (request === undefined) continue;
    count++;
    const kinds = [...new Set(request.of.flatMap((of) => of.kinds))];
    const own = [...new Set(request.of.flatMap((of) => of.classes ?? TOOL_CLASSES))];
    for (let run = 0; run < 4; run++) {
      const before = seen.alerts;
      compare(rule, request, randomPart(random, shapes(random, { kinds, classes: [...own, 'other'] })), seen);
      if (seen.alerts > before) firing.add(rule.id);
    }
  }
  console.log(`${count} rules, ${firing.size} fired, ${JSON.stringify(seen)}`);
  assert.ok(count >= 3 && firing.size >= 2);
});
