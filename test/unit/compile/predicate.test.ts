/** Conditions that compare with patterns, networks and several values at once. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { FieldSource } from '../../../detectors/compile/fields.ts';
import { loadRules } from '../../../detectors/compile/load.ts';
import { conditionTest, parseCondition, type Scalar } from '../../../detectors/compile/predicate.ts';

const NO_LISTS: ReadonlyMap<string, readonly string[]> = new Map();

function sourceOf(event: object, host = ''): FieldSource {
  return { event, toolClass: 'other', destHost: () => host };
}

/** Whether arguments (or a whole source) fit a line of a selection. */
function fits(name: string, values: Scalar | Scalar[], source: FieldSource): boolean {
  const outcome = parseCondition(name, values, NO_LISTS);
  if (outcome.kind === 'fault') assert.fail(outcome.message);
  return conditionTest(outcome.condition)(source);
}

function faultOf(name: string, values: Scalar | Scalar[]): string {
  const outcome = parseCondition(name, values, NO_LISTS);
  if (outcome.kind === 'condition') assert.fail('it was taken');
  assert.notEqual(outcome.hint, '');
  return outcome.message;
}

const args = (value: unknown): FieldSource => sourceOf({ args: { x: value } });

describe('re', () => {
  it('is found anywhere, without case unless cased says so', () => {
    assert.equal(fits('args.x|re', 'pass(word|phrase)', args('my PASSPHRASE is')), true);
    assert.equal(fits('args.x|re|cased', 'pass(word|phrase)', args('my PASSPHRASE is')), false);
    assert.equal(fits('args.x|re', '^a.c$', args('abcd')), false);
    assert.equal(fits('args.x|re', ['^no$', 'b'], args('abcd')), true);
  });
  it('sees numbers as text, and nothing where the field is missing', () => {
    assert.equal(fits('args.x|re', '^4\\d$', args(42)), true);
    assert.equal(fits('args.x|re', '.*', args(undefined)), false);
    assert.equal(fits('args.x|re|not', '.*', args(undefined)), true);
  });
  it('refuses what RE2 has no linear time for, with what is wrong', () => {
    assert.match(faultOf('args.x|re', '(a'), /missing closing/);
    assert.match(faultOf('args.x|re', '(?=a)b'), /unsupported Perl syntax/);
    assert.match(faultOf('args.x|re', '(a)\\1'), /invalid escape/);
    assert.match(faultOf('args.x|re', 'a'.repeat(1025)), /longer than 1 KiB/);
    assert.match(faultOf('args.x|re', 'é'.repeat(600)), /longer than 1 KiB/);
    assert.match(faultOf('args.x|re', '(?:[a-z]{40}[0-9]{40}){20}.{900}'), /too large/);
    assert.match(faultOf('args.x|re', 7), /takes patterns/);
  });
  it('stays linear where a backtracking engine would hang', () => {
    const startMs = performance.now();
    assert.equal(fits('args.x|re', '^(a+)+$', args(`${'a'.repeat(50_000)}b`)), false);
    assert.ok(performance.now() - startMs < 2_000);
  });
  it('searches the first 65,536 characters', () => {
    assert.equal(fits('args.x|re', 'z', args(`${'a'.repeat(65_535)}z`)), true);
    assert.equal(fits('args.x|re', 'z', args(`${'a'.repeat(65_536)}z`)), false);
  });
  it('takes any text as a pattern or says why not, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 64 }), (pattern) => {
        const outcome = parseCondition('args.x|re', [pattern], new Map());
        if (outcome.kind === 'condition') conditionTest(outcome.condition)(args('some text'));
      }),
    );
  });
});

describe('cidr', () => {
  const inside = (address: unknown, network = '10.0.0.0/8'): boolean =>
    fits('args.x|cidr', network, args(address));
  it('holds for addresses inside, of either version', () => {
    assert.equal(inside('10.255.0.1'), true);
    assert.equal(inside('11.0.0.1'), false);
    assert.equal(inside('fd12::1', 'fd00::/8'), true);
    assert.equal(inside('[fd12::1]', 'fd00::/8'), true);
    assert.equal(inside('fe80::1', 'fd00::/8'), false);
    assert.equal(inside('10.0.0.1', '::/0'), false);
  });
  it('knows an address in whatever notation an attacker writes it', () => {
    assert.equal(inside('::ffff:10.1.2.3'), true);
    assert.equal(inside('167772161'), true, '10.0.0.1 as one number');
    assert.equal(inside('0x0a.0.0.1'), true);
    assert.equal(inside('012.0.0.1'), true, 'octal 10');
    assert.equal(inside('10.0.0.1', '::ffff:10.0.0.0/104'), true);
  });
  it('fits nothing that is no address, so it fits the negation', () => {
    for (const value of ['example.org', '', '10.0.0.1:80', undefined, null, 10, ['x'], '1'.repeat(500)]) {
      assert.equal(inside(value), false, String(value));
      assert.equal(fits('args.x|cidr|not', '10.0.0.0/8', args(value)), true, String(value));
    }
  });
  it('reads the outside host of the call', () => {
    assert.equal(
      fits('dest.host|cidr', ['169.254.0.0/16', 'fd00::/8'], sourceOf({}, '169.254.169.254')),
      true,
    );
    assert.equal(fits('dest.host|cidr', '169.254.0.0/16', sourceOf({}, 'example.org')), false);
  });
  it('refuses values that are no networks', () => {
    for (const value of ['10.0.0.1', '10.0.0.0/33', 'x/8', '', 10])
      assert.match(faultOf('args.x|cidr', value), /none/);
  });
});

