import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { formatVkey, noteKey, type NoteKeyType } from '../../../services/evidence/tlog/note.ts';
import { meetsQuorum, parsePolicy } from '../../../services/evidence/tlog/policy.ts';
import { rawPublicKey, sha256 } from '../../../services/platform/ledger/crypto.ts';

function vkey(
  name: string,
  type: NoteKeyType,
  publicKey = rawPublicKey(generateKeyPairSync('ed25519').privateKey),
): string {
  return formatVkey(noteKey(name, type, publicKey, sha256));
}
const log = vkey('log.example', 1);
const witness = (name: string): string => `witness ${name} ${vkey(`${name}.example`, 4)}`;

// The example of c2sp.org/tlog-policy.
const EXAMPLE = [
  `log ${log}`,
  '',
  ...['X1', 'X2', 'X3'].map(witness),
  'group X-witnesses 2 X1 X2 X3',
  ...['Y1', 'Y2', 'Y3'].map(witness),
  '\tgroup  Y-witnesses any Y1 Y2 Y3 ',
  '  # both organisations',
  'group X-and-Y all X-witnesses Y-witnesses',
  'quorum X-and-Y',
  '',
].join('\n');

describe('a trust policy', () => {
  it('counts two levels of groups as its specification says', () => {
    const policy = parsePolicy(EXAMPLE, sha256);
    assert.deepEqual([policy.logs.length, policy.witnesses.length], [1, 6]);
    const met = (...names: string[]): boolean => meetsQuorum(policy, new Set(names));
    assert.ok(met('X1', 'X3', 'Y2'));
    assert.ok(met('X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3'));
    assert.ok(!met('X1', 'Y1', 'Y2', 'Y3'));
    assert.ok(!met('X1', 'X2', 'X3'));
    assert.ok(!met());
    assert.ok(!met('X-and-Y'), 'a group signs nothing');
  });
  it('of nobody is met by nobody', () => {
    const policy = parsePolicy('quorum none\n', sha256);
    assert.ok(!meetsQuorum(policy, new Set(['none'])));
  });
  it('keeps the URL of a witness', () => {
    const policy = parsePolicy(`${witness('w')} https://w.example/sub/\nquorum w\n`, sha256);
    assert.equal(policy.witnesses[0]?.url, 'https://w.example/sub/');
  });
  it('with a fault is refused, with the line', () => {
    const one = rawPublicKey(generateKeyPairSync('ed25519').privateKey);
    const broken: readonly (readonly [string, number])[] = [
      [`${witness('a')}\n`, 0],
      [`${witness('a')}\nquorum a\nquorum a\n`, 3],
      [`quorum a\n${witness('a')}\n`, 1],
      [`${witness('a')}\n${witness('a')}\nquorum a\n`, 2],
      [`${witness('none')}\nquorum none\n`, 1],
      [`witness a ${vkey('a', 4, one)}\nwitness b ${vkey('b', 4, one)}\nquorum a\n`, 2],
      [`log ${vkey('a', 1, one)}\nlog ${vkey('b', 1, one)}\nquorum none\n`, 2],
      [`log ${vkey('a', 4)}\nquorum none\n`, 1],
      [`witness a ${log}\nquorum a\n`, 1],
      [`${witness('a')}\ngroup g 2 a\nquorum g\n`, 2],
      [`${witness('a')}\ngroup g 0 a\nquorum g\n`, 2],
      [`${witness('a')}\ngroup g any\nquorum none\n`, 2],
      [`${witness('a')}\ngroup g all none\nquorum g\n`, 2],
      [`${witness('a')}\ngroup g any a\ngroup h any a\nquorum g\n`, 3],
      [`${witness('a')}\ngroup g any a a\nquorum g\n`, 2],
      [`group g any g\nquorum g\n`, 1],
      [`quorum none\r\n`, 1],
      [`trust everybody\nquorum none\n`, 1],
      [`quorum none none\n`, 1],
    ];
    for (const [text, line] of broken)
      assert.throws(() => parsePolicy(text, sha256), { code: 'policy_invalid', path: `line ${line}` }, text);
  });
});
