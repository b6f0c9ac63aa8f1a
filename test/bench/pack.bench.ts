/**
 * All shipped rules: records to findings through both stages as the service runs them, no I/O, facts as JSON between
 * them. CPU time of an event, beside the same events without a rule. The traffic of the other benchmarks (long runs of
 * one letter) and that of pack-traffic.ts.
 */
import { createHash } from 'node:crypto';
import { FORMAT_EVENTS, HEADERS, TOPICS } from '../../schemas/topics.ts';
import { loadRules } from '../../detectors/compile/load.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import type { Fact } from '../../services/detect/facts.ts';
import { StageTwo } from '../../services/detect/merge.ts';
import { readBuiltinRules } from '../../services/detect/rules.ts';
import { StageOne, type DetectSettings, type SourceRecord } from '../../services/detect/step.ts';
import { median, result, type Bench, type BenchResult } from './bench.ts';
import { eventLine } from './events.ts';
import { PackTraffic } from './pack-traffic.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const START_MS = 1_780_000_000_000;
const RECORDS = 1_000;
const LINES = 16;
const SESSIONS = 200;
/** The first part warms up; the median is over the others. */
const PARTS = 5;

type LineOf = (place: { readonly session: number; readonly seq: number; readonly timeMs: number }) => string;

function records(lineOf: LineOf): SourceRecord[] {
  const encoder = new TextEncoder();
  return Array.from({ length: RECORDS }, (_, offset) => {
    const session = offset % SESSIONS;
    const firstSeq = Math.floor(offset / SESSIONS) * LINES;
    const firstMs = START_MS + offset * LINES * 10;
    const lines = Array.from({ length: LINES }, (_line, at) =>
      lineOf({ session, seq: firstSeq + at, timeMs: firstMs + at * 10 }),
    );
    const headers = {
      [HEADERS.format]: FORMAT_EVENTS,
      [HEADERS.tenant]: 'default',
      [HEADERS.stream]: (JSON.parse(lines[0] as string) as { stream: string }).stream,
      [HEADERS.firstSeq]: String(firstSeq),
    };
    const value = encoder.encode(lines.join('\n'));
    return {
      topic: TOPICS.toolcalls.name,
      partition: 0,
      offset,
      appendMs: firstMs + LINES * 10,
      headers,
      value,
    };
  });
}

function settingsOf(rules: readonly CompiledRule[]): DetectSettings {
  const engine = { lateWaitMs: 5_000, maxStates: 1e6, maxStatesPerTenant: 1e6 };
  return { rules, engine, mappings: [], internalHosts: [], sha256Hex, sha256 };
}

class Pipeline {
  private readonly one: StageOne;
  private readonly two: StageTwo;
  found = 0;

  constructor(rules: readonly CompiledRule[]) {
    this.one = new StageOne(settingsOf(rules));
    this.two = new StageTwo(settingsOf(rules), { sourceCount: 1 });
  }

  process(record: SourceRecord): void {
    this.one.process(record);
    for (const { tenant, fact } of this.one.takeFacts())
      this.two.fact(tenant, JSON.parse(JSON.stringify(fact)) as Fact);
    this.two.watermark({ source: 0, watermarkMs: this.one.watermarkMs });
    this.found += this.one.takeFindings().length + this.two.take().length;
  }
}

/** Microseconds of CPU time an event. */
function microseconds(rules: readonly CompiledRule[], input: readonly SourceRecord[]): number {
  const pipeline = new Pipeline(rules);
  const each = input.length / PARTS;
  const costs: number[] = [];
  for (let part = 0; part < PARTS; part++) {
    const before = process.cpuUsage();
    for (const record of input.slice(part * each, (part + 1) * each)) pipeline.process(record);
    const { user, system } = process.cpuUsage(before);
    if (part > 0) costs.push((user + system) / (each * LINES));
  }
  return median(costs);
}

function row(name: string, rules: readonly CompiledRule[], input: readonly SourceRecord[]): BenchResult {
  const bytes = input.reduce((sum, { value }) => sum + (value?.length ?? 0), 0) / (input.length * LINES);
  const value = microseconds(rules, input);
  const baseline = microseconds([], input);
  return result(
    name,
    { value, baseline, unit: 'µs/event' },
    `${rules.length} rules, ${Math.round(bytes)} B an event, beside no rules`,
  );
}

/** Milliseconds of CPU time to read and compile them, the first time as at the start of a process, and again. */
function loadRows(): { readonly rules: readonly CompiledRule[]; readonly rows: readonly BenchResult[] } {
  const files = readBuiltinRules().map((file) => ({ ...file, isShipped: true }));
  const load = (): { readonly rules: readonly CompiledRule[]; readonly ms: number } => {
    const before = process.cpuUsage();
    const { rules, faults } = loadRules(files, { sha256Hex });
    const { user, system } = process.cpuUsage(before);
    if (faults.length > 0) throw new Error(JSON.stringify(faults));
    return { rules, ms: (user + system) / 1000 };
  };
  const first = load();
  const again = load();
  const rows = [
    result('pack_load', { value: first.ms, baseline: again.ms, unit: 'ms' }, 'beside a second time'),
  ];
  return { rules: first.rules, rows };
}

function run(): readonly BenchResult[] {
  const { rules, rows } = loadRows();
  const traffic = new PackTraffic(7);
  return [
    ...rows,
    row(
      'pack_realistic',
      rules,
      records((place) => traffic.line(place)),
    ),
    row(
      'pack_letters',
      rules,
      records(({ session, seq }) => eventLine({ tenant: 'default', run: 1 }, session, seq)),
    ),
  ];
}

export const pack: Bench = {
  name: 'pack',
  about: 'all shipped rules over realistic calls, both stages, no I/O',
  run: async () => Promise.resolve(run()),
};