describe('all', () => {
  it('wants every value', () => {
    assert.equal(fits('args.x|contains|all', ['a', 'b'], args('b and A')), true);
    assert.equal(fits('args.x|contains|all', ['a', 'z'], args('b and A')), false);
    assert.equal(fits('args.x|contains|all|not', ['a', 'z'], args('b and A')), true);
    assert.equal(fits('args.x|re|all', ['^b', 'A$'], args('b and A')), true);
    assert.equal(fits('args.x|contains|all', ['a', 'b'], args(undefined)), false);
  });
  it('lets different elements of a list fit', () => {
    assert.equal(fits('labels|all', ['secret', 'pii'], sourceOf({ labels: ['pii', 'x', 'secret'] })), true);
    assert.equal(fits('labels|all', ['secret', 'pii'], sourceOf({ labels: ['pii', 'x'] })), false);
  });
  it('is another condition than any, so another hash', () => {
    const any = parseCondition('args.x|contains', ['a', 'b'], NO_LISTS);
    const all = parseCondition('args.x|contains|all', ['a', 'b'], NO_LISTS);
    assert.notDeepEqual(any, all);
  });
  it('goes with no number, network or presence', () => {
    for (const operator of ['gt', 'cidr', 'exists'])
      assert.match(faultOf(`args.x|${operator}|all`, 1), /does not fit/);
  });
});

describe('alert fields', () => {
  const alert = { ruleId: 'chain.x', level: 'high', tags: ['owasp.ASI02'], ruleHash: 'ab' };
  it('read the alert that an event of the matcher carries', () => {
    const source = sourceOf({ alert });
    assert.equal(fits('alert.rule|startswith', 'chain.', source), true);
    assert.equal(fits('alert.level', ['high', 'critical'], source), true);
    assert.equal(fits('alert.tags', 'owasp.asi02', source), true);
    assert.equal(fits('alert.rule_hash', 'ab', source), true);
  });
  it('are missing everywhere else', () => {
    for (const event of [{}, { alert: null }, { alert: 'x' }, { alert: Object.create(alert) as object }])
      assert.equal(fits('alert.rule|exists', false, sourceOf(event)), true);
  });
});

describe('fields of a registry snapshot', () => {
  const hash = (digit: string): string => digit.repeat(64);
  const registry = {
    snapshotHash: hash('a'),
    tools: [
      { name: 'read', definitionHash: hash('b') },
      { name: 'send\u200B', definitionHash: hash('c') },
    ],
  };
  it('are its hash, the names and hashes of its tools, and their number', () => {
    const source = sourceOf({ kind: 'registry.snapshot', registry });
    assert.equal(fits('registry.snapshot_hash', hash('a'), source), true);
    assert.equal(fits('registry.tools', 'READ', source), true);
    assert.equal(fits('registry.tools|cased', 'READ', source), false);
    assert.equal(fits('registry.tools|re', '\\x{200B}', source), true);
    assert.equal(fits('registry.hashes|all', [hash('b'), hash('c')], source), true);
    assert.equal(fits('registry.tool_count|gte', 2, source), true);
    assert.equal(fits('registry.tool_count|gt', 2, source), false);
  });
  it('of an empty list are none, but counted', () => {
    const source = sourceOf({ registry: { ...registry, tools: [] } });
    assert.equal(fits('registry.tools', 'read', source), false);
    assert.equal(fits('registry.tool_count', 0, source), true);
  });
  it('are missing everywhere else', () => {
    for (const name of [
      'registry.snapshot_hash',
      'registry.tools',
      'registry.hashes',
      'registry.tool_count',
    ]) {
      assert.equal(fits(`${name}|exists`, false, sourceOf({})), true);
      assert.equal(fits(`${name}|exists`, false, sourceOf({ registry: { tools: 7 } })), true);
    }
    assert.match(faultOf('registry.other', 'x'), /no field/);
  });
});

describe('semantic hashes', () => {
  it('of the shipped rules do not move when the language grows: their alerts keep their ids', () => {
    const root = resolve(import.meta.dirname, '../../../detectors/rules');
    // As of the first version of the language; two rules themselves have changed since: the first takes reads by URI along, the third leaves out
    // calls that their host refused.
    const known = {
      'chain.search-vault-post': 'ea807d245f5787d955b6778558ca5abbde32e49b50059187ee246cebac453cd7',
      'chain.secret-to-sink': 'aad277ef15a82c0d9004d88122931044c809f97fa0550d377e080db81639e6bb',
      'absence.delete-without-approval': '166db9dbda89b51a62f1817eb9b35a19837dcee0238240e3f5b5456b2765e7e9',
      'cross.agent-relay': '297e5499607bae83bec18f37ac8f2db2cc3a5f7257a4f52a234a5230cc819c6a',
    };
    const paths = [
      'exfiltration/search-vault-post',
      'exfiltration/secret-to-sink',
      'destructive/delete-without-approval',
      'relay/agent-relay',
    ];
    const files = paths.map((path) => ({ path, text: readFileSync(join(root, path, 'rule.yaml'), 'utf8') }));
    const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
    const { rules, faults } = loadRules(files, { sha256Hex });
    assert.deepEqual(faults, []);
    assert.deepEqual(Object.fromEntries(rules.map((rule) => [rule.id, rule.hash])), known);
  });
});
