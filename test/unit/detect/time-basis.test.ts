import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import { alertBody } from '../../../detectors/engine/alert.ts';
import { Engine } from '../../../detectors/engine/engine.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { ParsedCall } from '../../../detectors/engine/parsed-call.ts';
import type { Event } from '../../../schemas/event/v1.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const START_MS = 1_750_000_000_000;

function rule(policy: string): string {
  return `id: a.b
title: T
level: low
mode: enforce
key: session
events: { a: { tool.name: x }, b: { tool.name: y } }
sequence: [a, b]
within: 1m
after_match: ${policy}
action: { type: kill, scope: session, ttl: 1h }
`;
}

/** Arrivals as [tool, event time, append time] in s. */
function findings(policy: string, arrivals: readonly (readonly [string, number, number])[]): Finding[] {
  const { rules } = loadRules([{ path: 'r', text: rule(policy) }], { sha256Hex });
  const engine = new Engine(rules, { lateWaitMs: 5_000, maxStates: 100, maxStatesPerTenant: 100 });
  return arrivals.flatMap(([tool, timeS, appendS], offset) => {
    const event = { kind: 'call.intent', stream: `w${offset}`, seq: 0, session: 's', agent: 'a', tool };
    const appendMs = START_MS + appendS * 1000;
    engine.advance(appendMs);
    const timeMs = START_MS + timeS * 1000;
    const place = { tenant: 't', topic: 'x', partition: 0, offset, line: 0, timeMs, appendMs };
    engine.process(
      new ParsedCall(event as Event, place, { toolClass: 'other', destHost: () => '', sha256Hex }),
    );
    return engine.take();
  });
}

for (const policy of ['every', '{ once_per: key, for: 1h }']) {
  test(`a delayed event does not take the kill away: append time is confirmed by event time (${policy})`, () => {
    // y stands before the first x by event time and after it by append time; a second x, late, stands before y.
    const found = findings(policy, [
      ['x', 20, 20],
      ['y', 15, 21],
      ['x', 10, 22],
    ]);
    const bodies = found.map((finding) => alertBody(finding, sha256));
    assert.deepEqual(
      bodies.map((body) => [body.timeBasis, body.action?.type, body.calls.map((call) => call.eventId)]),
      [
        ['append', undefined, ['w0-0', 'w1-0']],
        ['event', 'kill', ['w2-0', 'w1-0']],
      ],
    );
    assert.notEqual(bodies[0]?.id, bodies[1]?.id);
  });
}

test('an alert by event time is not repeated by append time', () => {
  const found = findings('every', [
    ['x', 10, 10],
    ['y', 11, 11],
    ['x', 5, 12],
  ]);
  assert.equal(found.length, 1);
});
