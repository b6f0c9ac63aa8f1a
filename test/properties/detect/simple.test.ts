/**
 * Rules without comparisons, guards and gaps share a row of state by key. The same rule with an exception that never
 * fits keeps a state of its own: both must tell the same, over streams that are long for a key.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import { compact } from '../../../detectors/engine/simple-compact.ts';
import type { SimpleRow } from '../../../detectors/engine/simple-row.ts';
import { isSimple } from '../../../detectors/engine/simple-group.ts';
import { planRule } from '../../../detectors/engine/plan.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { StageOne, type SourceRecord, type StageOneSnapshot } from '../../../services/detect/step.ts';
import { recordFrom, toldBy } from './records.ts';
import { BASE_MS, seeded, settingsFor, sha256Hex, type Random } from './streams.ts';

const TOOLS = ['t0', 't1', 't2', 't3', 't4', 't5'] as const;
const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;

interface RuleText {
  readonly id: string;
  readonly key: string;
  readonly steps: readonly string[];
  readonly within: string;
  readonly policy: string;
}

function randomRules(random: Random): RuleText[] {
  // A few first selections that rules share; a call may fit several steps.
  const firsts = ['t0', '[t0, t1]'];
  const tools = (): string =>
    random(4) === 0 ? `[${pick(random, TOOLS)}, ${pick(random, TOOLS)}]` : pick(random, TOOLS);
  return Array.from({ length: 1 + random(6) }, (_, index) => ({
    id: `r.${index}`,
    key: pick(random, [
      'session',
      'session',
      '{ s: session, path: args.path }',
      '{ s: session, path: args.path? }',
    ]),
    steps: Array.from({ length: 1 + random(4) }, (_step, at) => (at === 0 ? pick(random, firsts) : tools())),
    within: `${pick(random, [300, 2_000, 10_000, 45_000])}ms`,
    policy: pick(random, [
      'every',
      'skip_past_last',
      '{ once_per: key, for: 3s }',
      '{ once_per: key, for: 100s }',
    ]),
  }));
}

function compiled(texts: readonly RuleText[], generic: boolean): readonly CompiledRule[] {
  const exception = `exceptions: [{ name: n, when: { tool.name: none }, owner: o, reason: r, expires: 2099-01-01T00:00:00.000Z }]\n`;
  const text = texts
    .map(({ id, key, steps, within, policy }) => {
      const events = steps.map((tools, at) => `s${at}: { tool.name: ${tools} }`).join(', ');
      const sequence = steps.map((_, at) => `s${at}`).join(', ');
      const window = steps.length > 1 ? `within: ${within}\n` : '';
      return `id: ${id}\ntitle: T\nlevel: low\nkey: ${key}\nevents: { ${events} }\nsequence: [${sequence}]\n${window}after_match: ${policy}\n${generic ? exception : ''}`;
    })
    .join('---\n');
  const { rules, faults } = loadRules([{ path: 'r', text }], { sha256Hex });
  assert.deepEqual(faults, []);
  for (const rule of rules)
    assert.equal(
      isSimple(rule, planRule(rule, 0, { onEvicted: () => undefined, onLeftOut: () => undefined })),
      !generic,
    );
  return rules;
}

interface Shape {
  readonly events: number;
  readonly sessions: number;
  /** Largest step of append time, ms. */
  readonly stepMs: number;
  /** Largest lateness, ms. */
  readonly lateMs: number;
  /** One event in so many comes after a silence in which rows end. */
  readonly silentOnceIn: number;
}

/** Ties, late events, clocks that run ahead, duplicates; each call is a writer of its own, so that no order is forced. */
function randomRecords(random: Random, shape: Shape): SourceRecord[] {
  const records: SourceRecord[] = [];
  let appendMs = BASE_MS;
  for (let n = 0; n < shape.events; n++) {
    appendMs += random(3) * random(shape.stepMs);
    if (random(shape.silentOnceIn) === 0) appendMs += 90_000 + random(60_000);
    const offset = records.length;
    const again = records[offset - 1 - random(50)];
    if (random(20) === 0 && again !== undefined) {
      records.push({ ...again, offset, appendMs });
      continue;
    }
    const skewMs = [0, 0, 0, 0, -random(shape.lateMs), random(Math.min(7_000, shape.lateMs))][random(6)] ?? 0;
    const args = random(3) === 0 ? {} : { path: `p${random(2)}` };
    const spec = { writer: `w${n}`, session: `s${random(shape.sessions)}`, tool: pick(random, TOOLS), args };
    records.push(recordFrom({ ...spec, timeMs: appendMs + skewMs, appendMs }, { offset }));
  }
  return records;
}

