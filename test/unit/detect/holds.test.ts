import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import { FORMAT_EVENTS, HEADERS } from '../../../schemas/topics.ts';
import { StageOne, type DetectSettings } from '../../../services/detect/step.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const START_MS = 1_750_000_000_000;
const STREAM = 'a'.repeat(32);

interface RuleShape {
  readonly mode?: string;
  readonly action?: string;
  readonly more?: string;
}

function stage({ mode = 'enforce', action = 'mode: enforce', more = '' }: RuleShape): StageOne {
  const text = `id: a.b
title: T
level: low
mode: ${mode}
key: session
events: { a: { tool.name: x }, b: { tool.name: y } }
sequence: [a, b]
within: 1m
after_match: { once_per: key, for: 1h }
action: { type: kill, scope: session, ${action}, ttl: 1h }
${more}`;
  const { rules, faults } = loadRules([{ path: 'r', text }], { sha256Hex });
  assert.deepEqual(faults, []);
  const engine = { lateWaitMs: 5_000, maxStates: 100, maxStatesPerTenant: 100 };
  const settings: DetectSettings = { rules, engine, mappings: [], internalHosts: [], sha256Hex, sha256 };
  return new StageOne(settings);
}

interface Sent {
  readonly tool: string;
  readonly held?: boolean;
  readonly kind?: string;
}

/** Sends calls, a record each, and answers the verdicts as "seq verdict rule". */
function verdicts(one: StageOne, calls: readonly Sent[], firstSeq = 0): readonly string[] {
  return calls.flatMap(({ tool, held = false, kind = 'call.intent' }, at) => {
    const seq = firstSeq + at;
    const event = {
      v: 1,
      kind,
      stream: STREAM,
      seq,
      nonce: 'b'.repeat(32),
      time: new Date(START_MS + seq * 1000).toISOString(),
      session: 's',
      agent: 'a',
      callId: `${seq}`,
      tool,
      ...(kind === 'call.result' ? { outcome: 'ok' } : {}),
      ...(held ? { hold: { budgetMs: 50 } } : {}),
    };
    const headers = {
      [HEADERS.format]: FORMAT_EVENTS,
      [HEADERS.tenant]: 't',
      [HEADERS.stream]: STREAM,
      [HEADERS.firstSeq]: String(seq),
    };
    const value = new TextEncoder().encode(JSON.stringify(event));
    one.process({ topic: 'x', partition: 0, offset: seq, appendMs: START_MS + seq * 1000, headers, value });
    return one.takeVerdicts().map(({ tenant, verdict, appendMs, budgetMs }) => {
      assert.deepEqual([tenant, verdict.stream, budgetMs], ['t', STREAM, 50]);
      assert.equal(appendMs, START_MS + verdict.seq * 1000);
      return `${verdict.seq} ${verdict.verdict} ${verdict.ruleId ?? '-'}`;
    });
  });
}

test('a held call that completes a chain is refused; one that does not is cleared', () => {
  const found = verdicts(stage({}), [
    { tool: 'y', held: true },
    { tool: 'x', held: true },
    { tool: 'z', held: true },
    { tool: 'y', held: true },
  ]);
  assert.deepEqual(found, ['0 clear -', '1 clear -', '2 clear -', '3 refuse a.b']);
});

test('what alerted once is refused again, though its alerts are thinned', () => {
  const one = stage({});
  const found = verdicts(one, [{ tool: 'x' }, { tool: 'y', held: true }, { tool: 'y', held: true }]);
  assert.deepEqual(found, ['1 refuse a.b', '2 refuse a.b']);
  assert.equal(one.takeFindings().length, 1);
});

test('only rules that would kill refuse; in shadow they say so', () => {
  const chain = [{ tool: 'x' }, { tool: 'y', held: true }];
  assert.deepEqual(verdicts(stage({ mode: 'alert' }), chain), ['1 clear -']);
  assert.deepEqual(verdicts(stage({ mode: 'shadow' }), chain), ['1 shadow_refuse a.b']);
  assert.deepEqual(verdicts(stage({ action: 'mode: shadow' }), chain), ['1 shadow_refuse a.b']);
});

test('an exception of the rule lets the call through', () => {
  const more = `exceptions:
  - { name: known, when: { tool.name: y }, owner: team, reason: ours, expires: '2030-01-01T00:00:00.000Z' }`;
  assert.deepEqual(verdicts(stage({ more }), [{ tool: 'x' }, { tool: 'y', held: true }]), ['1 clear -']);
});

test('calls that nobody holds, results and repeats get no verdict', () => {
  const one = stage({});
  assert.deepEqual(
    verdicts(one, [{ tool: 'x' }, { tool: 'y' }, { tool: 'y', held: true, kind: 'call.result' }]),
    [],
  );
  assert.deepEqual(verdicts(one, [{ tool: 'y', held: true }], 1), []);
});

test('a reload between record and publication keeps the verdict', () => {
  const one = stage({});
  const settings = (one as unknown as { settings: DetectSettings }).settings;
  verdicts(one, [{ tool: 'x' }]);
  const next = one.renewed(settings);
  assert.deepEqual(verdicts(next, [{ tool: 'y', held: true }], 1), ['1 refuse a.b']);
});
