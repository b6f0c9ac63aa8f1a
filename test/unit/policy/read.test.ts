/** A policy file: strict, every fault at once with its line; what is hardly meant is told with its line too. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import { faultText, readPolicy } from '../../../services/capture/policy/read.ts';
import { policyWarnings } from '../../../services/cli/policy-lint.ts';

const read = (text: string) => readPolicy(Buffer.from(text));
const faults = (text: string): readonly string[] => {
  const reading = read(text);
  return reading.kind === 'faults' ? reading.faults.map((fault) => faultText('f', fault)) : [];
};

it('gives the policy with its defaults, and the SHA-256 of its bytes', () => {
  const text =
    'v: 1\nid: p\nversion: 2\nmode: shadow\nallow: []\napprovals:\n  - { id: x, classes: [delete] }\n';
  const reading = read(text);
  assert.equal(reading.kind, 'policy');
  if (reading.kind !== 'policy') return;
  assert.equal(reading.hash, createHash('sha256').update(text).digest('hex'));
  assert.deepEqual(reading.policy, {
    v: 1,
    id: 'p',
    version: 2,
    mode: 'shadow',
    allow: [],
    deny: [],
    hide: [],
    hideUnallowed: false,
    approvals: [{ id: 'x', classes: ['delete'], fourEyes: false, waitMs: 0, requestTtlMs: 3_600_000 }],
  });
});

it('JSON is taken as well', () => {
  assert.equal(
    read('{"v":1,"id":"p","version":1,"mode":"warn","allow":[{"id":"a","tools":["*"]}]}').kind,
    'policy',
  );
});

it('tells every fault at once, with its line', () => {
  const text = [
    'v: 1',
    'id: p',
    'version: 0',
    'mode: on',
    'allow:',
    '  - id: a',
    '    class: [delete]',
    '  - id: b',
    '    classes: [deletion]',
    'deny:',
    '  - id: a',
  ].join('\n');
  const found = faults(text);
  for (const [line, at] of [
    [3, 'version'],
    [4, 'mode'],
    [7, 'allow[0].class: unknown key'],
    [9, 'allow[1].classes[0]'],
  ] as const)
    assert.ok(
      found.some((one) => one.startsWith(`f:${line}: ${at}`)),
      `${line} ${at} in ${found.join('\n')}`,
    );
  assert.equal(found.length, 4);
  assert.deepEqual(faults('v: 1\nid: p\nversion: 1\nmode: warn\nallow:\n  - id: a\ndeny:\n  - id: a\n'), [
    'f:8: deny[0].id: a is taken by another line',
  ]);
});

it('what is no YAML, no UTF-8, too long or without end is a fault and no crash', () => {
  assert.match(faults('a: [')[0] ?? '', /^f:1: /u);
  assert.match(faults('v: 1\nv: 1\n')[0] ?? '', /^f:2: /u);
  assert.deepEqual(readPolicy(Buffer.from([0xff])).kind, 'faults');
  assert.deepEqual(faults(' '.repeat(1024 * 1024 + 1)), ['f:1: longer than 1 MiB']);
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, at) => `${name}: &${name} [${`*${'abcdefg'[at]},`.repeat(9)}]`),
  ];
  assert.deepEqual(faults(bomb.join('\n')), ['f:1: its aliases cannot be followed']);
  assert.equal(read('').kind, 'faults');
});

it('warns of lines that never decide, of what is allowed in vain, and of classes that no call may have', () => {
  const reading = read(`v: 1
id: p
version: 1
mode: enforce
allow:
  - { id: files, servers: ['files*'], classes: [file_read, file_write] }
  - { id: files-2, servers: [files-two], classes: [file_read] }
  - { id: posts, classes: [external_post] }
  - { id: posts-of-a, agents: [a], tools: [post] }
deny:
  - { id: never-post, classes: [external_post] }
approvals:
  - { id: pay, classes: [payment], servers: [bank], fourEyes: true }
  - { id: nothing, servers: [files], classes: [payment] }
`);
  assert.equal(reading.kind, 'policy');
  if (reading.kind !== 'policy') return;
  assert.deepEqual(
    policyWarnings(reading.policy).map(({ code, at }) => [code, reading.lineOf(at)]),
    [
      ['shadowed', 7],
      ['denied', 8],
      ['names_principal', 13],
      ['class_never_allowed', 6],
    ],
  );
  const [last] = policyWarnings(reading.policy).slice(-1);
  assert.equal(last?.message, 'no call of these classes is allowed: external_post');
  const open = read(
    "v: 1\nid: p\nversion: 1\nmode: warn\nallow:\n  - { id: all, tools: ['*'] }\n  - { id: x }\n",
  );
  assert.deepEqual(open.kind === 'policy' ? policyWarnings(open.policy).map(({ code }) => code) : [], [
    'shadowed',
    'allows_everything',
    'allows_everything',
  ]);
});
