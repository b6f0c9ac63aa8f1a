/**
 * Runs a flood of sessions with chains hidden in it through stage one and prints what came of it as one line of JSON.
 * Arguments: number of sessions, name of the rule. A process of its own, so that its heap can be given a limit.
 */
import { loadRules } from '../../../detectors/compile/load.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { StageOne } from '../../../services/detect/step.ts';
import { recordFrom } from '../../properties/detect/records.ts';
import { BASE_MS, settingsFor, sha256Hex } from '../../properties/detect/streams.ts';
import { Flood } from './flood.ts';

export const BUDGET = { lateWaitMs: 5_000, maxStates: 200_000, maxStatesPerTenant: 150_000 };

const HEAD = 'title: T\nlevel: high\nkey: session\nsequence: [a, b, c]\nwithin: 1h\n';
const STEPS = 'a: { tool.name: open }, b: { tool.name: read }, c: { tool.name: post }';
const RULES: Readonly<Record<string, string>> = {
  'f.chain': `id: f.chain\n${HEAD}events: { ${STEPS} }\n`,
  'f.guarded': `id: f.guarded\n${HEAD}events: { ${STEPS}, g: { tool.name: ok } }\nwithout: [{ event: g, after: c, for: 1m }]\n`,
};

/** Calls of the chains by the share of the flood that has passed when they come: session and tool. */
const CHAINS: readonly (readonly [share: number, tenant: string, session: string, tool: string])[] = [
  [0, 'flooded', 'fresh', 'open'],
  [0, 'quiet', 'calm', 'open'],
  [0.2, 'flooded', 'advanced', 'open'],
  [0.2, 'flooded', 'advanced', 'read'],
  [0.6, 'flooded', 'fresh', 'read'],
  [0.6, 'quiet', 'calm', 'read'],
  [0.9, 'flooded', 'advanced', 'post'],
  [0.9, 'flooded', 'fresh', 'post'],
  [0.9, 'quiet', 'calm', 'post'],
];
/** All of the flood lies inside the window of the rule: nothing of it expires. */
const FLOOD_MS = 3_000_000;
const LINES = 64;

function run(stage: StageOne, records: number): { found: Finding[]; rssBytes: number; states: number } {
  const found: Finding[] = [];
  let rssBytes = 0;
  let states = 0;
  // One line in 64 is a second step: of a session that has no first.
  const toolOf = (line: number): string => (line === LINES - 1 ? 'read' : 'open');
  const flood = new Flood({ tenant: 'flooded', seed: 42, toolOf });
  let offset = 0;
  let next = 0;
  for (let at = 0; at < records; at++) {
    const appendMs = BASE_MS + Math.floor((at * FLOOD_MS) / records);
    for (; next < CHAINS.length && (CHAINS[next]?.[0] ?? 1) * records <= at; next++) {
      const [, tenant, session, tool] = CHAINS[next] as (typeof CHAINS)[number];
      const spec = { writer: `${session} ${next}`, tenant, session, tool, timeMs: appendMs, appendMs };
      stage.process(recordFrom(spec, { offset: offset++ }));
    }
    stage.process(flood.record(offset++, appendMs));
    if (at % 256 === 0) {
      found.push(...stage.takeFindings());
      rssBytes = Math.max(rssBytes, process.memoryUsage.rss());
      states = Math.max(states, stage.engine.stateCount());
    }
  }
  stage.finish();
  found.push(...stage.takeFindings());
  return { found, rssBytes, states };
}

export interface FloodResult {
  readonly events: number;
  readonly seconds: number;
  readonly rssBytes: number;
  /** Most that were held at one time. */
  readonly states: number;
  readonly givenUp: number;
  /** Tenant and key of each match. */
  readonly matches: readonly string[];
  /** Rule, tenant and reason of each report. */
  readonly reports: readonly string[];
}

function main(sessions: number, rule: string): FloodResult {
  const { rules, faults } = loadRules([{ path: 'r', text: RULES[rule] ?? '' }], { sha256Hex });
  if (faults.length > 0 || rules.length !== 1) throw new Error(JSON.stringify(faults));
  const stage = new StageOne({ ...settingsFor(rules), engine: BUDGET });
  const startMs = performance.now();
  const { found, rssBytes, states } = run(stage, Math.ceil(sessions / LINES));
  return {
    events: stage.counts.events - CHAINS.length,
    seconds: (performance.now() - startMs) / 1000,
    rssBytes,
    states,
    givenUp: stage.engine.counts.evictions,
    matches: found.flatMap((finding) =>
      finding.kind === 'match' ? [`${finding.tenant} ${finding.keyText}`] : [],
    ),
    reports: found.flatMap((finding) =>
      finding.kind === 'degraded' ? [`${finding.ruleId} ${finding.tenant} ${finding.reason}`] : [],
    ),
  };
}

if (process.argv[2] !== undefined) {
  process.stdout.write(`${JSON.stringify(main(Number(process.argv[2]), process.argv[3] ?? ''))}\n`);
}
