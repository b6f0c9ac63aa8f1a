/** decideCall against an oracle written the other way round: sort everything, then look. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTROL_SCOPES } from '../../../schemas/alert/v1.ts';
import { decideCall, type ControlledCall } from '../../../schemas/control/decide.ts';
import type { Control } from '../../../schemas/control/v1.ts';

const name = fc.constantFrom('a', 'b', 'a/b', 'b/a', '*');
const arbitraryControl: fc.Arbitrary<Control> = fc.record({
  v: fc.constant(1 as const),
  id: fc.constantFrom('c1', 'c2', 'c3', 'c4'),
  version: fc.integer({ min: 1, max: 5 }),
  tenant: fc.constantFrom('t', 'u', '*'),
  scope: fc.constantFrom(...CONTROL_SCOPES),
  target: fc.oneof(name, fc.constantFrom('t', 'search')),
  mode: fc.constantFrom('shadow' as const, 'enforce' as const),
  state: fc.constantFrom('set' as const, 'lifted' as const),
  reason: fc.constant('r'),
  issuedBy: fc.constant('i'),
  issuedAt: fc.constant('1970-01-01T00:00:00.000Z'),
  expiresAt: fc.integer({ min: 0, max: 4 }).map((ms) => new Date(ms).toISOString()),
});
const arbitraryCall: fc.Arbitrary<ControlledCall> = fc.record({
  tenant: fc.constantFrom('t', 'u', undefined),
  agent: name,
  session: name,
  server: fc.option(name, { nil: undefined }),
  tool: name,
  class: fc.constantFrom('search', 'other'),
});

/** Names that a call answers to, by scope: what design.md's list of scopes says, as data. */
function namesOf(
  call: ControlledCall,
  control: Control,
): Readonly<Record<Control['scope'], readonly string[]>> {
  return {
    global: [control.target],
    tenant: ['*', control.tenant],
    session: [call.session],
    agent: [call.agent],
    server: call.server === undefined ? [] : [call.server],
    class: [call.class],
    tool: call.server === undefined ? [call.tool] : [call.tool, `${call.server}/${call.tool}`],
  };
}

function oracle(controls: readonly Control[], call: ControlledCall, nowMs: number): string {
  const breadth = ['global', 'tenant', 'session', 'agent', 'server', 'class', 'tool'];
  const matching = controls.filter(
    (control) =>
      control.state === 'set' &&
      new Date(control.expiresAt).getTime() > nowMs &&
      (control.tenant === '*'
        ? control.scope === 'global'
        : [undefined, control.tenant].includes(call.tenant)) &&
      namesOf(call, control)[control.scope].includes(control.target),
  );
  const modes = new Set(matching.map((control) => control.mode));
  if (modes.size === 0) return 'allow';
  const mode = modes.has('enforce') ? 'enforce' : 'shadow';
  const [first] = matching
    .filter((control) => control.mode === mode)
    .map(
      (control) =>
        [
          breadth.indexOf(control.scope),
          -new Date(control.expiresAt).getTime(),
          control.id,
          -control.version,
        ] as const,
    )
    .toSorted(
      (left, right) =>
        left[0] - right[0] || left[1] - right[1] || left[2].localeCompare(right[2]) || left[3] - right[3],
    );
  return `${mode} ${first?.[2]} ${first?.[3]}`;
}

function show(controls: readonly Control[], call: ControlledCall, nowMs: number): string {
  const decision = decideCall(controls, call, nowMs);
  if (decision.kind === 'allow') return 'allow';
  const mode = decision.kind === 'refuse' ? 'enforce' : 'shadow';
  return `${mode} ${decision.control.id} ${-decision.control.version}`;
}

test('decides as the oracle does, whatever the order of the controls', () => {
  let stopped = 0;
  fc.assert(
    fc.property(
      fc.array(arbitraryControl, { maxLength: 8 }),
      arbitraryCall,
      fc.integer({ min: 0, max: 4 }),
      (controls, call, nowMs) => {
        const expected = oracle(controls, call, nowMs);
        if (expected !== 'allow') stopped += 1;
        assert.equal(show(controls, call, nowMs), expected);
        assert.equal(show(controls.toReversed(), call, nowMs), expected);
      },
    ),
    { numRuns: 5000 },
  );
  assert.ok(stopped > 500, `only ${stopped} runs had a control that stopped the call`);
});
