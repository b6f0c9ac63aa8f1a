import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import { Engine } from '../../../detectors/engine/engine.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { ParsedCall } from '../../../detectors/engine/parsed-call.ts';
import { restoreEngine, snapshotEngine, type EngineSnapshot } from '../../../detectors/engine/snapshot.ts';
import type { Event } from '../../../schemas/event/v1.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const START_MS = 1_750_000_000_000;
const OPTIONS = { lateWaitMs: 5_000, maxStates: 12, maxStatesPerTenant: 8 };
const text = ['one', 'two']
  .map(
    (id) => `id: a.${id}
title: T
level: low
key: session
events: { a: { tool.name: x }, b: { tool.name: y }, c: { tool.name: ${id} } }
sequence: [a, b, c]
within: ${id === 'one' ? 30 : 90}s
`,
  )
  .join('---\n');
const { rules } = loadRules([{ path: 'r', text }], { sha256Hex });

/** The n-th event of a load over more sessions than the budget holds, of three tenants. */
function send(engine: Engine, n: number): void {
  const appendMs = START_MS + n * 3_500;
  const draw = Math.imul(n + 1, 2_654_435_761) >>> 0;
  const event = {
    kind: 'call.intent',
    stream: `w${n}`,
    seq: 0,
    session: `s${(draw >>> 3) % 7}`,
    agent: 'a',
    tool: ['x', 'x', 'y', 'one', 'two'][(draw >>> 9) % 5] ?? '',
  };
  engine.advance(appendMs);
  const place = { tenant: `t${draw % 3}`, topic: 'x', partition: 0, offset: n, line: 0, timeMs: appendMs };
  const facts = { toolClass: 'other', destHost: () => '', sha256Hex };
  engine.process(new ParsedCall(event as Event, { ...place, appendMs }, facts));
}

const told = (findings: readonly Finding[]): string[] =>
  findings.map((finding) =>
    finding.kind === 'match'
      ? `${finding.rule.id} ${finding.keyText} ${finding.completed.last.entry.reference.eventId}`
      : `${finding.ruleId} ${finding.tenant} ${finding.reason} ${finding.entry.reference.eventId}`,
  );
const held = (engine: Engine): string[] =>
  Array.from(engine.states(), (state) =>
    'plan' in state ? `${state.plan.rule.id} ${state.mapKey}` : `simple ${state.tenant} ${state.name}`,
  );

test('a restored engine gives up the same states and tells the same as one that went on', () => {
  for (const cut of [1, 50, 113, 250, 399]) {
    let restored = new Engine(rules, OPTIONS);
    const whole = new Engine(rules, OPTIONS);
    for (let n = 0; n < 600; n++) {
      if (n === cut) {
        restored.take();
        const json = JSON.stringify(snapshotEngine(restored));
        restored = restoreEngine(JSON.parse(json) as EngineSnapshot, rules, OPTIONS);
      }
      send(whole, n);
      send(restored, n);
      const expected = told(whole.take());
      assert.deepEqual(told(restored.take()), expected, `cut ${cut}, event ${n}`);
      assert.deepEqual(held(restored), held(whole), `cut ${cut}, event ${n}`);
    }
    assert.ok(whole.counts.evictions > 100, `only ${whole.counts.evictions} evictions`);
    assert.ok(whole.counts.findings > 3, `only ${whole.counts.findings} matches`);
  }
});
