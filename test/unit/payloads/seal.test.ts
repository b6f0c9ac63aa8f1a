import assert from 'node:assert/strict';
import { createHmac, webcrypto } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { logKey, openLines, sealLines } from '../../../services/platform/payloads/seal.ts';

const LOG = 'ab'.repeat(32);
const SUBJECT_KEY = Buffer.alloc(32, 7);
const PLACE = { logId: LOG, index: 41, subject: 9 };
const key = logKey(SUBJECT_KEY, LOG);
const line = (text: string): Uint8Array => Buffer.from(text);
const texts = (lines: readonly Buffer[] | undefined): string[] | undefined =>
  lines?.map((bytes) => bytes.toString('utf8'));

describe('a sealed block', () => {
  it('is what its description says: WebCrypto opens it', async () => {
    // Random bytes do not get shorter: the method is 0, stored.
    const said = Buffer.from(webcrypto.getRandomValues(new Uint8Array(64))).filter((byte) => byte !== 10);
    const sealed = sealLines([said], PLACE, key);
    const derived = createHmac('sha256', SUBJECT_KEY)
      .update(Buffer.concat([Buffer.from('tripline/payload/v1\0'), Buffer.from(LOG, 'hex')]))
      .digest();
    const aad = Buffer.from('0000010000000000000009', 'hex');
    const iv = Buffer.from('000000000000000000000029', 'hex');
    const imported = await webcrypto.subtle.importKey('raw', derived, 'AES-GCM', false, ['decrypt']);
    const opened = await webcrypto.subtle.decrypt(
      { name: 'AES-GCM', iv, additionalData: aad },
      imported,
      sealed.subarray(3),
    );
    assert.equal(sealed[0], 0);
    assert.deepEqual(Buffer.from(opened), said);
  });

  it('gives back any lines, and is the same for the same lines', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.replaceAll('\n', ' ')),
          { minLength: 1, maxLength: 64 },
        ),
        (said) => {
          const lines = said.map(line);
          const sealed = sealLines(lines, PLACE, key);
          assert.deepEqual(sealLines(lines, PLACE, key), sealed);
          const expected = lines.map((bytes) => Buffer.from(bytes).toString('utf8'));
          assert.deepEqual(texts(openLines(sealed, PLACE, key)), expected);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('keeps the line breaks of a line that stands alone', () => {
    const rest = line('{"a":1}\n{"b":2}\n');
    assert.deepEqual(openLines(sealLines([rest], PLACE, key), PLACE, key), [Buffer.from(rest)]);
  });

  it('opens nowhere else, under no other key and with no bit changed', () => {
    const sealed = sealLines([line('{"secret":"x"}'.repeat(20)), line('{}')], PLACE, key);
    assert.equal(openLines(sealed, { ...PLACE, index: 42 }, key), undefined);
    assert.equal(openLines(sealed, { ...PLACE, subject: 10 }, key), undefined);
    assert.equal(openLines(sealed, PLACE, logKey(SUBJECT_KEY, 'cd'.repeat(32))), undefined);
    assert.equal(openLines(sealed, PLACE, logKey(Buffer.alloc(32, 8), LOG)), undefined);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      assert.equal(openLines(changed, PLACE, key), undefined, `byte ${at}`);
    }
    assert.equal(openLines(sealed.subarray(0, 10), PLACE, key), undefined);
  });
});
