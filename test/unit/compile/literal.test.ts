import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasLiteral } from '../../../detectors/compile/literal.ts';

test('a pattern holds a literal where every match must hold three plain characters in a row', () => {
  const held = [
    'abc',
    '^abc$',
    'a\\.bc',
    '(?:foo|barbaz)',
    '(?i)curl',
    '\\d+abc',
    'x?abc',
    '(?P<n>abc)+',
    '\\babc\\b',
  ];
  const bare = [
    '',
    'ab',
    'a.b.c',
    '[abc]{3}',
    'abc|d',
    '(?:abc)?',
    'ab?c',
    '(?:foo|b)',
    '\\w+',
    'ab(?:c|d)',
    'abc{0,2}',
  ];
  assert.deepEqual(
    held.filter((pattern) => !hasLiteral(pattern)),
    [],
  );
  assert.deepEqual(bare.filter(hasLiteral), []);
});
