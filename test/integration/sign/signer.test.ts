import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import fastify from 'fastify';
import { toHex } from '../../../services/evidence/bytes.ts';
import { headsMessage } from '../../../services/evidence/heads.ts';
import { CompactRange } from '../../../services/evidence/merkle.ts';
import { logId } from '../../../services/evidence/origin.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';
import { httpSigner } from '../../../services/record/http-signer.ts';
import type { LogHead, Manifest } from '../../../services/record/ports.ts';
import { RepairTurns } from '../../../services/sign/erasure/repair-turns.ts';
import { registerSignerRoutes } from '../../../services/sign/http-routes.ts';
import { loadSigningKey } from '../../../services/sign/key.ts';
import { openRoot } from '../../support/tlog/root-log.ts';
import { openLocalSigner, type LocalSigner } from '../../../services/sign/local-signer.ts';

const TOPIC = 'tripline.toolcalls.v1';
const ORIGIN = `test/${'ab'.repeat(16)}/${TOPIC}/0`;
const LOG = toHex(logId(ORIGIN, sha256));
const leaf = (name: string): Uint8Array => sha256(Buffer.from(name));

function head(leaves: readonly string[]): LogHead {
  const range = new CompactRange(0, sha256);
  for (const name of leaves) range.append(leaf(name));
  return {
    logId: LOG,
    origin: ORIGIN,
    size: leaves.length,
    root: toHex(range.root()),
    lastLeafHash: toHex(leaf(leaves.at(-1) ?? '')),
    compactRange: range.hashes().map(toHex),
  };
}

function manifest(old: readonly string[], added: readonly string[], firstOffset: number): Manifest {
  const extension = new CompactRange(old.length, sha256);
  for (const name of added) extension.append(leaf(name));
  const newHead = head([...old, ...added]);
  const oldHead = old.length === 0 ? null : head(old);
  return {
    topic: TOPIC,
    partition: 0,
    firstOffset,
    nextOffset: firstOffset + added.length,
    logs: [{ logId: LOG, oldHead, newHead, extension: extension.hashes().map(toHex) }],
    rowsHash: '00'.repeat(32),
    watermarkMs: 7,
  };
}

async function withSigner(act: (signer: LocalSigner, dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'tripline-sign-'));
  const signer = await openLocalSigner({ dir, clock: systemClock });
  try {
    await act(signer, dir);
  } finally {
    await signer.close();
    await rm(dir, { recursive: true, force: true });
  }
}

test('the key is readable by its owner only, stays the same, and a readable one is refused', async () => {
  await withSigner(async (signer, dir) => {
    assert.equal((await stat(path.join(dir, 'log.key'))).mode & 0o777, 0o600);
    const before = await signer.publicKey();
    await signer.close();
    const again = await openLocalSigner({ dir, clock: systemClock });
    assert.deepEqual(await again.publicKey(), before);
    await again.close();
    await chmod(path.join(dir, 'log.key'), 0o644);
    await assert.rejects(openLocalSigner({ dir, clock: systemClock }), { code: 'config_invalid' });
  });
});

test('those who start at once agree on one key, which is whole', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'tripline-sign-'));
  try {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadSigningKey(dir)));
    assert.equal(new Set(keys.map(({ keyId }) => keyId)).size, 1);
    assert.deepEqual((await readdir(dir)).toSorted(), ['log.key', 'log.pub']);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a commit signs the heads message, and is the same when asked again', async () => {
  await withSigner(async (signer, dir) => {
    const first = manifest([], ['a', 'b', 'c'], 0);
    assert.equal((await signer.reserve(first)).kind, 'reserved');
    const signed = await signer.commit(first);
    assert.deepEqual(await signer.commit(first), signed);
    const raw = Buffer.from(await readFile(path.join(dir, 'log.pub'), 'utf8'), 'base64');
    const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    const message = headsMessage(first.logs.map((log) => log.newHead));
    assert.ok(verify(null, message, key, Buffer.from(signed.signature, 'base64')));
    const state = await signer.state(TOPIC, 0);
    assert.deepEqual([state.nextOffset, state.watermarkMs, state.outstanding], [3, 7, null]);
    assert.deepEqual(state.heads, [head(['a', 'b', 'c'])]);
  });
});

test('one batch is outstanding, and another writer is shown it', async () => {
  await withSigner(async (signer) => {
    const mine = manifest([], ['a'], 0);
    const other = manifest([], ['x', 'y'], 0);
    await signer.reserve(mine);
    const outcome = await signer.reserve(other);
    assert.ok(outcome.kind === 'superseded');
    assert.deepEqual(outcome.state.outstanding, mine);
    assert.equal((await signer.reserve(mine)).kind, 'reserved');
    await assert.rejects(signer.commit(other), { code: 'ledger_reserved' });
    await signer.commit(mine);
    assert.equal((await signer.reserve(other)).kind, 'superseded');
  });
});

