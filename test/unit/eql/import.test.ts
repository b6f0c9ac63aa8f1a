import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { stringify } from 'yaml';
import { loadRules } from '../../../detectors/compile/load.ts';
import { runRuleTests } from '../../../detectors/engine/rule-tests.ts';
import { importEql } from '../../../detectors/eql/import.ts';
import { sha256Hex } from '../../../services/detect/main.ts';

const OPTIONS = { id: 'imported.test' };

function ruleOf(query: string): Readonly<Record<string, unknown>> {
  const outcome = importEql(query, OPTIONS);
  assert.ok(outcome.kind === 'rule', JSON.stringify(outcome));
  return outcome.rule;
}

function refusalsOf(query: string): string {
  const outcome = importEql(query, OPTIONS);
  assert.ok(outcome.kind === 'refused', JSON.stringify(outcome));
  return outcome.refusals.map(({ what, why }) => `${what}: ${why}`).join('\n');
}

const selection = (condition: string): unknown => {
  const rule = ruleOf(`sequence with maxspan=1m [any where ${condition}] [any where true]`);
  return (rule['events'] as Readonly<Record<string, unknown>>)['step1'];
};

suite('EQL import', () => {
  test('a sequence with keys, runs, absence and until', () => {
    assert.deepEqual(
      ruleOf(
        'sequence by session.id with maxspan=90s [file where file.path : "*.pem"] with runs=2 ![any where tool.name == "approve"] [external_post where true] until [any where tool.name : "logout"]',
      ),
      {
        id: 'imported.test',
        title: 'Imported EQL sequence of 3 events',
        level: 'medium',
        mode: 'shadow',
        key: 'session',
        events: {
          step1: { 'tool.class': ['file_read', 'file_write', 'delete'], 'args.path|endswith': '.pem' },
          absent2: { 'tool.name|cased': 'approve' },
          step3: { 'tool.class': 'external_post' },
          until: { 'tool.name': 'logout' },
        },
        sequence: [{ event: 'step1', repeat: { min: 2, max: 2 } }, 'step3'],
        within: '90s',
        without: [{ event: 'absent2', between: ['step1', 'step3'] }],
        until: 'until',
      },
    );
  });
  test('what is missing at an end gets the span as its interval, and a note', () => {
    const first = importEql(
      'sequence by session with maxspan=5m ![admin where true] [delete where true]',
      OPTIONS,
    );
    assert.ok(first.kind === 'rule');
    assert.deepEqual(first.rule['without'], [{ event: 'absent1', before: 'step2', for: '5m' }]);
    assert.ok(first.notes.some((note) => note.includes('before the first step')));
    const last = ruleOf('sequence by session with maxspan=2h [delete where true] ![admin where true]');
    assert.deepEqual(last['without'], [{ event: 'absent2', after: 'step1', for: '2h' }]);
  });
  test('keys: shared, optional, and of each event', () => {
    const key = (head: string, one = '', two = ''): unknown =>
      ruleOf(`sequence ${head} with maxspan=1m [any where true] ${one} [any where true] ${two}`)['key'];
    assert.equal(key(''), 'tenant');
    assert.equal(key('by ?user.name'), 'principal?');
    assert.deepEqual(key('by host.id, session'), { key1: 'host', key2: 'session' });
    assert.deepEqual(key('by host', 'by args.path', 'by args.target'), {
      key1: 'host',
      key2: { step1: 'args.path', step2: 'args.target' },
    });
  });
  test('conditions become lines; alternatives a list; negations are pushed inwards', () => {
    assert.deepEqual(selection('tool.name : ("a*", "*b", "*c*", "d")'), [
      { 'tool.name|startswith': 'a' },
      { 'tool.name|endswith': 'b' },
      { 'tool.name|contains': 'c' },
      { 'tool.name': 'd' },
    ]);
    assert.deepEqual(selection('not (tool.name in~ ("a", "b") or args_bytes > 5)'), {
      'tool.name|not': ['a', 'b'],
      'args_bytes|lte': 5,
    });
    assert.deepEqual(selection('args.a != null and args.b == null'), {
      'args.a|exists': true,
      'args.b|exists': false,
    });
    assert.deepEqual(selection('3 < args_bytes and cidrMatch(args.ip, "10.0.0.0/8")'), {
      'args_bytes|gt': 3,
      'args.ip|cidr': '10.0.0.0/8',
    });
    assert.deepEqual(selection('event.outcome : "failure"'), {
      outcome: ['tool_error', 'rpc_error', 'timeout'],
    });
    assert.deepEqual(selection('args.from == args.to'), { 'args.from|cased': '$self.args.to' });
    assert.deepEqual(selection('args.x like "a?c"'), { 'args.x|re|cased': String.raw`(?s)\A(?:a.c)\z` });
    assert.deepEqual(selection('args.x == "$list"'), {
      'args.x|re|cased': String.raw`(?s)\A(?:\$list)\z`,
    });
    assert.deepEqual(selection('args.x : "*a*" and args.x : "*b*"'), { 'args.x|contains|all': ['a', 'b'] });
    assert.deepEqual(selection('true'), { 'tool.name|exists': true });
  });
  test('what a rule cannot say is refused, each part with its reason', () => {
    const text = refusalsOf(
      'sequence [registry where true] [any where file.size > 3] [any where args.a + 1 == 2]',
    );
    assert.match(text, /registry: no class/);
    assert.match(text, /file\.size: there is no such field/);
    assert.match(text, /arithmetic: a comparison must have a field/);
    assert.match(text, /maxspan/);
    const two = '[any where true] [any where true]';
    assert.match(refusalsOf(`sequence with maxspan=1m ${two} | head 3`), /\| head: a rule runs on a stream/);
    assert.match(refusalsOf('any where true'), /only sequences/);
    assert.match(refusalsOf(`join ${two}`), /only sequences/);
    assert.match(refusalsOf(`sequence by colour with maxspan=1m ${two}`), /by colour/);
    assert.match(refusalsOf('sequence with maxspan=1m [any where false] [any where true]'), /never hold/);
    assert.match(
      refusalsOf('sequence with maxspan=1m [any where length(args.x) > 3] [any where true]'),
      /call/,
    );
  });
  test('an imported rule loads, and fires as the query does', () => {
    const rule = ruleOf(
      'sequence by session with maxspan=10m [secret_read where args.path like "*.pem"] ![any where tool.name == "approve"] [external_post where true]',
    );
    const step = (e: string, seconds: number): unknown => ({ e, t: `${seconds}s` });
    const tests = [
      { name: 'hit', events: [step('step1', 0), step('step3', 9)], expect: [1] },
      { name: 'approved', events: [step('step1', 0), step('absent2', 5), step('step3', 9)], expect: [] },
      { name: 'late', events: [step('step1', 0), step('step3', 601)], expect: [] },
    ];
    const loaded = loadRules([{ path: 'rule.yaml', text: stringify({ ...rule, mode: 'alert', tests }) }], {
      sha256Hex,
    });
    assert.deepEqual(loaded.faults, []);
    const [compiled] = loaded.rules;
    assert.ok(compiled !== undefined);
    for (const result of runRuleTests(compiled)) assert.ok(result.passed, JSON.stringify(result));
  });
});
