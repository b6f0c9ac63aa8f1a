/** A call of the timeline says which labels are its arguments' and which its result's. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { joinCalls } from '../../../services/query/sessions.ts';

const event = (kind: string, more: object = {}) => ({ id: kind, kind, stream: 's', callId: 'c', ...more });

it('labels of both, and all of them together', () => {
  const intent = event('call.intent', { labels: ['secret'] });
  const result = event('call.result', { labels: ['public', 'secret'], trust: 'untrusted' });
  for (const items of [
    [intent, result],
    [result, intent],
  ]) {
    const [call] = joinCalls(items);
    assert.deepEqual(
      [
        call?.['argsLabels'],
        call?.['resultLabels'],
        [...((call?.['labels'] ?? []) as string[])].toSorted(),
        call?.['trust'],
      ],
      [['secret'], ['public', 'secret'], ['public', 'secret'], 'untrusted'],
    );
  }
  const [bare] = joinCalls([event('call.intent'), event('call.result')]);
  assert.deepEqual([bare?.['labels'], bare?.['argsLabels']], [undefined, undefined]);
});
