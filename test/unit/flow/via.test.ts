import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVia } from '../../../detectors/flow/via.ts';

test('the ways that exist are read', () => {
  for (const name of ['exact', 'base64', 'hex', 'url', 'reverse']) {
    assert.deepEqual(parseVia(name), { kind: 'via', via: { name } });
  }
  assert.deepEqual(parseVia('chunks>=8'), { kind: 'via', via: { name: 'chunks', minLength: 8 } });
  assert.deepEqual(parseVia('chunks>=256'), { kind: 'via', via: { name: 'chunks', minLength: 256 } });
  assert.deepEqual(parseVia('ngram>=32'), { kind: 'via', via: { name: 'ngram', minLength: 32 } });
});

test('label says which values are followed, not how', () => {
  assert.deepEqual(parseVia('label'), { kind: 'label' });
});

test('all else is a fault with a hint', () => {
  for (const text of [
    '',
    'Exact',
    'chunks',
    'chunks>=7',
    'chunks>=257',
    'chunks>=1e2',
    'chunks>8',
    'ngram',
    'ngram>=5',
    'ngram>=257',
    'rot13',
    'label>=8',
    'Label',
  ]) {
    const parsed = parseVia(text);
    assert.ok(parsed.kind === 'fault' && parsed.hint !== '', text);
  }
});
