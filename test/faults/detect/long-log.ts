/** A log of 200,000 tool calls made in advance, and rules to read it with beside the shipped ones. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeEventRecord, partitionFor } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { Config } from '../../../schemas/config/v1.ts';
import type { EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { BusRecord } from '../../../services/platform/bus/port.ts';
import { configOf, eventLine, PARTITIONS } from '../../integration/detect/harness.ts';
import { seeded, type Random } from '../../properties/detect/streams.ts';
import { STORY_RULES } from '../../support/scenario/rules.ts';

/** `DETECT_LOG_EVENTS` makes a shorter one, to look for a fault that was found. */
export const EVENTS = Number(process.env['DETECT_LOG_EVENTS'] ?? 200_000);
const TOPIC = TOPICS.toolcalls.name;
const STEP_MS = 54;
/** Sessions that live at one time; each makes way for a new one after so many events of the whole log. */
const LIVE_SESSIONS = 40;
const SESSION_LIFE_EVENTS = 2_000;
const MAX_EVENTS_PER_RECORD = 3;

const MORE_RULES = `id: more.absence
title: Delete without a search before and a read after
level: low
key: agent
events: { s: { tool.name: web_search }, d: { tool.name: delete_file }, r: { tool.name: read_file } }
sequence: [d]
without: [{ event: s, before: d, for: 20s }, { event: r, after: d, for: 2s }]
after_match: { once_per: key, for: 30s }
---
id: more.set
title: Three kinds of call in any order
level: low
key: session
events: { s: { tool.name: web_search }, d: { tool.name: delete_file }, w: { tool.name: write_file } }
all_of: [s, d, w]
within: 1m
after_match: skip_past_last
---
id: more.relay
title: One session writes what another reads
level: low
key: { path: args.path }
events: { w: { tool.name: write_file }, r: { tool.name: read_file } }
sequence: [w, r]
join: [w.session != r.session]
within: 5s
after_match: { once_per: key, for: 10s }
---
id: more.until
title: Two searches and a post with no delete
level: low
key: session
events: { s: { tool.name: web_search }, p: { tool.name: http_post }, d: { tool.name: delete_file } }
sequence: [{ event: s, repeat: { min: 2 } }, p]
until: d
within: 90s
---
id: more.count
title: Many searches of one agent
level: low
key: agent
events: { s: { tool.name: web_search } }
any_of: [{ count: s, within: 20s, gte: 6 }]
after_match: { once_per: key, for: 1m }
---
id: more.alerts
title: Two alerts of one agent
level: low
key: agent
events: { x: { alert.rule: more.absence }, y: { alert.rule: more.set } }
all_of: [x, y]
within: 30s
`;

/** Writes the rules below `root`; answers the configuration that reads them. */
export function configIn(root: string): Config {
  const directory = join(root, 'rules');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'more.yaml'), MORE_RULES);
  const detect = { snapshotEveryEvents: 400, snapshotEveryMs: 1_000 };
  // Those of the shipped rules that the log's calls are made for: all of them are killed in kill.full.test.ts.
  const { directories } = STORY_RULES;
  return configOf({ detect, rules: { builtin: false, directories: [...directories, directory] } });
}

/** Most calls mean nothing to any rule. */
const TOOLS: readonly (readonly [tool: string, share: number])[] = [
  ['web_search', 4],
  ['read_secret', 1],
  ['http_post', 1],
  ['delete_file', 2],
  ['write_file', 2],
  ['read_file', 2],
];

function randomTool(random: Random): string {
  let roll = random(100);
  for (const [tool, share] of TOOLS) {
    if (roll < share) return tool;
    roll -= share;
  }
  return 'compute_sum';
}

function argsOf(random: Random, tool: string): Record<string, string> {
  if (tool.endsWith('_file')) return { path: `p${random(40)}` };
  return tool === 'http_post' ? { url: 'https://out.example/' } : {};
}

/** Appends the log to an empty bus: ties, late calls, writers whose clock runs ahead. Its last call came a minute ago. */
export async function appendLog(bus: EmbeddedBus, seed: number, events: number): Promise<number> {
  const random = seeded(seed);
  const queues: BusRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  const seqs = new Map<string, number>();
  let appendMs = Date.now() - 60_000 - events * STEP_MS;
  for (let n = 0; n < events;) {
    const place = random(LIVE_SESSIONS);
    // Sessions do not all end at once.
    const life = Math.floor((n + (place * SESSION_LIFE_EVENTS) / LIVE_SESSIONS) / SESSION_LIFE_EVENTS);
    const session = `s${place}-${life}`;
    const count = Math.min(1 + random(MAX_EVENTS_PER_RECORD), events - n);
    const firstSeq = seqs.get(session) ?? 0;
    const timeMs = appendMs + ([0, 0, 0, -random(4_000), random(2_000)][random(5)] ?? 0);
    const lines = Array.from({ length: count }, (_, index) => {
      const tool = randomTool(random);
      const spec = { session, seq: firstSeq + index, tool, args: argsOf(random, tool), timeMs };
      return eventLine({ ...spec, agent: `agent-${place % 7}` });
    });
    seqs.set(session, firstSeq + count);
    const { stream } = lines[0] as { stream: string };
    const message = encodeEventRecord({
      tenant: 'default',
      session,
      stream,
      firstSeq,
      lines: lines.map(({ line }) => line),
    });
    const partition = partitionFor(message.key ?? new Uint8Array(0), PARTITIONS);
    const queue = queues[partition] as BusRecord[];
    queue.push({ ...message, topic: TOPIC, partition, offset: queue.length, appendMs });
    n += count;
    appendMs += random(2 * STEP_MS) * count;
  }
  for (const [partition, records] of queues.entries()) await bus.importPartition(TOPIC, partition, records);
  return queues.reduce((sum, records) => sum + records.length, 0);
}
