/** Value flow against a plain comparison: a token that a result brought stands as a whole token in the arguments of a later call. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { SourceRecord } from '../../../services/detect/step.ts';
import { recordFrom } from './records.ts';
import { BASE_MS, runStageOne, seeded, settingsFor, sha256Hex, type Random } from './streams.ts';

const WITHIN_MS = 4_000;
const RULE = `id: flow
title: T
level: low
key: session
events: { read: { tool.name: read, outcome|exists: true }, send: { tool.name: send } }
sequence: [read, send]
within: ${WITHIN_MS}ms
flow: [{ from: read.result, to: send.args }]
`;
/** The last two hold the first as a part only. */
const TOKENS = ['Zk3vQ9xLw2Tn', 'pR7mYc4Hs8Bd', 'Gf6uJe1Xa5Ko', 'Zk3vQ9xLw2TnA7', 'qZk3vQ9xLw2Tn'];

interface Call {
  readonly id: string;
  readonly session: string;
  readonly read: boolean;
  readonly tokens: readonly string[];
  readonly timeMs: number;
  readonly appendMs: number;
  readonly offset: number;
}

function randomCalls(random: Random): { calls: Call[]; records: SourceRecord[] } {
  const calls: Call[] = [];
  const records: SourceRecord[] = [];
  let appendMs = BASE_MS;
  for (let left = 3 + random(8); left > 0; left--) {
    appendMs += random(4) * 500;
    const offset = records.length;
    const again = records[random(records.length)];
    if (random(10) === 0 && again !== undefined) {
      records.push({ ...again, offset, appendMs });
      continue;
    }
    const read = random(2) === 0;
    const session = random(5) === 0 ? 'other' : 'main';
    const tokens = Array.from({ length: random(3) }, () => TOKENS[random(TOKENS.length)] as string);
    const timeMs = appendMs + ([random(8) * -500, 0, random(4) * 500][random(3)] ?? 0);
    const text = ['note', ...tokens].join(' ');
    const body = read ? ({ kind: 'call.result', result: { text } } as const) : { args: { body: [text] } };
    const writer = `w${offset}`;
    const record = recordFrom(
      { writer, session, tool: read ? 'read' : 'send', timeMs, appendMs, ...body },
      { offset },
    );
    records.push(record);
    const id = `${record.headers['stream'] ?? ''}-0`;
    calls.push({ id, session, read, tokens, timeMs, appendMs, offset });
  }
  return { calls, records };
}

/** By event time or by append time: a read before the call, inside the window, with a token in common. */
function expected(calls: readonly Call[]): string[] {
  const holds = (a: Call, b: Call): boolean => {
    const shared = a.session === b.session && a.tokens.some((token) => b.tokens.includes(token));
    const byEvent = b.timeMs - a.timeMs || b.offset - a.offset;
    const inTime = byEvent > 0 && b.timeMs - a.timeMs <= WITHIN_MS;
    return shared && (inTime || (b.offset > a.offset && b.appendMs - a.appendMs <= WITHIN_MS));
  };
  return calls
    .filter((b) => !b.read && calls.some((a) => a.read && holds(a, b)))
    .map(({ id }) => id)
    .toSorted();
}

test('flow of exact tokens equals a comparison of whole words, on 5,000 random streams, through a restart too', () => {
  const { rules, faults } = loadRules([{ path: 'r', text: RULE }], { sha256Hex });
  assert.deepEqual(faults, []);
  const settings = settingsFor(rules);
  const random = seeded(11);
  let alerts = 0;
  for (let run = 0; run < 5_000; run++) {
    const { calls, records } = randomCalls(random);
    const want = expected(calls);
    for (const restartAt of [undefined, random(records.length)]) {
      const told = [...(runStageOne(settings, records, restartAt).get('flow') ?? [])].toSorted();
      assert.deepEqual(told, want, JSON.stringify({ run, restartAt, calls }));
    }
    alerts += want.length;
  }
  assert.ok(alerts > 1_000, `only ${alerts} alerts`);
});
