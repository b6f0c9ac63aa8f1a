import assert from 'node:assert/strict';
import { createPublicKey, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { checkEd25519PublicKey } from '../../../schemas/control/key.ts';
import { isTriplineError } from '../../../schemas/errors.ts';
import {
  openControlKey,
  parsePinnedControlKey,
  readControlPublicKey,
  verifyEd25519,
} from '../../../services/platform/controls/key.ts';

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = mod(-121665n * inverse(121666n));
type Point = readonly [bigint, bigint];

function mod(a: bigint): bigint {
  return ((a % P) + P) % P;
}
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b))
    if (e & 1n) result = mod(result * b);
  return result;
}
function inverse(a: bigint): bigint {
  return power(a, P - 2n);
}
function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const k = mod(D * x1 * x2 * y1 * y2);
  return [mod((x1 * y2 + x2 * y1) * inverse(1n + k)), mod((y1 * y2 + x1 * x2) * inverse(mod(1n - k)))];
}
function multiply(point: Point, n: bigint): Point {
  let result: Point = [0n, 1n];
  for (let p = point, e = n; e > 0n; e >>= 1n, p = add(p, p)) if (e & 1n) result = add(result, p);
  return result;
}
/** A point with this y, or undefined (RFC 8032 §5.1.3). */
function pointAt(y: bigint): Point | undefined {
  const xx = mod((y * y - 1n) * inverse(mod(D * y * y + 1n)));
  let x = power(xx, (P + 3n) / 8n);
  if (mod(x * x - xx) !== 0n) x = mod(x * power(2n, (P - 1n) / 4n));
  return mod(x * x - xx) === 0n ? [x, y] : undefined;
}
function encode(y: bigint, sign: bigint): Uint8Array {
  const bytes = new Uint8Array(32);
  let rest = y | (sign << 255n);
  for (let index = 0; index < 32; index += 1, rest >>= 8n) bytes[index] = Number(rest & 255n);
  return bytes;
}

suite('public keys that may be pinned', () => {
  test('all points of small order, found by multiplying with the group order, are refused', () => {
    const found = new Set<bigint>();
    for (let y = 2n; found.size < 5 && y < 200n; y += 1n) {
      const point = pointAt(y);
      if (point === undefined) continue;
      const torsion = multiply(point, L);
      for (let n = 0n; n < 8n; n += 1n) found.add(multiply(torsion, n)[1]);
    }
    assert.equal(found.size, 5);
    for (const y of found)
      for (const sign of [0n, 1n]) {
        assert.equal(checkEd25519PublicKey(encode(y, sign)), 'small_order');
        if (y + P < 2n ** 255n) assert.equal(checkEd25519PublicKey(encode(y + P, sign)), 'small_order');
      }
  });

  test('an encoding at or above the field prime is refused', () => {
    assert.equal(checkEd25519PublicKey(encode(P + 3n, 0n)), 'non_canonical');
    assert.equal(checkEd25519PublicKey(encode(P - 2n, 0n)), 'ok');
    assert.equal(checkEd25519PublicKey(new Uint8Array(31)), 'wrong_length');
  });

  const vectors = resolve('..', 'shared', 'data', 'vectors', 'ed25519vectors.json');
  test(
    'C2SP/CCTV: every key of small order is refused, although its signatures may verify',
    {
      skip: existsSync(vectors) ? false : 'vectors are not at hand',
    },
    () => {
      const cases = JSON.parse(readFileSync(vectors, 'utf8')) as readonly {
        readonly key: string;
        readonly sig: string;
        readonly msg: string;
        readonly flags: readonly string[] | null;
      }[];
      const flagged = cases.filter(({ flags }) => flags?.includes('low_order_A') ?? false);
      const forged = flagged.filter(({ key, sig, msg }) =>
        verifyEd25519(Buffer.from(key, 'hex'), Buffer.from(msg), Buffer.from(sig, 'hex')),
      );
      assert.ok(
        flagged.length > 100 && forged.length > 0,
        `${flagged.length} cases, ${forged.length} verify`,
      );
      for (const { key } of flagged)
        assert.notEqual(checkEd25519PublicKey(Buffer.from(key, 'hex')), 'ok', key);
      for (const { key } of cases.filter(({ flags }) => flags === null))
        assert.equal(checkEd25519PublicKey(Buffer.from(key, 'hex')), 'ok', key);
    },
  );

  test('one key in PEM, hex and base64 is one pinned key', () => {
    const hex = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
    const raw = Buffer.from(hex, 'hex');
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
    const pem = createPublicKey({ key: spki, format: 'der', type: 'spki' })
      .export({ type: 'spki', format: 'pem' })
      .toString();
    const forms = [hex, raw.toString('base64'), raw.toString('base64url'), pem, `  ${hex.toUpperCase()}\n`];
    for (const form of forms) assert.deepEqual(Buffer.from(parsePinnedControlKey(form).publicKey), raw, form);
  });

  test('what cannot be pinned is a configuration fault', () => {
    for (const text of ['', 'x', '00'.repeat(32), '-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----'])
      assert.throws(
        () => parsePinnedControlKey(text),
        (error) => isTriplineError(error, 'config_invalid'),
      );
  });
});

suite('the control key of a data directory', () => {
  let dir = '';
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tripline-key-'));
  });
  after(() => rm(dir, { recursive: true }));

  test('processes that start together agree on one key, readable by its owner alone', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => openControlKey(dir, randomBytes)));
    assert.equal(new Set(keys.map(({ keyId }) => keyId)).size, 1);
    assert.equal((await stat(join(dir, 'control.key'))).mode & 0o777, 0o600);
    const pinned = await readControlPublicKey(dir);
    assert.equal(pinned?.keyId, keys[0]?.keyId);
    const message = Buffer.from('m');
    const signature = keys[0]?.sign(message) ?? new Uint8Array();
    assert.equal(verifyEd25519(pinned?.publicKey ?? new Uint8Array(), message, signature), true);
  });

  test('a control.pub of another key is put right', async () => {
    const first = await openControlKey(dir, randomBytes);
    await writeFile(join(dir, 'control.pub'), 'something else');
    await openControlKey(dir, randomBytes);
    assert.equal((await readControlPublicKey(dir))?.keyId, first.keyId);
  });

  test('a damaged control.key stops the start instead of being replaced', async () => {
    const path = join(dir, 'control.key');
    const pem = await readFile(path, 'utf8');
    await writeFile(path, 'damaged');
    await assert.rejects(openControlKey(dir, randomBytes), (error) =>
      isTriplineError(error, 'config_invalid'),
    );
    await writeFile(path, pem);
  });
});
