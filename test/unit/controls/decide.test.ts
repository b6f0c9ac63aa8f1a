import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { decideCall, isInForce, type ControlledCall } from '../../../schemas/control/decide.ts';
import { newerControl } from '../../../schemas/control/verify.ts';
import type { Control } from '../../../schemas/control/v1.ts';

const NOW_MS = Date.parse('2026-01-31T12:30:00.000Z');
const BASE: Control = {
  v: 1,
  id: 'ctl-a',
  version: 1,
  tenant: 'acme',
  scope: 'tool',
  target: 'post',
  mode: 'enforce',
  state: 'set',
  reason: 'test',
  issuedBy: 'alice',
  issuedAt: '2026-01-31T12:00:00.000Z',
  expiresAt: '2026-01-31T13:00:00.000Z',
};
const CALL: ControlledCall = {
  tenant: 'acme',
  agent: 'planner',
  session: 's1',
  server: 'poster',
  tool: 'post',
  class: 'external_post',
};
const control = (change: Partial<Control>): Control => ({ ...BASE, ...change });

suite('which control stops a call', () => {
  const stops: readonly (readonly [string, Partial<Control>, Partial<ControlledCall>, boolean])[] = [
    ['tool by name', {}, {}, true],
    ['another tool', {}, { tool: 'get' }, false],
    ['tool narrowed to its server', { target: 'poster/post' }, {}, true],
    ['same tool of another server', { target: 'poster/post' }, { server: 'mail' }, false],
    ['narrowed tool, server unknown', { target: 'poster/post' }, { server: undefined }, false],
    ['tool with a slash in its own name', { target: 'a/b' }, { tool: 'a/b', server: undefined }, true],
    ['a name that looks like a pattern is no pattern', { target: '.*' }, {}, false],
    ['star is a name for a tool, not a wildcard', { target: '*' }, {}, false],
    ['class', { scope: 'class', target: 'external_post' }, {}, true],
    ['another class', { scope: 'class', target: 'search' }, {}, false],
    ['server', { scope: 'server', target: 'poster' }, {}, true],
    ['server unknown', { scope: 'server', target: 'poster' }, { server: undefined }, false],
    ['agent', { scope: 'agent', target: 'planner' }, {}, true],
    ['session', { scope: 'session', target: 's1' }, {}, true],
    ['another session', { scope: 'session', target: 's1' }, { session: 's2' }, false],
    ['tenant', { scope: 'tenant', target: '*' }, {}, true],
    ['another tenant', { scope: 'tenant', target: '*' }, { tenant: 'other' }, false],
    ['host that does not know its tenant', { scope: 'tenant', target: '*' }, { tenant: undefined }, true],
    ['global', { scope: 'global', tenant: '*', target: '*' }, { tenant: 'other' }, true],
    ['tenant star without scope global', { tenant: '*' }, {}, false],
    ['lifted', { state: 'lifted' }, {}, false],
  ];
  for (const [name, change, call, isStopped] of stops)
    test(name, () => {
      const decision = decideCall([control(change)], { ...CALL, ...call }, NOW_MS);
      assert.equal(decision.kind, isStopped ? 'refuse' : 'allow');
    });

  test('an expired control stops nothing from its expiry on, and everything the millisecond before', () => {
    const expiresMs = Date.parse(BASE.expiresAt);
    assert.equal(decideCall([BASE], CALL, expiresMs - 1).kind, 'refuse');
    assert.equal(decideCall([BASE], CALL, expiresMs).kind, 'allow');
    assert.equal(decideCall([BASE], CALL, expiresMs + 1).kind, 'allow');
  });

  test('a host whose clock is behind the issuer does not wait with a kill', () => {
    assert.equal(decideCall([BASE], CALL, Date.parse(BASE.issuedAt) - 60_000).kind, 'refuse');
  });

  test('an expiry that is no date stays closed', () => {
    assert.equal(isInForce(control({ expiresAt: 'never' }), NOW_MS), true);
  });

  test('enforce beats shadow, broad beats narrow', () => {
    const shadowed = control({ id: 'ctl-s', scope: 'tenant', target: '*', mode: 'shadow' });
    const agent = control({ id: 'ctl-g', scope: 'agent', target: 'planner' });
    const decision = decideCall([shadowed, BASE, agent], CALL, NOW_MS);
    assert.deepEqual(decision, { kind: 'refuse', control: agent });
    assert.deepEqual(decideCall([shadowed], CALL, NOW_MS), { kind: 'shadow', control: shadowed });
  });
});

suite('merge of versions', () => {
  test('an older version never replaces a newer one', () => {
    const held = control({ version: 5, state: 'set' });
    assert.equal(newerControl(held, control({ version: 4, state: 'lifted' })), 'stale');
    assert.equal(newerControl(held, control({ version: 5, state: 'lifted' })), 'same');
    assert.equal(newerControl(held, control({ version: 6, state: 'lifted' })), 'newer');
    assert.equal(newerControl(undefined, held), 'newer');
  });
});
