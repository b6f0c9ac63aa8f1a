/**
 * Parsed events to findings, no I/O: the engine at 20 rules, over few and many sessions, beside a plain latest-start loop
 * over a Map of arrays that does windows and nothing else (no late events, no evidence, no joins, no budget). Process CPU
 * time, best of several runs over an engine that is warm: its keys exist and its rings are full.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { classify } from '../../detectors/classify/classify.ts';
import { destHost } from '../../detectors/classify/dest-host.ts';
import { loadRules } from '../../detectors/compile/load.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import { Engine } from '../../detectors/engine/engine.ts';
import { ParsedCall } from '../../detectors/engine/parsed-call.ts';
import type { Event } from '../../schemas/event/v1.ts';
import { randomBelow } from './random.ts';

export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number;
  readonly ratio: number;
}

const EVENTS = 20_000;
const RUNS = 3;
const START_MS = 1_750_000_000_000;
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Tool and share in percent: half of the calls are reads and tools that no rule knows, as in recorded agent runs. */
const TOOLS: readonly (readonly [tool: string, share: number])[] = [
  ['compute_sum', 28],
  ['read_file', 18],
  ['run_query', 12],
  ['web_search', 10],
  ['fetch_url', 8],
  ['write_file', 7],
  ['read_graph', 4],
  ['create_entities', 3],
  ['send_email', 3],
  ['run_command', 2],
  ['http_post', 2],
  ['read_secret', 1],
  ['delete_file', 1],
  ['send_money', 1],
];

const READS = ['search', 'web_read', 'file_read', 'memory_read', 'database'];
const RISKS = ['secret_read', 'admin', 'code_exec', 'payment', 'delete'];
const SINKS = ['external_post', 'message', 'publish', 'payment'];

/** Three-step rules by class, a quarter with a condition on the outside host, some thinned. */
function benchRules(count: number): readonly CompiledRule[] {
  const text = Array.from({ length: count }, (_, index) => {
    const host = index % 4 === 0 ? ', dest.host|exists: true' : '';
    const policy = index % 2 === 0 ? '{ once_per: key, for: 10m }' : 'every';
    return [
      `id: bench.${index}`,
      'title: t',
      'level: low',
      'key: session',
      'events:',
      `  a: { tool.class: ${READS[index % READS.length]} }`,
      `  b: { tool.class: ${RISKS[(index * 3) % RISKS.length]} }`,
      `  c: { tool.class: ${SINKS[(index >> 1) % SINKS.length]}${host} }`,
      'sequence: [a, b, c]',
      `within: ${index + 1}m`,
      `after_match: ${policy}`,
      '',
    ].join('\n');
  }).join('---\n');
  const { rules, faults } = loadRules([{ path: 'bench', text }], { sha256Hex });
  if (faults.length > 0) throw new Error(JSON.stringify(faults));
  return rules;
}

function benchEvents(sessions: number): Event[] {
  const random = randomBelow(7);
  const urn = TOOLS.flatMap(([tool, share]) => Array.from({ length: share }, () => tool));
  return Array.from({ length: EVENTS }, (_, index) => {
    const session = random(sessions);
    return {
      v: 1,
      kind: 'call.intent',
      stream: session.toString(16).padStart(32, '0'),
      seq: index,
      nonce: '0'.repeat(32),
      time: '2025-06-15T15:06:40.000Z',
      session: `session-${session}`,
      agent: 'agent',
      callId: `call-${index}`,
      server: 'server',
      tool: urn[random(urn.length)] as string,
      args: { url: `https://h${index % 50}.example/x`, note: 'a line of text that is no address', n: index },
    };
  });
}

const NO_MAPPINGS: readonly never[] = [];
const FACTS = { destHost: (event: Partial<Event>) => destHost(event, []), sha256Hex };

function runEngine(engine: Engine, events: readonly Event[], startMs: number): number {
  let found = 0;
  events.forEach((event, offset) => {
    const timeMs = startMs + offset;
    engine.advance(timeMs + 20);
    const toolClass = classify(event, NO_MAPPINGS).class;
    if (!engine.concerns(event.kind, toolClass)) return;
    const place = { tenant: 't', topic: 'x', partition: 0, offset, line: 0, timeMs, appendMs: timeMs + 20 };
    engine.process(new ParsedCall(event, place, { toolClass, ...FACTS }));
    if (offset % 256 === 0) found += engine.take().length;
  });
  return found + engine.take().length;
}

/** What a person writes in an hour: by rule and session the latest start of each step. */
function runBaseline(
  rules: readonly CompiledRule[],
  starts: Map<string, Float64Array>[],
  run: { readonly events: readonly Event[]; readonly startMs: number },
): number {
  let found = 0;
  run.events.forEach((event, offset) => {
    const timeMs = run.startMs + offset;
    const toolClass = classify(event, NO_MAPPINGS).class;
    rules.forEach((rule, index) => {
      for (let step = rule.steps.length - 1; step >= 0; step--) {
        if (rule.steps[step]?.selection.classes?.includes(toolClass) !== true) continue;
        const byKey = starts[index] as Map<string, Float64Array>;
        let own = byKey.get(event.session);
        if (own === undefined) byKey.set(event.session, (own = new Float64Array(rule.steps.length)));
        const startMs = step === 0 ? timeMs : (own[step - 1] as number);
        if (timeMs - startMs > rule.withinMs) continue;
        if (step === rule.steps.length - 1) found++;
        else if (startMs > (own[step] as number)) own[step] = startMs;
      }
    });
  });
  return found;
}

/** Events a second of process CPU time, the best of the runs. */
function best(act: (startMs: number) => void): number {
  let most = 0;
  for (let run = 0; run <= RUNS; run++) {
    const before = process.cpuUsage();
    act(START_MS + run * EVENTS);
    const used = process.cpuUsage(before);
    if (run > 0) most = Math.max(most, EVENTS / ((used.user + used.system) / 1e6));
  }
  return Math.round(most);
}

function measure(name: string, ruleCount: number, sessions: number): BenchRow {
  const rules = benchRules(ruleCount);
  const events = benchEvents(sessions);
  const engine = new Engine(rules, { lateWaitMs: 5_000, maxStates: 1e7, maxStatesPerTenant: 1e7 });
  const value = best((startMs) => runEngine(engine, events, startMs));
  const starts = rules.map(() => new Map<string, Float64Array>());
  const baseline = best((startMs) => runBaseline(rules, starts, { events, startMs }));
  return { name, value, unit: 'events/s', baseline, ratio: Math.round((value / baseline) * 100) / 100 };
}

/** Rows of the benchmark. */
export async function detectBench(): Promise<readonly BenchRow[]> {
  return Promise.resolve([
    measure('detect_20_rules_100_sessions', 20, 100),
    measure('detect_20_rules_20000_sessions', 20, 20_000),
    measure('detect_200_rules_1000_sessions', 200, 1_000),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const row of await detectBench()) process.stdout.write(`${JSON.stringify(row)}\n`);
}
