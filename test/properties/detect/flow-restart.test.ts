/** Rules that follow values: what was put off until a comparison asks must not depend on restarts in between. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadRules } from '../../../detectors/compile/load.ts';
import { alertBody } from '../../../detectors/engine/alert.ts';
import { Engine, type EngineOptions } from '../../../detectors/engine/engine.ts';
import { ParsedCall } from '../../../detectors/engine/parsed-call.ts';
import { restoreEngine, snapshotEngine, type EngineSnapshot } from '../../../detectors/engine/snapshot.ts';
import type { Event } from '../../../schemas/event/v1.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const START_MS = 1_750_000_000_000;
const OPTIONS: EngineOptions = { lateWaitMs: 5_000, maxStates: 1_000, maxStatesPerTenant: 1_000 };

const RULES = ['[exact, base64]', "['chunks>=12', reverse]", "['ngram>=24']"]
  .map(
    (via, at) => `id: a.b${at}
title: T
level: low
key: session
events: { read: { tool.name: read, event.kind: call.result }, post: { tool.name: post } }
sequence: [read, post]
within: 10m
flow: [{ from: read.result, to: post.args, via: ${via}, min_entropy: 2.5 }]
limits: { runs_per_key: 3 }
`,
  )
  .join('---\n');
const { rules, faults } = loadRules([{ path: 'r', text: RULES }], { sha256Hex });
assert.deepEqual(faults, []);

/** A text of letters and digits that no other number gives. */
function textOf(number: number, length: number): string {
  let text = '';
  for (let part = 0; text.length < length; part++) text += sha256Hex(`${number} ${part}`);
  return text.slice(0, length);
}

interface Step {
  readonly tool: 'read' | 'post';
  readonly value: number;
  readonly length: number;
  /** Seconds that the event is older than its record. */
  readonly late: number;
  readonly restart: boolean;
}

function alerts(steps: readonly Step[], restarts: boolean): readonly string[] {
  let engine = new Engine(rules, OPTIONS);
  const found: string[] = [];
  steps.forEach(({ tool, value, length, late, restart }, offset) => {
    const appendMs = START_MS + offset * 7_000;
    const body = { text: [`the report says ${textOf(value, length)} and no more`] };
    const event = {
      kind: tool === 'read' ? 'call.result' : 'call.intent',
      stream: 'w',
      seq: offset,
      session: 's',
      agent: 'a',
      callId: `${offset}`,
      tool,
      ...(tool === 'read' ? { result: body } : { args: { body: `x ${textOf(value, length)} y` } }),
    } as unknown as Event;
    const place = {
      tenant: 't',
      topic: 'x',
      partition: 0,
      offset,
      line: 0,
      timeMs: appendMs - late * 1_000,
      appendMs,
    };
    engine.advance(appendMs);
    engine.process(new ParsedCall(event, place, { toolClass: 'other', destHost: () => '', sha256Hex }));
    for (const finding of engine.take()) {
      const { id, calls, ruleId } = alertBody(finding, sha256);
      found.push(`${id} ${ruleId} ${calls.map((call) => call.eventId).join(' ')}`);
    }
    if (!restarts || !restart) return;
    const json = JSON.stringify(snapshotEngine(engine));
    engine = restoreEngine(JSON.parse(json) as EngineSnapshot, rules, OPTIONS);
  });
  return found;
}

// Short values are taken apart at once, middle ones are kept, long ones are taken apart at once.
const lengths = fc.constantFrom(8, 20, 60, 60, 300, 300, 300, 2_000, 17_000);
const steps = fc.array(
  fc.record<Step>({
    tool: fc.constantFrom('read' as const, 'post' as const),
    value: fc.integer({ min: 0, max: 3 }),
    length: lengths,
    late: fc.constantFrom(0, 0, 0, 20, 60),
    restart: fc.boolean(),
  }),
  { minLength: 2, maxLength: 14 },
);

test('the same alerts with and without restarts, whatever was put off', () => {
  let told = 0;
  fc.assert(
    fc.property(steps, (sequence) => {
      const whole = alerts(sequence, false);
      told += whole.length;
      assert.deepEqual(alerts(sequence, true), whole);
    }),
    { numRuns: 100 },
  );
  assert.ok(told > 40, `${told} alerts`);
});

test('a call that sends what was read before is found, as long as both hold enough of it', () => {
  for (const length of [60, 300, 2_000]) {
    const found = alerts(
      [
        { tool: 'read', value: 1, length, late: 0, restart: true },
        { tool: 'post', value: 2, length, late: 0, restart: true },
        { tool: 'post', value: 1, length, late: 0, restart: true },
      ],
      true,
    );
    // A long one is not compared whole, and where that leaves a doubt a coverage alert says so.
    const told = found.filter((line) => !line.includes('coverage'));
    assert.equal(told.length, 3, found.join('\n'));
    for (const line of told) assert.ok(line.endsWith('w-0 w-2'), line);
    assert.equal(found.length > told.length, length === 2_000, found.join('\n'));
  }
});
