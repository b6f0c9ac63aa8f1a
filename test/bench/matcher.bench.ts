/**
 * The matcher alone: three-step rules over events that are at hand, on one thread. Skewed tools, so that some rules are
 * touched often. Beside it, in the same run and over the same events: ClickHouse's windowFunnel in the embedded engine
 * (which keys a rule hit, no evidence), and a bare latest-start loop over typed arrays. Figures are by CPU time.
 */
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Chdb from 'chdb';
import { createHash } from 'node:crypto';
import { loadRules } from '../../detectors/compile/load.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import { Engine } from '../../detectors/engine/engine.ts';
import { ParsedCall } from '../../detectors/engine/parsed-call.ts';
import type { Event } from '../../schemas/event/v1.ts';
import { StageOne, type SourceRecord } from '../../services/detect/step.ts';
import { FORMAT_EVENTS, HEADERS, TOPICS } from '../../schemas/topics.ts';
import { randomBelow } from './random.ts';
import { result, type Bench, type BenchResult } from './bench.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

const TOOLS = 64;
const WITHIN_MS = 600_000;
const START_MS = 1_750_000_000_000;
const RUNS = 3;

interface Workload {
  readonly rules: readonly (readonly [number, number, number])[];
  readonly tools: Uint8Array;
  readonly keys: Uint32Array;
}

/** Tools with a skew (the product of two draws), rules over any three of them. */
function workload(ruleCount: number, keyCount: number, events: number): Workload {
  const random = randomBelow(7);
  const tools = new Uint8Array(events);
  const keys = new Uint32Array(events);
  for (let at = 0; at < events; at++) {
    tools[at] = Math.floor((random(TOOLS * 1000) / 1000) * (random(1000) / 1000));
    keys[at] = random(keyCount);
  }
  const rules = Array.from({ length: ruleCount }, () => {
    const draw = (): number => random(TOOLS);
    return [draw(), draw(), draw()] as const;
  });
  return { rules, tools, keys };
}

function compiledRules(rules: Workload['rules']): readonly CompiledRule[] {
  const text = rules
    .map(
      ([a, b, c], index) => `id: bench.${index}
title: t
level: low
key: session
events: { a: { tool.name: t${a} }, b: { tool.name: t${b} }, c: { tool.name: t${c} } }
sequence: [{ event: a, as: x }, { event: b, as: y }, { event: c, as: z }]
within: 10m
`,
    )
    .join('---\n');
  const loaded = loadRules([{ path: 'bench', text }], { sha256Hex });
  if (loaded.faults.length > 0) throw new Error(JSON.stringify(loaded.faults[0]));
  return loaded.rules;
}

function eventsOf({ tools, keys }: Workload): Event[] {
  return Array.from(tools, (tool, index): Event => ({
    v: 1,
    kind: 'call.intent',
    stream: (keys[index] as number).toString(16).padStart(32, '0'),
    seq: index,
    nonce: '0'.repeat(32),
    time: '2025-06-15T15:06:40.000Z',
    session: `session-${keys[index]}`,
    agent: 'agent',
    callId: `call-${index}`,
    server: 'server',
    tool: `t${tool}`,
  }));
}

const timeAt = (index: number): number => START_MS + index * 2;
const noHost = (): string => '';
const FACTS = { toolClass: 'other', destHost: noHost, sha256Hex };
const BUDGET = { lateWaitMs: 5_000, maxStates: 10_000_000, maxStatesPerTenant: 10_000_000 };

/** Matches told by the engine with evidence, late repair and budgets. */
function runEngine(engine: Engine, events: readonly Event[], offset: number): number {
  let found = 0;
  for (let index = 0; index < events.length; index++) {
    const timeMs = timeAt(offset + index);
    engine.advance(timeMs);
    const place = {
      tenant: 't',
      topic: 'x',
      partition: 0,
      offset: offset + index,
      line: 0,
      timeMs,
      appendMs: timeMs,
    };
    engine.process(new ParsedCall(events[index] as Event, place, FACTS));
    if ((index & 255) === 0) found += engine.take().length;
  }
  return found + engine.take().length;
}

/** The bare loop: no evidence, no late events, no budget, every rule and key in one slab. */
function runSlab({ rules, tools, keys }: Workload, slab: Float64Array, offset: number): number {
  const touch: (readonly [rule: number, step: number])[][] = Array.from({ length: TOOLS }, () => []);
  rules.forEach((steps, rule) => {
    for (let step = 2; step >= 0; step--) touch[steps[step] as number]?.push([rule, step]);
  });
  const stride = rules.length * 2;
  let found = 0;
  for (let index = 0; index < tools.length; index++) {
    const timeMs = timeAt(offset + index);
    const base = (keys[index] as number) * stride;
    for (const [rule, step] of touch[tools[index] as number] as (readonly [number, number])[]) {
      const at = base + rule * 2;
      const startMs = step === 0 ? timeMs : (slab[at + step - 1] as number);
      if (timeMs - startMs > WITHIN_MS) continue;
      if (step === 2) found++;
      else if (startMs >= (slab[at + step] as number)) slab[at + step] = startMs;
    }
  }
  return found;
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** Events a second of CPU time: median of the runs; the first, which warms up, does not count. */
function rate(events: number, act: (run: number) => void): number {
  const rates: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const before = cpuSeconds();
    act(run);
    if (run > 0) rates.push(events / (cpuSeconds() - before));
  }
  return Math.round(rates.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)] as number);
}

