/** Lines whose calls are held back: what leaves, what is answered and what is on record, whatever comes meanwhile. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import { heldBy, type Held, type HoldSettings, type Settled } from '../../../services/capture/holds.ts';
import type { Observation } from '../../../services/capture/line-state.ts';
import { Observer } from '../../../services/capture/observer.ts';
import { randomSpans } from '../../../services/capture/spans.ts';

const HOLD: HoldSettings = { classes: new Set(['external_post']), budgetMs: 50, onTimeout: 'open' };
const verdict = (name: 'clear' | 'refuse' | 'shadow_refuse', ruleId?: string): Held =>
  heldBy({ kind: 'verdict', verdict: name, ruleId }, HOLD, 7);
const CLEAR = verdict('clear');
const REFUSE = verdict('refuse', 'a.b');

function observer() {
  const subject = new Observer({
    server: 'web',
    transport: 'stdio',
    agent: 'a',
    session: 's',
    clock: { nowMs: () => 1_700_000_000_000, monotonicMs: () => 0 },
    sha256Hex: (bytes) => createHash('sha256').update(bytes).digest('hex'),
    randomHex: (bytes) => 'a'.repeat(bytes * 2),
    spans: randomSpans((bytes) => 'a'.repeat(bytes * 2)),
    decide: () => ({ kind: 'allow' }),
    mappings: () => [],
    injectTrace: false,
    callTimeoutMs: 1_000,
    maxPendingCalls: 10,
    hold: HOLD,
  });
  const see = (direction: 'to_server' | 'to_client', message: unknown): Observation =>
    subject.observe(direction, Buffer.from(JSON.stringify(message)));
  return { subject, see };
}

const call = (id: number, name: string) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
});
/** Nothing but the verdict of detection is waited for. */
const of = (held: Held): Settled => ({ held, approval: undefined });
const text = (bytes: Uint8Array | undefined): unknown =>
  bytes === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString());
const told = ({ drafts }: Pick<Observation, 'drafts'>) =>
  drafts.map(({ kind, fields }) => [kind, fields['outcome'], fields['verdict'], fields['hold']]);

it('only calls of the classes that are set wait', () => {
  const { see } = observer();
  const free = see('to_server', call(1, 'get_weather'));
  assert.equal(free.held, undefined);
  assert.deepEqual(text(free.forward), call(1, 'get_weather'));
  const held = see('to_server', call(2, 'http_post'));
  assert.equal(held.forward, undefined);
  assert.deepEqual(told(held), [['call.intent', undefined, 'allow', { budgetMs: 50 }]]);
});

it('cleared it leaves byte for byte, and its result says how long it waited', () => {
  const { see } = observer();
  const settled = see('to_server', call(1, 'http_post')).held?.settle([of(CLEAR)]);
  assert.deepEqual(text(settled?.forward), call(1, 'http_post'));
  assert.deepEqual(settled?.drafts, []);
  const result = see('to_client', { jsonrpc: '2.0', id: 1, result: { content: [] } });
  const hold = { budgetMs: 50, waitedMs: 7, verdict: 'clear' };
  assert.deepEqual(told(result), [['call.result', 'ok', 'allow', hold]]);
});

it('refused it is answered with the rule, and never leaves', () => {
  const { subject, see } = observer();
  const settled = see('to_server', call(1, 'http_post')).held?.settle([of(REFUSE)]);
  assert.equal(settled?.forward, undefined);
  const { error, id } = JSON.parse(settled?.answers[0] ?? '') as {
    id: number;
    error: { code: number; data: { reason: string } };
  };
  assert.deepEqual([id, error.code, error.data.reason], [1, -32090, 'This call completes rule a.b.']);
  const hold = { budgetMs: 50, waitedMs: 7, verdict: 'refuse', ruleId: 'a.b' };
  assert.deepEqual(settled === undefined ? [] : told(settled), [['call.result', 'refused', 'refuse', hold]]);
  assert.equal(subject.pendingRequests, 0);
});

it('of a batch what is refused stays, the rest leaves', () => {
  const { see } = observer();
  const batch = [call(1, 'http_post'), call(2, 'get_weather'), call(3, 'http_post')];
  const settled = see('to_server', batch).held?.settle([of(REFUSE), of(CLEAR)]);
  assert.deepEqual(text(settled?.forward), batch.slice(1));
  assert.equal((JSON.parse(settled?.answers[0] ?? '') as unknown[]).length, 1);
});

it('one that its host cancels meanwhile does not leave, cleared or not, and has one result', () => {
  for (const ruling of [CLEAR, REFUSE]) {
    const { see } = observer();
    const { held } = see('to_server', call(1, 'http_post'));
    const cancel = see('to_server', {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1 },
    });
    assert.deepEqual(
      told(cancel).map(([, outcome]) => outcome),
      ['cancelled'],
    );
    const settled = held?.settle([of(ruling)]);
    assert.equal(settled?.forward, undefined);
    assert.deepEqual(settled?.drafts, []);
  }
});

it('one that waits while the connection ends is abandoned, and does not leave', () => {
  const { subject, see } = observer();
  const { held } = see('to_server', call(1, 'http_post'));
  assert.deepEqual(
    told({ drafts: subject.close() }).map(([, outcome]) => outcome),
    ['abandoned'],
  );
  const settled = held?.settle([of(CLEAR)]);
  assert.equal(settled?.forward, undefined);
  assert.deepEqual(settled?.drafts, []);
});

it('without a verdict the host does as it is set; a rule in shadow lets go', () => {
  assert.equal(heldBy({ kind: 'timeout' }, HOLD, 50).refused, false);
  assert.equal(heldBy({ kind: 'timeout' }, { ...HOLD, onTimeout: 'closed' }, 50).refused, true);
  assert.equal(verdict('shadow_refuse', 'a.b').refused, false);
});
