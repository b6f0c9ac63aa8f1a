import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { planResponse, type ResponseSettings } from '../../../services/respond/step.ts';

const ALERT: AlertBody = {
  id: 'ab'.repeat(32),
  ruleId: 'exfiltration',
  ruleHash: 'cd'.repeat(32),
  title: 'search, vault, post',
  level: 'high',
  mode: 'enforce',
  tags: [],
  scope: 'session',
  key: { session: 's1' },
  timeBasis: 'event',
  calls: [],
  action: { type: 'kill', scope: 'session', target: 's1', mode: 'enforce', ttlMs: 60_000 },
  summary: '',
};
const SETTINGS: ResponseSettings = {
  destinations: [
    { name: 'all', tenant: 'acme', minLevel: 'informational' },
    { name: 'critical-only', tenant: 'acme', minLevel: 'critical' },
    { name: 'high', tenant: 'acme', minLevel: 'high' },
    { name: 'elsewhere', tenant: 'other', minLevel: 'informational' },
  ],
  allowRuleKills: true,
};
const AT = { tenant: 'acme', appendMs: 1_000_000, nowMs: 1_000_500 };
const plan = (change: Partial<AlertBody>, settings = SETTINGS, at = AT) =>
  planResponse({ ...ALERT, ...change }, at, settings);

suite('who is told', () => {
  test('destinations of the tenant, from their level on', () => {
    assert.deepEqual(plan({}).deliverTo, ['all', 'high']);
    assert.deepEqual(plan({ level: 'medium' }).deliverTo, ['all']);
    assert.deepEqual(plan({ level: 'critical' }).deliverTo, ['all', 'critical-only', 'high']);
  });
  test('a rule in shadow or off pages nobody and kills nothing', () => {
    for (const mode of ['off', 'shadow'] as const)
      assert.deepEqual(plan({ mode }), { deliverTo: [], kill: { kind: 'none' } });
  });
});

suite('kill of a rule', () => {
  test('enforced by event time: a control named after the alert, for what is left of its time', () => {
    assert.deepEqual(plan({}).kill, {
      kind: 'set',
      kill: {
        controlId: `rule-${'ab'.repeat(32)}`,
        scope: 'session',
        target: 's1',
        mode: 'enforce',
        ttlMs: 59_500,
        reason: 'rule exfiltration: search, vault, post',
      },
    });
  });
  test('an action in shadow asks for a shadow control', () => {
    const { kill } = plan({
      action: { type: 'kill', scope: 'agent', target: 'a', mode: 'shadow', ttlMs: 5000 },
    });
    assert.equal(kill.kind === 'set' && kill.kill.mode, 'shadow');
  });
  const refused: readonly (readonly [string, Partial<AlertBody>, Partial<ResponseSettings>, string])[] = [
    ['a rule that only alerts', { mode: 'alert' }, {}, 'rule_not_enforced'],
    ['an alert that held only by append time', { timeBasis: 'append' }, {}, 'time_basis'],
    ['kills of rules are switched off', {}, { allowRuleKills: false }, 'not_allowed'],
    [
      'a rule that wants to stop everything',
      { action: { type: 'kill', scope: 'global', target: '*', mode: 'enforce', ttlMs: 60_000 } },
      {},
      'global_scope',
    ],
  ];
  for (const [name, change, settings, reason] of refused)
    test(name, () => {
      assert.deepEqual(plan(change, { ...SETTINGS, ...settings }).kill, { kind: 'refused', reason });
    });
  test('an alert that is read late does not kill anew', () => {
    const at = (lateMs: number) => ({ ...AT, nowMs: AT.appendMs + lateMs });
    assert.equal(plan({}, SETTINGS, at(59_000)).kill.kind, 'set');
    assert.deepEqual(plan({}, SETTINGS, at(59_001)).kill, { kind: 'refused', reason: 'expired' });
  });
  test('no action, no kill', () => {
    const { action: _action, ...alert } = ALERT;
    assert.deepEqual(planResponse(alert, AT, SETTINGS).kill, { kind: 'none' });
  });
  test('a long title is cut between characters', () => {
    const { kill } = plan({ ruleId: 'r'.repeat(256), title: '\u{1F512}'.repeat(400) });
    const reason = kill.kind === 'set' ? kill.kill.reason : '';
    assert.ok(reason.length <= 1024 && reason.length >= 1023);
    assert.doesNotMatch(reason, /[\uD800-\uDBFF]$/u);
  });
});
