/** Rules that use every part of the language, over few tools, so that short streams make them fire; and such streams. */
import assert from 'node:assert/strict';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import type { EventSpec } from './records.ts';
import type { Arrival } from './pipeline.ts';
import { BASE_MS, sha256Hex, type Random } from './streams.ts';

const EVENTS = `events:
  a: { tool.name: a }
  b: { tool.name: b }
  c: { tool.name: [c, d] }
  d: { tool.name: d }
  r: { tool.name: a, outcome|exists: true }
`;
const EXCEPTION =
  '[{ name: n, when: { args.k: "1" }, owner: o, reason: r, expires: 2099-01-01T00:00:00.000Z }]';

/** By id the key and the lines of the rule beside its events. */
const RULES: Readonly<Record<string, readonly [key: string, body: string]>> = {
  's.plain': ['session', 'sequence: [a, b]\nwithin: 3s'],
  's.plain-thin': ['session', 'sequence: [a, b, c]\nwithin: 20s\nafter_match: { once_per: key, for: 5s }'],
  's.plain-skip': ['session', 'sequence: [a, c]\nwithin: 9s\nafter_match: skip_past_last'],
  's.except': ['session', `sequence: [a, d]\nwithin: 9s\nexceptions: ${EXCEPTION}`],
  's.gap': ['session', 'sequence: [a, { event: b, within: 2s }, { event: c, within: 2s }]\nwithin: 4s'],
  's.optional': [
    'session',
    'sequence: [a, { event: b, optional: true }, c]\njoin: [b.args.k != c.args.k]\nwithin: 6s',
  ],
  's.repeat': ['session', 'sequence: [a, { event: b, repeat: { min: 2, max: 3 } }]\nwithin: 9s'],
  's.join': [
    'session',
    'sequence: [a, b, c]\njoin: [a.args.k == c.args.k, a.args.k != b.args.k]\nwithin: 9s',
  ],
  's.result': ['session', 'sequence: [r, b]\nwithin: 9s'],
  's.flow': ['session', 'sequence: [r, b]\nflow: [{ from: r.result, to: b.args }]\nwithin: 30s'],
  's.set': ['session', 'all_of: [a, b, c]\nwithin: 6s\nafter_match: skip_past_last'],
  's.between': [
    'session',
    'sequence: [a, c]\nwithout: [{ event: b, between: [a, c] }]\nwithin: 6s\nafter_match: { once_per: key, for: 4s }',
  ],
  's.before': [
    'session',
    'sequence: [c]\nwithout: [{ event: a, before: c, for: 2s }]\nafter_match: skip_past_last',
  ],
  's.after': [
    'session',
    'sequence: [a, b]\nwithout: [{ event: c, after: b, for: 2s }]\nwithin: 6s\nafter_match: { once_per: key, for: 3s }',
  ],
  's.until': ['session', 'sequence: [a, b]\nuntil: d\nwithin: 9s'],
  's.count': [
    'session',
    'any_of: [{ count: b, within: 6s, gte: 3 }, { distinct: args.k, event: c, within: 9s, gte: 2 }]',
  ],
  's.sum': [
    'session',
    'any_of: [{ sum: args.k, event: b, within: 9s, gte: 4 }]\nafter_match: { once_per: key, for: 4s }',
  ],
  't.plain': ['agent', 'sequence: [a, b]\nwithin: 3s\nafter_match: { once_per: key, for: 2s }'],
  't.relay': ['{ k: args.k }', 'sequence: [a, b]\njoin: [a.session != b.session]\nwithin: 9s'],
  't.absence': [
    'agent',
    'sequence: [b]\nwithout: [{ event: a, before: b, for: 1s }, { event: d, after: b, for: 1s }]\nafter_match: { once_per: key, for: 4s }',
  ],
  't.set': ['agent', 'all_of: [a, b, d]\nwithin: 4s\nafter_match: skip_past_last'],
  't.spread': ['agent', 'any_of: [{ distinct: session, event: b, within: 9s, gte: 2 }]'],
  't.except': ['agent', `sequence: [a, d]\nwithin: 5s\nexceptions: ${EXCEPTION}`],
};
/** Rules on alerts: of a plain rule and of absences, in both stages. */
const ON_ALERTS: Readonly<Record<string, readonly [events: string, body: string]>> = {
  'u.set': ['{ x: { alert.rule: s.after }, y: { alert.rule: t.absence } }', 'all_of: [x, y]\nwithin: 9s'],
  'u.order': ['{ x: { alert.rule: s.plain }, y: { alert.rule: s.between } }', 'sequence: [x, y]\nwithin: 9s'],
  'u.absence': [
    '{ x: { alert.rule: s.after }, y: { alert.rule: t.plain } }',
    'sequence: [x]\nwithout: [{ event: y, before: x, for: 3s }]',
  ],
};

function load(): readonly CompiledRule[] {
  const plain = Object.entries(RULES).map(
    ([id, [key, body]]) => `id: ${id}\ntitle: T\nlevel: low\nkey: ${key}\n${eventsOf(body)}${body}\n`,
  );
  const onAlerts = Object.entries(ON_ALERTS).map(
    ([id, [events, body]]) => `id: ${id}\ntitle: T\nlevel: low\nkey: agent\nevents: ${events}\n${body}\n`,
  );
  const text = [...plain, ...onAlerts].join('---\n');
  const { rules, faults } = loadRules([{ path: 'r', text }], { sha256Hex });
  assert.deepEqual(faults, []);
  assert.equal(rules.length, Object.keys(RULES).length + Object.keys(ON_ALERTS).length);
  return rules;
}

/** A selection that no step names is a fault: only those that the body uses. */
function eventsOf(body: string): string {
  const [head = '', ...lines] = EVENTS.trimEnd().split('\n');
  const used = lines.filter((line) => new RegExp(`\\b${line.trim()[0] ?? ''}\\b`).test(body));
  return `${[head, ...used].join('\n')}\n`;
}

export const ALL_BODIES = load();

const TOKENS = ['Zk3vQ9xLw2Tn', 'pR7mYc4Hs8Bd', 'Gf6uJe1Xa5Ko'];

/**
 * Calls and results of six sessions and three agents. No two records share an append time and no two calls an event
 * time: equal times are ordered by partition, which is what moves.
 */
export function randomArrivals(random: Random, count: number): Arrival[] {
  const arrivals: Arrival[] = [];
  const calls: EventSpec[] = [];
  const used = new Set<number>();
  let appendMs = BASE_MS;
  for (let n = 0; n < count; n++) {
    appendMs += 1 + random(700);
    const late = [0, 0, 0, random(3_000), -random(1_500)][random(5)] ?? 0;
    let timeMs = appendMs - late;
    while (used.has(timeMs)) timeMs--;
    used.add(timeMs);
    const open = calls[random(calls.length)];
    if (open !== undefined && random(4) === 0) {
      calls.splice(calls.indexOf(open), 1);
      const result = { note: TOKENS[random(3)] };
      arrivals.push({ event: { ...open, seq: 1, kind: 'call.result', timeMs, appendMs, result } });
      continue;
    }
    const session = random(6);
    const args = [{}, { k: '1' }, { k: '2' }, { k: TOKENS[random(3)] as string }][random(4)] ?? {};
    const event: EventSpec = {
      writer: `w${n}`,
      call: `c${n}`,
      session: `s${session}`,
      agent: `g${random(4) === 0 ? random(3) : session % 3}`,
      tool: ['a', 'b', 'c', 'd'][random(4)] ?? 'a',
      args,
      timeMs,
      appendMs,
    };
    calls.push(event);
    arrivals.push({ event });
  }
  return arrivals;
}
