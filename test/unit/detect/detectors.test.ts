import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { classify } from '../../../detectors/classify/classify.ts';
import { destHost } from '../../../detectors/classify/dest-host.ts';
import { loadRules } from '../../../detectors/compile/load.ts';
import { alertId } from '../../../detectors/engine/alert.ts';
import { effectiveTimeMs, parseTimeMs } from '../../../detectors/engine/time.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

test('effective time: a clock ahead is held at append + 5 s, and never runs back in a stream', () => {
  assert.equal(effectiveTimeMs(1_000, 2_000, Number.NEGATIVE_INFINITY), 1_000);
  assert.equal(effectiveTimeMs(99_000, 2_000, Number.NEGATIVE_INFINITY), 7_000);
  assert.equal(effectiveTimeMs(1_000, 2_000, 1_500), 1_500);
  assert.equal(effectiveTimeMs(Number.NaN, 2_000, Number.NEGATIVE_INFINITY), 2_000);
});

test('the fast reader of times agrees with Date.parse', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
      (date) => {
        assert.equal(parseTimeMs(date.toISOString()), date.getTime());
      },
    ),
  );
});

test('class: mapping before names before annotations; the claim is never asked', () => {
  const mappings = [
    { server: 'x', class: 'database' },
    { server: 'x', tool: 'read_secret', class: 'other' },
  ] as const;
  assert.deepEqual(classify({ server: 'x', tool: 'read_secret' }, mappings), {
    class: 'other',
    source: 'mapping',
  });
  assert.deepEqual(classify({ server: 'x', tool: 'anything' }, mappings), {
    class: 'database',
    source: 'mapping',
  });
  assert.deepEqual(classify({ server: 'vault', tool: 'read_secret' }, []), {
    class: 'secret_read',
    source: 'name',
  });
  const hinted = { tool: 'frobnicate', annotations: { destructiveHint: true } };
  assert.deepEqual(classify(hinted, []), { class: 'delete', source: 'annotations' });
  const claim: { tool: string; class: string } = { tool: 'frobnicate', class: 'payment' };
  assert.deepEqual(classify(claim, []), { class: 'other', source: 'default' });
});

for (const [server, tool, expected] of [
  ['search', 'web_search', 'search'],
  ['vault', 'get', 'secret_read'],
  ['poster', 'post', 'external_post'],
  ['slack', 'slack_post_message', 'message'],
  ['memory', 'create_entities', 'memory_write'],
  ['memory', 'read_graph', 'memory_read'],
  ['filesystem', 'read_text_file', 'file_read'],
  ['filesystem', 'write_file', 'file_write'],
  ['github', 'create_pull_request', 'publish'],
  ['bank', 'sendMoney', 'payment'],
  ['any', 'search_and_delete', 'delete'],
  ['everything', 'echo', 'other'],
] as const) {
  test(`class of ${server}/${tool} is ${expected}`, () => {
    assert.equal(classify({ server, tool }, []).class, expected);
  });
}

for (const [args, expected] of [
  [{ url: 'https://Evil.Example.com:8443/x' }, 'evil.example.com'],
  [{ url: 'http://localhost@evil.net/' }, 'evil.net'],
  [{ url: 'http://2130706433/' }, ''],
  [{ url: 'http://[::1]/' }, ''],
  [{ to: ['a@in.corp', 'b@out.org'] }, 'out.org'],
  [{ nested: { deep: [{ endpoint: 'evil.example:8080/path' }] } }, 'evil.example'],
  [{ note: 'evil.example' }, ''],
  [{ body: 'see https://a.example/ now', url: 'https://b.example/' }, 'b.example'],
] as const) {
  test(`outside host of ${JSON.stringify(args)}`, () => {
    assert.equal(destHost({ args }, ['localhost', '127.0.0.1', '::1', '.corp']), expected);
  });
}

test('the walk for hosts is bounded and never throws', () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 12 }), (args) => destHost({ args }, []).length <= 253));
  let deep: unknown = 'https://evil.example/';
  for (let index = 0; index < 10_000; index++) deep = [deep];
  assert.equal(destHost({ args: deep }, []), '');
});

test('alert id: domain, then each part with its length in 32 bits', () => {
  const part = (text: string): Buffer =>
    Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]);
  const bytes = Buffer.concat([
    Buffer.from('tripline/alert/v1\0'),
    part('t'),
    part('rule'),
    part('hash'),
    part('["s"]'),
    part('e-0'),
  ]);
  const expected = createHash('sha256').update(bytes).digest('hex');
  assert.equal(alertId(['t', 'rule', 'hash', '["s"]', 'e-0'], sha256), expected);
});

const RULE = `id: a.b
title: T
level: low
key: session
events:
  a: { tool.name: x }
  b: { tool.name: y }
sequence: [a, b]
within: 1m
`;

test('a fault has file, line and hint, and takes no other rule down', () => {
  const files = [
    { path: 'good.yaml', text: RULE },
    { path: 'bad.yaml', text: RULE.replace('id: a.b', 'id: c.d').replace('tool.name: y', 'tool.nam: y') },
    { path: 'unknown.yaml', text: `${RULE.replace('id: a.b', 'id: e.f')}colour: red\n` },
    { path: 'window.yaml', text: RULE.replace('id: a.b', 'id: g.h').replace('within: 1m\n', '') },
    { path: 'same.yaml', text: RULE },
    { path: 'broken.yaml', text: 'a: [' },
  ];
  const { rules, faults } = loadRules(files, { sha256Hex });
  assert.deepEqual(
    rules.map((rule) => rule.id),
    ['a.b'],
  );
  assert.deepEqual(
    [...new Set(faults.map((fault) => fault.path))],
    ['bad.yaml', 'unknown.yaml', 'window.yaml', 'same.yaml', 'broken.yaml'],
  );
  const bad = faults.find((fault) => fault.path === 'bad.yaml');
  assert.equal(bad?.line, 7);
  assert.ok(faults.every((fault) => fault.hint.length > 0 && fault.message.length > 0));
});

test('the semantic hash ignores title, tags, tests, mode and action, and nothing else', () => {
  const hashOf = (text: string): string | undefined =>
    loadRules([{ path: 'r', text }], { sha256Hex }).rules[0]?.hash;
  const hash = hashOf(RULE);
  assert.equal(hashOf(`${RULE.replace('title: T', 'title: U')}tags: [x]\nmode: enforce\n`), hash);
  assert.equal(hashOf(`${RULE}action: { type: kill, scope: session, ttl: 1h }\n`), hash);
  assert.notEqual(hashOf(RULE.replace('within: 1m', 'within: 2m')), hash);
  assert.notEqual(hashOf(RULE.replace('tool.name: y', 'tool.name: z')), hash);
});