interface Told {
  readonly alerts: readonly string[];
  readonly unrepaired: number;
}

/** Through a snapshot as JSON before about `restarts` of the records. */
function run(
  rules: readonly CompiledRule[],
  records: readonly SourceRecord[],
  restarts?: { readonly random: Random; readonly every: number },
): Told {
  const settings = settingsFor(rules);
  let stage = new StageOne(settings);
  const found: Finding[] = [];
  for (const record of records) {
    if (restarts !== undefined && restarts.random(restarts.every) === 0) {
      stage = new StageOne(settings, JSON.parse(JSON.stringify(stage.snapshot())) as StageOneSnapshot);
    }
    stage.process(record);
    found.push(...stage.takeFindings());
  }
  const unrepaired = found.filter(({ kind }) => kind === 'degraded').length;
  return { alerts: toldBy(found).toSorted(), unrepaired };
}

/** Streams in which nothing is later than the 64 events of a key that both paths can put in order again. */
const SHAPES: readonly (readonly [name: string, shape: Shape])[] = [
  ['late by up to 30 s', { events: 2_500, sessions: 3, stepMs: 1_500, lateMs: 30_000, silentOnceIn: 500 }],
  [
    'silences after which rows have ended',
    { events: 1_500, sessions: 1, stepMs: 2_500, lateMs: 30_000, silentOnceIn: 25 },
  ],
  [
    'more than 128 events of a key within the lateness span',
    { events: 2_500, sessions: 2, stepMs: 40, lateMs: 700, silentOnceIn: 500 },
  ],
];
for (const [name, shape] of SHAPES) {
  test(`rules that share a row tell what they tell alone: ${name}`, () => {
    let alerts = 0;
    let byAppend = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const random = seeded(seed * 7_919);
      const texts = randomRules(random);
      const records = randomRecords(random, shape);
      const expected = run(compiled(texts, true), records);
      const where = (): string => JSON.stringify({ seed, texts });
      assert.equal(expected.unrepaired, 0, where());
      assert.deepEqual(run(compiled(texts, false), records), expected, where());
      const restarted = run(compiled(texts, false), records, { random, every: 60 });
      assert.deepEqual(restarted, expected, `restarted: ${where()}`);
      alerts += expected.alerts.length;
      byAppend += expected.alerts.filter((text) => text.split(' ')[1] === 'append').length;
    }
    assert.ok(alerts > 1_000, `only ${alerts} alerts`);
    assert.ok(byAppend > 100, `only ${byAppend} alerts by append time`);
  });
}

/** The same, with what rows hold put into other arenas before about one in `every` records. */
function runCompacted(
  rules: readonly CompiledRule[],
  records: readonly SourceRecord[],
  { random, every }: { readonly random: Random; readonly every: number },
): Told {
  const stage = new StageOne(settingsFor(rules));
  const found: Finding[] = [];
  for (const record of records) {
    if (random(every) === 0) compact(stage.engine.simpleRules.memory, rowsOf(stage));
    stage.process(record);
    found.push(...stage.takeFindings());
  }
  return {
    alerts: toldBy(found).toSorted(),
    unrepaired: found.filter(({ kind }) => kind === 'degraded').length,
  };
}

const rowsOf = (stage: StageOne): SimpleRow[] =>
  [...stage.engine.states()].flatMap((held) => ('group' in held ? [held] : []));

test('moving what is held to other arenas changes nothing that is told', () => {
  let alerts = 0;
  for (const [, shape] of SHAPES) {
    for (let seed = 1; seed <= 3; seed++) {
      const random = seeded(seed * 104_729);
      const rules = compiled(randomRules(random), false);
      const records = randomRecords(random, shape);
      const expected = run(rules, records);
      assert.deepEqual(runCompacted(rules, records, { random, every: 40 }), expected, String(seed));
      alerts += expected.alerts.length;
    }
  }
  assert.ok(alerts > 500, `only ${alerts} alerts`);
});

