/**
 * The matcher alone: three-step rules over events that are at hand, on one thread. Beside it, in the same run and over
 * the same events: ClickHouse's windowFunnel in the embedded engine (which keys a rule hit, no evidence), and a bare
 * latest-start loop over typed arrays. Figures are by CPU time. Other engines: test/bench/peers.
 */
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Chdb from 'chdb';
import { Engine } from '../../detectors/engine/engine.ts';
import { StageOne, type SourceRecord } from '../../services/detect/step.ts';
import { FORMAT_EVENTS, HEADERS, TOPICS } from '../../schemas/topics.ts';
import { result, type Bench, type BenchResult } from './bench.ts';
import {
  BUDGET,
  compiledRules,
  eventsOf,
  rate,
  runEngine,
  runSlab,
  sha256,
  sha256Hex,
  timeAt,
  WITHIN_MS,
  workload,
  type Workload,
} from './matcher-workload.ts';

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
    const counts = load.rules.map((_, rule) => `countIf(l${rule} = 3)`).join(', ');
    const query = `SELECT arraySum([${counts}]) FROM (SELECT key, ${funnels.join(', ')} FROM e GROUP BY key)`;
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
const CASES: readonly Case[] = [
  { rules: 10, keys: 20_000, events: 1_000_000 },
  { rules: 100, keys: 20_000, events: 1_000_000 },
  { rules: 500, keys: 20_000, events: 400_000 },
  { rules: 1_000, keys: 20_000, events: 400_000 },
  { rules: 100, keys: 1_000_000, events: 1_000_000 },
];

const short = (count: number): string => (count >= 1_000_000 ? `${count / 1_000_000}m` : `${count / 1000}k`);

const nameOf = ({ rules, keys }: Case): string => `matcher_${rules}_rules_${short(keys)}_keys`;

function measure(of: Case): BenchResult[] {
  const { rules, keys, events } = of;
  const load = workload(rules, keys, events);
  const compiled = compiledRules(load.rules);
  const parsed = eventsOf(load);
  const engine = new Engine(compiled, BUDGET);
  const name = nameOf(of);
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

/** One a case, so that each can be asked for and is printed as soon as it is measured. */
export const matchers: readonly Bench[] = [
  ...CASES.map((each) => ({
    name: nameOf(each),
    about: 'three-step rules over events at hand, beside windowFunnel and a bare loop',
    run: async () => Promise.resolve(measure(each)),
  })),
  {
    name: 'matcher_from_bytes',
    about: 'the same from record bytes through the whole of stage one, beside JSON.parse alone',
    run: async () => Promise.resolve([measureBytes()]),
  },
];
