import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { fromHex, toHex } from '../../../services/evidence/bytes.ts';
import { ENTRY_BYTES, encodeEntry, entryLeafHash } from '../../../services/evidence/entry.ts';
import { eventHash } from '../../../services/evidence/event-hash.ts';
import { headsMessage } from '../../../services/evidence/heads.ts';
import { logId, logOrigin, originLeafHash } from '../../../services/evidence/origin.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';

// Built by hand from the layout, with another hash function of Node than the product uses.
const digest = (...hexParts: string[]): string =>
  createHash('sha256')
    .update(Buffer.from(hexParts.join(''), 'hex'))
    .digest('hex');
const ascii = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

test('an event hash covers domain, stream, seq, prev, length and line, big endian', () => {
  const stream = '000102030405060708090a0b0c0d0e0f';
  const prev = 'aa'.repeat(32);
  const expected = digest(
    ascii('tripline/event/v1'),
    '00',
    stream,
    '0000000100000002',
    prev,
    '00000007',
    ascii('{"a":1}'),
  );
  const input = { stream: bytes(stream), seq: 2 ** 32 + 2, prev: bytes(prev), line: Buffer.from('{"a":1}') };
  assert.equal(toHex(eventHash(input, sha256)), expected);
});

test('a line longer than the scratch buffer is hashed whole', () => {
  const line = Buffer.alloc(100_000, 0x61);
  const expected = digest(
    ascii('tripline/event/v1'),
    '00',
    '00'.repeat(16),
    '0000000000000000',
    '00'.repeat(32),
    '000186a0',
    line.toString('hex'),
  );
  const input = { stream: new Uint8Array(16), seq: 0, prev: new Uint8Array(32), line };
  assert.equal(toHex(eventHash(input, sha256)), expected);
});

test('an entry is 166 bytes in the documented order', () => {
  const entry = {
    type: 17,
    index: 258,
    prevLeafHash: bytes('11'.repeat(32)),
    appendMs: 1_764_000_000_000,
    offset: 2 ** 40,
    line: 63,
    stream: bytes('22'.repeat(16)),
    seq: 65_537,
    eventHash: bytes('33'.repeat(32)),
    keyId: bytes('44'.repeat(32)),
    flags: 5,
  };
  const expected = [
    ascii('tripline/entry/v1'),
    '00',
    '11',
    '0000000000000102',
    '11'.repeat(32),
    '0000019ab697e800',
    '0000010000000000',
    '003f',
    '22'.repeat(16),
    '0000000000010001',
    '33'.repeat(32),
    '44'.repeat(32),
    '05',
  ].join('');
  assert.equal(ENTRY_BYTES, 166);
  assert.equal(toHex(encodeEntry(entry)), expected);
  assert.equal(toHex(entryLeafHash(entry, sha256)), digest('00', expected));
});

test('an origin names deployment, hashed tenant, topic and partition', () => {
  // SHA-256("acme") = 5ff860bf1190596c7188ab851db691f0f3169c453936e9e1eba2f9a47f7a0018 (sha256sum)
  const origin = logOrigin(
    { deployment: 'local', tenant: 'acme', topic: 'tripline.toolcalls.v1', partition: 3 },
    sha256,
  );
  const tenantHash = digest(ascii('acme')).slice(0, 32);
  assert.equal(origin, `local/${tenantHash}/tripline.toolcalls.v1/3`);
  assert.equal(toHex(logId(origin, sha256)), digest(ascii(origin)));
  assert.equal(
    toHex(originLeafHash(origin, sha256)),
    digest(ascii('tripline/origin/v1'), '00', ascii(origin)),
  );
});

test('the heads message lists each head as id, size, root, last leaf', () => {
  const heads = [
    { logId: '01'.repeat(32), size: 7, root: '02'.repeat(32), lastLeafHash: '03'.repeat(32) },
    { logId: '04'.repeat(32), size: 2 ** 33, root: '05'.repeat(32), lastLeafHash: '06'.repeat(32) },
  ];
  const expected = [
    ascii('tripline/heads/v1'),
    '00',
    '00000002',
    '01'.repeat(32),
    '0000000000000007',
    '02'.repeat(32),
    '03'.repeat(32),
    '04'.repeat(32),
    '0000000200000000',
    '05'.repeat(32),
    '06'.repeat(32),
  ].join('');
  assert.equal(toHex(headsMessage(heads)), expected);
  assert.throws(() => headsMessage([{ ...heads[0]!, root: 'zz' }]), { code: 'request_invalid' });
});

test('hex is lower case and of exact length, else refused', () => {
  assert.deepEqual(fromHex('00ff', 2), new Uint8Array([0, 255]));
  for (const bad of ['00FF', '0ff', '00fff', '00fg', '', '00 f']) assert.equal(fromHex(bad, 2), undefined);
});
