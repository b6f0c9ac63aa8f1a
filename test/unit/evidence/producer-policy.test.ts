import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import { parseTrustedProducers } from '../../../services/evidence/producer-policy.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';

/** Public keys of RFC 8032, section 7.1, tests 1 and 2. */
const FIRST = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');
const SECOND = Buffer.from('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', 'hex');
const [first, second] = [FIRST.toString('base64'), SECOND.toString('base64')];
const idOf = (raw: Buffer): string => createHash('sha256').update(raw).digest('hex');
const parse = (text: string) => parseTrustedProducers(text, sha256);

it('a list of agent keys names keys, and when they were revoked', () => {
  const text = `# of the machine room\n\n${first} laptop-7 # its lid is blue\n\t${second}  ci revoked 2026-11-26T00:00:00Z\n`;
  assert.deepEqual(parse(text), {
    kind: 'keys',
    keys: new Map([
      [idOf(FIRST), { name: 'laptop-7', tenant: undefined, revokedMs: undefined }],
      [idOf(SECOND), { name: 'ci', tenant: undefined, revokedMs: 1_795_651_200_000 }],
    ]),
  });
  assert.deepEqual(parse(''), { kind: 'keys', keys: new Map() });
});

it('a line of it that cannot be read is a fault with its number, and nothing is left out', () => {
  const identity = Buffer.alloc(32);
  identity[0] = 1;
  const faults = {
    [first]: /no name/,
    'not-base64! laptop': /no key in base64/,
    [`${first.slice(0, -1)} laptop`]: /no key in base64/,
    [`${FIRST.subarray(1).toString('base64')} laptop`]: /no Ed25519 public key/,
    [`${identity.toString('base64')} laptop`]: /no Ed25519 public key/,
    [`${first} laptop seven`]: /revoked <RFC 3339 time>/,
    [`${first} laptop revoked`]: /revoked <RFC 3339 time>/,
    [`${first} laptop revoked yesterday`]: /revoked <RFC 3339 time>/,
    [`${first} laptop revoked 2026-11-26T00:00:00Z by me`]: /revoked <RFC 3339 time>/,
  };
  for (const [line, fault] of Object.entries(faults)) {
    const parsed = parse(`${second} ci\n# a comment\n${line}\n`);
    assert.equal(parsed.kind, 'fault', line);
    if (parsed.kind !== 'fault') continue;
    assert.equal(parsed.line, 3, line);
    assert.match(parsed.fault, fault, line);
  }
});