test('after a flood of keys the arenas are as small as before it', () => {
  const rule = { id: 'r.flood', key: 'session', steps: ['t0', 't1'], within: '300ms', policy: 'every' };
  const stage = new StageOne(settingsFor(compiled([rule], false)));
  let offset = 0;
  const call = (session: string, timeMs: number): void =>
    stage.process(
      recordFrom(
        { writer: `w${offset}`, session, tool: 't0', timeMs, appendMs: timeMs },
        { offset: offset++ },
      ),
    );
  const bytes = (): number => {
    const { entries, nodes, cells, undos } = stage.engine.simpleRules.memory;
    const arrays = [entries.floats, entries.marks, nodes.columns, cells.starts, undos.floats];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  };
  for (let n = 0; n < 2_000; n++) call(`s${n % 20}`, BASE_MS + n);
  const before = bytes();
  for (let n = 0; n < 40_000; n++) call(`flood${n}`, BASE_MS + 2_000 + n);
  const flooded = bytes();
  for (let n = 0; n < 4_000; n++) call(`s${n % 20}`, BASE_MS + 200_000 + n * 50);
  assert.equal(stage.engine.stateCount(), 20);
  assert.ok(flooded > 10 * before, `${before} to ${flooded} bytes`);
  assert.ok(bytes() < 2 * before, `${before}, ${flooded}, ${bytes()} bytes`);
});

/** A rule of two steps; x and y by [tool, time, arrival] in s. */
function arrivals(generic: boolean, events: readonly (readonly [string, number, number])[]): Finding[] {
  const rule = { id: 'r.late', key: 'session', steps: ['t0', 't1'], within: '600000ms', policy: 'every' };
  const stage = new StageOne(settingsFor(compiled([rule], generic)));
  return events.flatMap(([tool, timeS, appendS], offset) => {
    const spec = { writer: `w${offset}`, session: 's', tool, timeMs: BASE_MS + timeS * 1000 };
    stage.process(recordFrom({ ...spec, appendMs: BASE_MS + appendS * 1000 }, { offset }));
    return stage.takeFindings();
  });
}

/** Calls that begin nothing that matters here but keep the key busy, one a second. */
const busy = (fromS: number, toS: number): (readonly [string, number, number])[] =>
  Array.from({ length: toS - fromS }, (_, index) => ['t0', fromS + index, fromS + index] as const);

test('a call that is later than 60 s and than all that is kept is reported, and matches by append time', () => {
  const found = arrivals(false, [...busy(0, 200), ['t1', 20, 200]]);
  const reasons = found.map((finding) =>
    finding.kind === 'degraded' ? finding.reason : finding.completed.timeBasis,
  );
  assert.deepEqual(reasons, ['append', 'late_unrepaired']);
});

test('a call that is later than 60 s between what is kept and what is not is put in its place', () => {
  // Nothing came between 10 s and 150 s: its place is known although the calls before it are not kept one by one.
  const found = arrivals(false, [...busy(0, 10), ...busy(150, 160), ['t1', 80, 160]]);
  const told = found.map((finding) =>
    finding.kind === 'match' ? finding.completed.timeBasis : finding.reason,
  );
  assert.deepEqual(told, ['event']);
});

test('a call later than all that a busy key keeps is reported by both, and matches by append time', () => {
  for (const generic of [false, true]) {
    const flood = Array.from({ length: 1_000 }, (_, n) => ['t0', 10 + n / 100, 10 + n / 100] as const);
    const found = arrivals(generic, [...flood, ['t1', 12, 20]]);
    const told = found.map((finding) =>
      finding.kind === 'match' ? finding.completed.timeBasis : finding.reason,
    );
    assert.deepEqual(told, ['append', 'late_unrepaired'], generic ? 'alone' : 'shared');
  }
});

test('of a busy key at least the newest 63 calls are kept in order, wherever the late one falls', () => {
  for (let length = 64; length < 400; length += 3) {
    const calls = Array.from({ length }, (_, n) => ['t2', n / 100, n / 100] as const);
    // The window would be open before the first call of all; 63 calls back only the late one begins it.
    const place = (length - 63) / 100 - 0.005;
    const found = arrivals(false, [
      ...calls,
      ['t0', place, length / 100],
      ['t1', place + 0.001, length / 100],
    ]);
    assert.deepEqual(toldBy(found).length, 1, `${length} calls`);
    assert.equal(found[0]?.kind === 'match' && found[0].completed.timeBasis, 'event', `${length} calls`);
  }
});
