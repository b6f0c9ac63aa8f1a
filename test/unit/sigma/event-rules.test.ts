/** Single-event rules: what each part of a Sigma detection becomes. Expected selections are written by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventRule, onlyRule, searchOf, selectionOf } from './support.ts';

describe('a rule about one event', () => {
  it('becomes a sequence of one step, with what it says about itself', () => {
    const text = `title: Token read from a keychain
id: 6f4d3c1e-0a2b-4c7d-9e8f-102030405060
status: test
description: Somebody reads tokens.
author: A. Writer
references: [https://example.org/why]
tags: [attack.t1555.001, attack.credential-access, atlas.aml.t0098, owasp.mcp01, cve.2026-1]
level: high
falsepositives: Backup jobs
logsource: { product: mcp }
detection:
  read: { tool.name: keychain_read }
  condition: read
`;
    assert.deepEqual(onlyRule(text), {
      id: 'sigma.6f4d3c1e-0a2b-4c7d-9e8f-102030405060',
      title: 'Token read from a keychain',
      description: 'Somebody reads tokens.\n\nSigma rule 6f4d3c1e-0a2b-4c7d-9e8f-102030405060 by A. Writer.',
      status: 'test',
      references: ['https://example.org/why'],
      false_positives: ['Backup jobs'],
      level: 'high',
      tags: ['attack.T1555.001', 'attack-credential-access', 'atlas.AML.T0098', 'owasp.MCP01', 'cve-2026-1'],
      key: 'session',
      events: { selection: { 'tool.name': 'keychain_read' } },
      sequence: ['selection'],
    });
  });
  it('takes its id from the title where it has neither id nor name', () => {
    assert.equal(onlyRule(eventRule('s: { server: x }\ncondition: s'))['id'], 'sigma.a-rule');
    assert.equal(
      onlyRule(eventRule('s: { server: x }\ncondition: s', 'name: My_Rule\n'))['id'],
      'sigma.my_rule',
    );
  });
});

describe('values', () => {
  const cases: readonly (readonly [yaml: string, expected: unknown])[] = [
    ['{ tool.name: send }', { 'tool.name': 'send' }],
    ['{ tool.name: [send, post] }', { 'tool.name': ['send', 'post'] }],
    ['{ args.n: 7, args.b: true }', { 'args.n': 7, 'args.b': true }],
    ["{ args.x: '' }", { 'args.x': '' }],
    ['{ args.x: null }', { 'args.x|exists': false }],
    ["{ args.x: '*' }", { 'args.x|exists': true }],
    ["{ args.x: 'a*' }", { 'args.x|startswith': 'a' }],
    ["{ args.x: '*a' }", { 'args.x|endswith': 'a' }],
    ["{ args.x: '**a*' }", { 'args.x|contains': 'a' }],
    ["{ args.x: 'a*b' }", { 'args.x|re': '(?s)^a.*b$' }],
    ["{ args.x: '*a?b*' }", { 'args.x|re': '(?s)a.b' }],
    ["{ args.x: 'a.b?' }", { 'args.x|re': '(?s)^a\\.b.$' }],
    ["{ args.x: '?*' }", { 'args.x|re': '(?s)^.' }],
    ["{ args.x: '\\*a\\?' }", { 'args.x': '*a?' }],
    ["{ args.x: 'C:\\dir\\\\*' }", { 'args.x|startswith': 'C:\\dir\\' }],
    ["{ args.x: 'a\\\\\\\\b' }", { 'args.x': 'a\\\\b' }],
    ["{ args.x: '$list' }", { 'args.x|re': '(?s)^\\$list$' }],
    ["{ args.x|contains: '$self.server' }", { 'args.x|re': '(?s)\\$self\\.server' }],
    ["{ args.x: [a, 'b*', 7] }", [{ 'args.x': ['a', 7] }, { 'args.x|startswith': 'b' }]],
    ['{ args.x: [a, null] }', [{ 'args.x': 'a' }, { 'args.x|exists': false }]],
  ];
  for (const [yaml, expected] of cases)
    it(`${yaml} is said exactly`, () => {
      assert.deepEqual(searchOf(yaml), expected);
    });
});

describe('modifiers', () => {
  const cases: readonly (readonly [yaml: string, expected: unknown])[] = [
    ['{ args.x|contains: [a, b] }', { 'args.x|contains': ['a', 'b'] }],
    ['{ args.x|contains|all: [a, b] }', { 'args.x|contains|all': ['a', 'b'] }],
    ['{ args.x|contains|all: [a] }', { 'args.x|contains': 'a' }],
    ["{ args.x|all: ['*a*', 'b*', '*c*'] }", { 'args.x|contains|all': ['a', 'c'], 'args.x|startswith': 'b' }],
    ['{ args.x|startswith: a, args.y|endswith: b }', { 'args.x|startswith': 'a', 'args.y|endswith': 'b' }],
    ["{ args.x|startswith: 'a*b' }", { 'args.x|re': '(?s)^a.*b' }],
    ['{ args.x|contains|cased: A }', { 'args.x|contains|cased': 'A' }],
    ['{ args.x|cased: A }', { 'args.x|cased': 'A' }],
    // Patterns of Sigma look at case unless told otherwise, ours do not.
    ["{ args.x|re: '^a.c$' }", { 'args.x|re|cased': '^a.c$' }],
    ["{ args.x|re|i: '^a.c$' }", { 'args.x|re': '^a.c$' }],
    ["{ args.x|re|i|m|s: '^a.c$' }", { 'args.x|re': '(?ms)^a.c$' }],
    ['{ args.ip|cidr: [10.0.0.0/8, fd00::/8] }', { 'args.ip|cidr': ['10.0.0.0/8', 'fd00::/8'] }],
    ["{ args.n|gt: 5, args.n|lte: '9.5' }", { 'args.n|gt': 5, 'args.n|lte': 9.5 }],
    ['{ args.x|exists: true }', { 'args.x|exists': true }],
    ['{ args.x|neq: a }', { 'args.x|not': 'a' }],
    ['{ server|fieldref: agent }', { server: '$self.agent' }],
    ['{ server|fieldref|neq: agent }', { 'server|not': '$self.agent' }],
  ];
  for (const [yaml, expected] of cases)
    it(`${yaml} keeps its meaning`, () => {
      assert.deepEqual(searchOf(yaml), expected);
    });
});

describe('field names', () => {
  it('of common taxonomies become ours', () => {
    const names =
      '{ ToolName: a, user.name: b, destination.ip: 10.0.0.1, Arguments.path: c, tool_response.text: d }';
    assert.deepEqual(searchOf(names), {
      'tool.name': 'a',
      principal: 'b',
      'dest.host': '10.0.0.1',
      'args.path': 'c',
      'result.text': 'd',
    });
  });
});

describe('conditions', () => {
  const searches = `a: { args.x: 1 }
b1: { args.y: 1 }
b2: { args.z: 1 }
_c: { args.w: 1 }
condition: `;
  const cases: readonly (readonly [condition: string, expected: unknown])[] = [
    ['a and b1', { 'args.x': 1, 'args.y': 1 }],
    ['a OR b1', [{ 'args.x': 1 }, { 'args.y': 1 }]],
    ['a or b1 and b2', [{ 'args.x': 1 }, { 'args.y': 1, 'args.z': 1 }]],
    [
      '(a or b1) and b2',
      [
        { 'args.x': 1, 'args.z': 1 },
        { 'args.y': 1, 'args.z': 1 },
      ],
    ],
    ['not a', { 'args.x|not': 1 }],
    ['not (a or b1)', { 'args.x|not': 1, 'args.y|not': 1 }],
    ['not not a and a', { 'args.x': 1 }],
    [
      'a and not (b1 and b2)',
      [
        { 'args.x': 1, 'args.y|not': 1 },
        { 'args.x': 1, 'args.z|not': 1 },
      ],
    ],
    ['1 of b*', [{ 'args.y': 1 }, { 'args.z': 1 }]],
    ['all of b*', { 'args.y': 1, 'args.z': 1 }],
    ['not 1 of b*', { 'args.y|not': 1, 'args.z|not': 1 }],
    ['all of them', { 'args.x': 1, 'args.y': 1, 'args.z': 1 }],
    [
      'any of them and _c',
      [
        { 'args.x': 1, 'args.w': 1 },
        { 'args.y': 1, 'args.w': 1 },
        { 'args.z': 1, 'args.w': 1 },
      ],
    ],
    ['[a, b1]', [{ 'args.x': 1 }, { 'args.y': 1 }]],
  ];
  for (const [condition, expected] of cases)
    it(`${condition} is multiplied out`, () => {
      assert.deepEqual(selectionOf(searches + condition), expected);
    });
  it('over a list of maps take any of them', () => {
    const list = 's:\n  - { server: a, agent: b }\n  - { server: c }\ncondition: s';
    assert.deepEqual(selectionOf(list), [{ server: 'a', agent: 'b' }, { server: 'c' }]);
    assert.deepEqual(selectionOf(list.replace(': s', ': not s').replace('conditio', 'conditio')), [
      { 'server|not': ['a', 'c'] },
      { 'agent|not': 'b', 'server|not': 'c' },
    ]);
  });
  it('that name one field twice keep both lines', () => {
    const twice = (a: string, b: string, condition: string): unknown =>
      selectionOf(`a: { ${a} }\nb: { ${b} }\ncondition: ${condition}`);
    assert.deepEqual(twice('args.x|contains: [p, q]', 'args.x|contains: [r, s]', 'a and b'), {
      'args.x|contains': ['p', 'q'],
      'args.x|in|contains': ['r', 's'],
    });
    assert.deepEqual(twice('args.x|contains|all: [p, q]', 'args.x|contains|all: [q, r]', 'a and b'), {
      'args.x|contains|all': ['p', 'q', 'r'],
    });
    assert.deepEqual(twice('args.x: p', 'args.x: q', 'not a and not b'), { 'args.x|not': ['p', 'q'] });
    assert.deepEqual(twice('args.x: p', 'args.x: p', 'a and b'), { 'args.x': 'p' });
    assert.deepEqual(twice('args.x: null', 'args.y: 1', 'b and not a'), {
      'args.y': 1,
      'args.x|exists': true,
    });
  });
});
