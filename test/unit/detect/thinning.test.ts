import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import { Engine } from '../../../detectors/engine/engine.ts';
import { ParsedCall } from '../../../detectors/engine/parsed-call.ts';
import type { Event } from '../../../schemas/event/v1.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const START_MS = 1_750_000_000_000;
const RULE = `id: a.b
title: T
level: low
key: session
events: { a: { tool.name: x }, b: { tool.name: y } }
sequence: [a, b]
within: 10s
after_match: { once_per: key, for: 100s }
`;
/** What makes the rule keep a state of its own. */
const ALONE = `exceptions: [{ name: n, when: { tool.name: z }, owner: o, reason: r, expires: 2099-01-01T00:00:00.000Z }]\n`;

/** Arrivals as [tool, event time, append time] in s → times of the completing calls that were told. */
function toldAt(text: string, arrivals: readonly (readonly [string, number, number])[]): number[] {
  const { rules } = loadRules([{ path: 'r', text }], { sha256Hex });
  const engine = new Engine(rules, { lateWaitMs: 1_000, maxStates: 100, maxStatesPerTenant: 100 });
  return arrivals.flatMap(([tool, timeS, appendS], offset) => {
    const appendMs = START_MS + appendS * 1000;
    const timeMs = START_MS + timeS * 1000;
    const event = { kind: 'call.intent', stream: `w${offset}`, seq: 0, session: 's', agent: 'a', tool };
    const place = { tenant: 't', topic: 'x', partition: 0, offset, line: 0, timeMs, appendMs };
    engine.advance(appendMs);
    const facts = { toolClass: 'other', destHost: () => '', sha256Hex };
    engine.process(new ParsedCall(event as Event, place, facts));
    return engine
      .take()
      .flatMap((found) =>
        found.kind === 'match' ? [(found.completed.last.entry.timeMs - START_MS) / 1000] : [],
      );
  });
}

for (const [name, text] of [
  ['shares a row', RULE],
  ['stands alone', RULE + ALONE],
] as const) {
  test(`once_per also thins what comes late, after its time has passed by append time (${name})`, () => {
    const told = toldAt(text, [
      ['x', 0, 0],
      ['y', 1, 1],
      // 100 s after the alert a key is forgotten if nothing happens. These two come 25 s late.
      ['x', 99, 125],
      ['y', 100, 125],
      // And these are past its time.
      ['x', 101, 126],
      ['y', 102, 126],
    ]);
    assert.deepEqual(told, [1, 102]);
  });
}
