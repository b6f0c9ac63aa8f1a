import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { controlSigningBytes, verifySignedControl } from '../../../schemas/control/verify.ts';
import type { SignedControl } from '../../../schemas/control/v1.ts';
import { parsePinnedControlKey, verifyEd25519 } from '../../../services/platform/controls/key.ts';

/** RFC 8032 §7.1 test 1. */
const SEED = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
const PUBLIC = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
const PINNED = parsePinnedControlKey(PUBLIC);
const PAYLOAD =
  '{"v":1,"id":"ctl-vector","version":7,"tenant":"default","scope":"tool","target":"vault/read_secret","mode":"enforce","state":"set","reason":"incident 42","issuedBy":"alice","issuedAt":"2026-01-31T12:00:00.000Z","expiresAt":"2026-01-31T13:00:00.000Z"}';
/** Signature by `openssl pkeyutl -sign -rawin` 3.0 over printf 'tripline/control/v1\0' and the payload; key id by sha256sum. */
const VECTOR: SignedControl = {
  payload: Buffer.from(PAYLOAD).toString('base64'),
  keyId: '21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9',
  signature: 'mUls6Zg+SevopubRLdorVrMcRRHSv/cllEroIQMTDrlQN+rs/jlI2duDGIgPOrx+rkxM4bg37GSqGz5HYHdQAA==',
};
const verify = (signed: SignedControl) => verifySignedControl(signed, [PINNED], verifyEd25519);

const privateKey = createPrivateKey({
  key: Buffer.from(`302e020100300506032b657004220420${SEED}`, 'hex'),
  format: 'der',
  type: 'pkcs8',
});
function signText(payload: string | Buffer): SignedControl {
  const bytes = Buffer.from(payload);
  const signature = sign(null, Buffer.concat([Buffer.from('tripline/control/v1\0'), bytes]), privateKey);
  return { payload: bytes.toString('base64'), keyId: PINNED.keyId, signature: signature.toString('base64') };
}
const changed = (change: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ ...(JSON.parse(PAYLOAD) as object), ...change });

suite('trust in a signed control', () => {
  test('a control that openssl signed is valid and decoded', () => {
    assert.equal(PINNED.keyId, VECTOR.keyId);
    assert.deepEqual(verify(VECTOR), { kind: 'valid', control: JSON.parse(PAYLOAD) });
  });

  test('any flipped bit of payload or signature is refused', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.nat(), fc.integer({ min: 0, max: 7 }), (inPayload, at, bit) => {
        const bytes = Buffer.from(inPayload ? VECTOR.payload : VECTOR.signature, 'base64');
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
        const forged = { ...VECTOR, [inPayload ? 'payload' : 'signature']: bytes.toString('base64') };
        assert.deepEqual(verify(forged), { kind: 'invalid', code: 'control_signature_invalid' });
      }),
      { numRuns: 300 },
    );
  });

  test('a key that is not pinned is refused, and so is none', () => {
    assert.equal(verify({ ...VECTOR, keyId: '0'.repeat(64) }).kind, 'invalid');
    assert.equal(verifySignedControl(VECTOR, [], verifyEd25519).kind, 'invalid');
  });

  test('a verifier that throws vouches for nothing', () => {
    const outcome = verifySignedControl(VECTOR, [PINNED], () => {
      throw new Error('broken');
    });
    assert.deepEqual(outcome, { kind: 'invalid', code: 'control_signature_invalid' });
  });

  test('the signature is over the domain too: a signature over the bare payload is refused', () => {
    const bare = sign(null, Buffer.from(PAYLOAD), privateKey).toString('base64');
    assert.equal(verify({ ...VECTOR, signature: bare }).kind, 'invalid');
    const message = Buffer.from(controlSigningBytes(Buffer.from('x')));
    assert.equal(message.toString('latin1'), 'tripline/control/v1\0x');
  });

  const malformed: readonly (readonly [string, string | Buffer])[] = [
    ['no JSON', 'nonsense'],
    ['no UTF-8', Buffer.from([0xff, 0xfe])],
    ['an unknown field', changed({ extra: 1 })],
    ['tenant star without scope global', changed({ tenant: '*' })],
    ['scope global of one tenant', changed({ scope: 'global' })],
    ['a date that does not exist', changed({ expiresAt: '2026-13-31T12:00:00.000Z' })],
    ['version zero', changed({ version: 0 })],
    ['more than a payload holds', changed({ reason: 'x'.repeat(20_000) })],
  ];
  for (const [name, payload] of malformed)
    test(`signed, but ${name}: refused as malformed`, () => {
      assert.deepEqual(verify(signText(payload)), { kind: 'invalid', code: 'control_invalid' });
    });

  test('base64 that is not canonical in form is refused', () => {
    for (const payload of ['***', `${VECTOR.payload}\n`, VECTOR.payload.replace(/=*$/, '=')])
      assert.equal(verify({ ...VECTOR, payload }).kind, 'invalid');
    assert.equal(verify({ ...VECTOR, signature: VECTOR.signature.slice(0, 84) }).kind, 'invalid');
  });

  test('what is no signed control at all is refused without a throw', () => {
    for (const junk of [null, 1, 'x', {}, { payload: 1 }])
      assert.equal(verify(junk as unknown as SignedControl).kind, 'invalid');
  });
});