test('a head that does not extend the one signed last is refused', async () => {
  await withSigner(async (signer) => {
    const first = manifest([], ['a', 'b', 'c'], 0);
    await signer.reserve(first);
    await signer.commit(first);
    const sound = manifest(['a', 'b', 'c'], ['d'], 3);
    const rewritten = manifest(['a', 'X', 'c'], ['d'], 3);
    const [log] = sound.logs;
    const wrong: Manifest[] = [
      rewritten,
      { ...rewritten, logs: [{ ...rewritten.logs[0]!, oldHead: log!.oldHead }] },
      { ...sound, logs: [{ ...log!, oldHead: null }] },
      { ...sound, logs: [{ ...log!, extension: [] }] },
      { ...sound, logs: [{ ...log!, newHead: { ...log!.newHead, root: '00'.repeat(32) } }] },
      { ...sound, logs: [log!, log!] },
      { ...sound, partition: 0, logs: [{ ...log!, newHead: { ...log!.newHead, origin: `${ORIGIN}1` } }] },
      { ...sound, nextOffset: 3 },
    ];
    for (const one of wrong) await assert.rejects(signer.reserve(one), { code: 'signer_refused' });
    assert.equal((await signer.reserve(sound)).kind, 'reserved');
  });
});

test('what was reserved and signed is there after the process is gone', async () => {
  await withSigner(async (signer, dir) => {
    const first = manifest([], ['a'], 0);
    const second = manifest(['a'], ['b'], 1);
    await signer.reserve(first);
    await signer.commit(first);
    await signer.reserve(second);
    await signer.close();
    const again = await openLocalSigner({ dir, clock: systemClock });
    assert.deepEqual((await again.state(TOPIC, 0)).outstanding, second);
    assert.equal((await again.heads())[0]?.heads[0]?.size, 1);
    await again.close();
  });
});

test('over HTTP it is the same signer, for the right token only', async () => {
  await withSigner(async (signer, dir) => {
    const app = fastify();
    await registerSignerRoutes(app, signer, { token: 'right', keys: undefined });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    try {
      const remote = httpSigner({ url, token: 'right' });
      const first = manifest([], ['a', 'b'], 0);
      assert.equal((await remote.reserve(first)).kind, 'reserved');
      const signed = await remote.commit(first);
      assert.deepEqual(await signer.commit(first), signed);
      assert.deepEqual(await remote.state(TOPIC, 0), await signer.state(TOPIC, 0));
      assert.deepEqual(await remote.publicKey(), await signer.publicKey());
      assert.equal((await remote.heads()).length, 1);
      await assert.rejects(async () => remote.root?.settle(), { code: 'not_ready' });
      const root = await openRoot(dir, signer);
      signer.root = root;
      const [there, here] = [await remote.root?.settle(), await root.settle()];
      assert.deepEqual([there?.checkpoint, there?.heads], [here.checkpoint, here.heads]);
      assert.deepEqual(
        there?.lists.map(({ heads }) => heads),
        here.lists.map(({ heads }) => heads),
      );
      assert.deepEqual(await remote.root?.read('vkey'), await root.read('vkey'));
      assert.equal(await remote.root?.read('tile/0/000.p/200'), undefined);
      assert.deepEqual(await remote.root?.logCheckpoint(LOG), await root.logCheckpoint(LOG));
      await remote.report?.({ code: 'bus_offset_lost', topic: TOPIC, partition: 0, detail: '' });
      await assert.rejects(remote.commit(manifest([], ['z'], 0)), { code: 'ledger_reserved' });
      await assert.rejects(httpSigner({ url, token: 'wrong' }).heads(), { code: 'auth_invalid' });
    } finally {
      await app.close();
    }
    await assert.rejects(httpSigner({ url, token: 'right' }).heads(), { code: 'unreachable' });
  });
});

test('over HTTP a repair of another process asks for its turn, and is refused while an erasure is at work', async () => {
  await withSigner(async (signer) => {
    const app = fastify();
    const repairs = new RepairTurns(systemClock);
    await registerSignerRoutes(app, signer, { token: 'right', keys: undefined, repairs });
    const remote = httpSigner({ url: await app.listen({ host: '127.0.0.1', port: 0 }), token: 'right' });
    try {
      await repairs.begin(AbortSignal.timeout(5_000));
      await assert.rejects(async () => remote.repairs?.take(), { code: 'erasure_under_way' });
      repairs.end();
      await remote.repairs?.take();
      // It would wait for the repair, and nobody is done.
      await assert.rejects(repairs.begin(AbortSignal.timeout(300)), { name: 'TimeoutError' });
      await remote.repairs?.done();
      await repairs.begin(AbortSignal.timeout(5_000));
    } finally {
      await app.close();
    }
  });
});