/** windowFunnel over all rules in one query, on columns in memory. */
function runFunnel(load: Workload): number {
  const { Session } = createRequire(import.meta.url)('chdb') as typeof Chdb;
  const dir = mkdtempSync(join(tmpdir(), 'tripline-bench-'));
  const session = new Session(join(dir, 'data'), { connectionArgs: ['--config-file=', '--max_threads=1'] });
  try {
    const file = join(dir, 'events.tsv');
    writeFileSync(
      file,
      Array.from(load.tools, (tool, at) => `${load.keys[at]}\t${timeAt(at)}\t${tool}`).join('\n'),
    );
    session.query('CREATE TABLE e (key UInt32, ts UInt64, tool UInt8) ENGINE = Memory');
    session.query(`INSERT INTO e FROM INFILE '${file}' FORMAT TSV`);
    const funnels = load.rules.map(
      ([a, b, c], rule) =>
        `windowFunnel(${WITHIN_MS})(ts, tool = ${a}, tool = ${b}, tool = ${c}) AS l${rule}`,
    );
    const counts = load.rules.map((_, rule) => `countIf(l${rule} = 3)`).join(' + ');
    const query = `SELECT ${counts} FROM (SELECT key, ${funnels.join(', ')} FROM e GROUP BY key)`;
    return rate(load.tools.length, () => session.query(query, 'TSV'));
  } finally {
    session.cleanup?.();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Case {
  readonly rules: number;
  readonly keys: number;
  readonly events: number;
}
const CASES: readonly Case[] =
  process.env['MB'] === '1'
    ? [{ rules: 100, keys: 20_000, events: 300_000 }]
    : [
        { rules: 10, keys: 20_000, events: 1_000_000 },
        { rules: 100, keys: 20_000, events: 1_000_000 },
        { rules: 500, keys: 20_000, events: 400_000 },
        { rules: 1_000, keys: 20_000, events: 400_000 },
        { rules: 100, keys: 1_000_000, events: 1_000_000 },
      ];

const short = (count: number): string => (count >= 1_000_000 ? `${count / 1_000_000}m` : `${count / 1000}k`);

function measure({ rules, keys, events }: Case): BenchResult[] {
  const load = workload(rules, keys, events);
  const compiled = compiledRules(load.rules);
  const parsed = eventsOf(load);
  const engine = new Engine(compiled, BUDGET);
  const name = `matcher_${rules}_rules_${short(keys)}_keys`;
  const funnel = runFunnel(load);
  const value = rate(events, (run) => runEngine(engine, parsed, run * events));
  const rows = [row(name, value, funnel, 'evidence, late repair, budgets; beside windowFunnel')];
  if (rules * 2 * keys <= 50_000_000) {
    const slab = new Float64Array(rules * 2 * keys);
    const bare = rate(events, (run) => runSlab(load, slab, run * events));
    rows.push(row(`${name}_slab`, bare, value, 'a bare typed-array loop, beside the matcher'));
  }
  return rows;
}

const row = (name: string, value: number, baseline: number, note: string): BenchResult =>
  result(name, { value, baseline, unit: 'events/s' }, note);

/** Small events as records of 64 lines, through the whole of stage one. */
function measureBytes(): BenchResult {
  const events = 256_000;
  const load = workload(100, 20_000, events);
  const records = recordsOf(load);
  const settings = {
    rules: compiledRules(load.rules),
    engine: BUDGET,
    mappings: [],
    internalHosts: [],
    sha256Hex,
    sha256,
  };
  const value = rate(events, () => {
    const stage = new StageOne(settings);
    for (const record of records) stage.process(record);
    stage.takeFindings();
  });
  const parse = rate(events, () => {
    for (const record of records) {
      for (const line of Buffer.from(record.value ?? [])
        .toString()
        .split('\n'))
        JSON.parse(line);
    }
  });
  return row('stage_one_100_rules_from_bytes', value, parse, 'beside JSON.parse alone');
}

/** 64 events of one session a record. */
function recordsOf({ tools }: Workload): SourceRecord[] {
  const encoder = new TextEncoder();
  return Array.from({ length: tools.length / 64 }, (_, offset) => {
    const stream = offset.toString(16).padStart(32, '0');
    const lines = Array.from({ length: 64 }, (__, line) => {
      const at = offset * 64 + line;
      return JSON.stringify({
        v: 1,
        kind: 'call.intent',
        stream,
        seq: line,
        nonce: '0'.repeat(32),
        time: new Date(timeAt(at)).toISOString(),
        session: `session-${offset % 20_000}`,
        agent: 'agent',
        callId: `c${at}`,
        server: 's',
        tool: `t${tools[at]}`,
        args: { q: 'style guide' },
      });
    });
    const headers = {
      [HEADERS.format]: FORMAT_EVENTS,
      [HEADERS.tenant]: 'default',
      [HEADERS.stream]: stream,
      [HEADERS.firstSeq]: '0',
    };
    const appendMs = timeAt(offset * 64 + 63);
    return {
      topic: TOPICS.toolcalls.name,
      partition: 0,
      offset,
      appendMs,
      headers,
      value: encoder.encode(lines.join('\n')),
    };
  });
}

export const matcher: Bench = {
  name: 'matcher',
  about: 'three-step rules over events at hand, beside windowFunnel and a bare loop',
  run: async () => Promise.resolve([...CASES.flatMap(measure), measureBytes()]),
};
