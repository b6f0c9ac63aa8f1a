import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PaddedMessages, sha256EachOf, type Sha256Many } from '../../../services/evidence/bytes.ts';
import { sha256Lanes } from '../../../services/evidence/sha256-lanes.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';

const node = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function digests(many: Sha256Many, messages: readonly Uint8Array[], length: number): string[] {
  const padded = new PaddedMessages(length, messages.length);
  for (const [at, message] of messages.entries()) padded.bytes.set(message, at * padded.stride);
  const out = new Uint8Array(messages.length * 32);
  many(padded, messages.length, out);
  return messages.map((_, at) => Buffer.from(out.subarray(at * 32, at * 32 + 32)).toString('hex'));
}

describe('SHA-256 of many messages', () => {
  const lanes = sha256Lanes();

  it('has lanes where WebAssembly has vectors, as in every Node that is supported', () => {
    assert.notEqual(lanes, undefined);
  });

  for (const [name, many] of [
    ['in lanes', lanes as Sha256Many],
    ['one by one', sha256EachOf(sha256)],
  ] as const) {
    it(`gives the digests of FIPS 180-4's examples, ${name}`, () => {
      const abc = Buffer.from('abc');
      assert.deepEqual(digests(many, [abc], 3), [
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      ]);
      const two = Buffer.from('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq');
      assert.deepEqual(digests(many, [two, two], 56), [
        '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
        '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
      ]);
    });

    it(`gives those of node:crypto for every length around the padding, ${name}`, () => {
      for (const length of [0, 1, 54, 55, 56, 63, 64, 65, 118, 119, 120, 127, 128, 167, 191, 192, 1000]) {
        const messages = Array.from({ length: 9 }, (_, at) =>
          new Uint8Array(length).map((_b, i) => i * 7 + at),
        );
        assert.deepEqual(digests(many, messages, length), messages.map(node), `length ${length}`);
      }
    });

    it(`gives those of node:crypto for random messages, ${name}`, () => {
      const messages = fc
        .nat(300)
        .chain((length) =>
          fc.array(fc.uint8Array({ minLength: length, maxLength: length }), { minLength: 1, maxLength: 17 }),
        );
      fc.assert(
        fc.property(messages, (some) => {
          assert.deepEqual(digests(many, some, some[0]?.length ?? 0), some.map(node));
        }),
        { numRuns: 200 },
      );
    });
  }

  it('grows its memory for a batch of many thousands', () => {
    const messages = Array.from({ length: 5000 }, (_, at) => new Uint8Array(167).fill(at));
    assert.deepEqual(digests(lanes as Sha256Many, messages, 167), messages.map(node));
  });
});
