/** C2SP tlog-witness, add-checkpoint: every answer of the specification, over HTTP. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { utf8 } from '../../../services/evidence/bytes.ts';
import { emptyRoot, ProofTree } from '../../../services/evidence/merkle.ts';
import { formatAddCheckpoint } from '../../../services/evidence/tlog/add-checkpoint.ts';
import { checkpointText } from '../../../services/evidence/tlog/checkpoint.ts';
import {
  checkNote,
  formatNote,
  formatVkey,
  noteKey,
  NOTE_KEY_TYPES,
  parseSignatures,
  parseVkey,
  signNote,
} from '../../../services/evidence/tlog/note.ts';
import { ed25519Sign, nodeCrypto, rawPublicKey, sha256 } from '../../../services/platform/ledger/crypto.ts';
import type { RunningWitness } from '../../../services/witness/main.ts';
import { openWitness } from '../../support/tlog/witnesses.ts';

const ORIGIN = 'log.example/7';

function logKey(name: string) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = noteKey(name, NOTE_KEY_TYPES.ed25519, rawPublicKey(privateKey), sha256);
  return { key, sign: (message: Uint8Array) => ed25519Sign(privateKey, message) };
}
const log = logKey(ORIGIN);

function tree(names: readonly string[]): ProofTree {
  const grown = new ProofTree(sha256);
  for (const name of names) grown.append(sha256(utf8(name)));
  return grown;
}

function noteOf(of: ProofTree, signer = log, origin = ORIGIN): string {
  const root = of.size === 0 ? emptyRoot(sha256) : of.root();
  const text = checkpointText({ origin, size: of.size, root });
  return formatNote({ text, signatures: [signNote(text, signer.key, signer.sign)] });
}

describe('a witness', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-witness-'));
  const state = join(dir, 'state');
  const names = Array.from({ length: 12 }, (_, at) => `leaf ${at}`);
  const grown = (size: number): ProofTree => tree(names.slice(0, size));
  let witness: RunningWitness;

  async function add(body: string): Promise<{ status: number; type: string; body: string }> {
    const response = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body });
    const type = response.headers.get('content-type') ?? '';
    return { status: response.status, type, body: await response.text() };
  }
  const grow = (oldSize: number, size: number) => {
    const proof = oldSize === 0 || oldSize === size ? [] : grown(size).consistencyProof(oldSize);
    return add(formatAddCheckpoint({ oldSize, proof, checkpoint: noteOf(grown(size)) }));
  };

  before(async () => {
    witness = await openWitness('w.example/1', state, [formatVkey(log.key)]);
  });
  after(async () => {
    await witness.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('has a key of its own that nobody else reads', () => {
    assert.equal(statSync(join(state, 'witness.key')).mode & 0o777, 0o600);
    assert.equal(parseVkey(witness.vkey, sha256)?.type, NOTE_KEY_TYPES.cosignature);
  });

  it('cosigns a first checkpoint, one that extends it, and the same one again', async () => {
    const key = parseVkey(witness.vkey, sha256);
    assert.ok(key);
    for (const [oldSize, size] of [
      [0, 3],
      [3, 3],
      [3, 7],
    ] as const) {
      const answer = await grow(oldSize, size);
      assert.equal(answer.status, 200, answer.body);
      const signatures = parseSignatures(answer.body) ?? [];
      const text = noteOf(grown(size)).split('\n\n')[0];
      const checked = checkNote({ text: `${text}\n`, signatures }, [key], nodeCrypto);
      assert.ok(checked.kind === 'signed');
      assert.ok(Math.abs((checked.by[0]?.timeSeconds ?? 0) - Date.now() / 1000) < 60);
    }
  });

  it('answers 409 with its size to another old size', async () => {
    for (const oldSize of [0, 3]) {
      const answer = await grow(oldSize, 9);
      assert.deepEqual([answer.status, answer.type, answer.body], [409, 'text/x.tlog.size', '7\n']);
    }
  });

  it('answers 400 to an old size above the new one, and to what is no request', async () => {
    assert.equal(
      (await add(formatAddCheckpoint({ oldSize: 9, proof: [], checkpoint: noteOf(grown(7)) }))).status,
      400,
    );
    const hash = Buffer.alloc(32).toString('base64');
    const note = noteOf(grown(9));
    const broken = ['', 'old 7\n', `old 07\n\n${note}`, `old 7\n${hash.slice(1)}\n\n${note}`, `7\n\n${note}`];
    const long = `old 7\n${`${hash}\n`.repeat(64)}\n${note}`;
    for (const body of [...broken, long, `old 7\n\n${note.slice(0, -1)}`])
      assert.equal((await add(body)).status, 400, body.slice(0, 40));
    assert.equal(
      (await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body: new Uint8Array([255]) })).status,
      400,
    );
    assert.equal((await add('x'.repeat(200_000))).status, 413);
  });

  it('answers 404 to a log that it does not know, 403 to a checkpoint that the log did not sign', async () => {
    const other = logKey('other.example');
    const unknown = noteOf(grown(9), other, 'other.example');
    const forged = noteOf(grown(9), { ...other, key: { ...other.key, name: ORIGIN, keyId: log.key.keyId } });
    const unsigned = noteOf(grown(9), { ...other, key: { ...other.key, name: ORIGIN } });
    const statuses = [unknown, forged, unsigned].map(
      async (checkpoint) => (await add(formatAddCheckpoint({ oldSize: 7, proof: [], checkpoint }))).status,
    );
    assert.deepEqual(await Promise.all(statuses), [404, 403, 403]);
  });

  it('answers 422 to a proof that does not hold and to another root of the same size, and keeps them', async () => {
    const fork = tree([...names.slice(0, 6), 'other', 'and', 'more']);
    const bad = formatAddCheckpoint({
      oldSize: 7,
      proof: fork.consistencyProof(7),
      checkpoint: noteOf(fork),
    });
    assert.equal((await add(bad)).status, 422);
    const empty = formatAddCheckpoint({ oldSize: 7, proof: [], checkpoint: noteOf(grown(9)) });
    assert.equal((await add(empty)).status, 422);
    const same = formatAddCheckpoint({
      oldSize: 7,
      proof: [],
      checkpoint: noteOf(tree([...names.slice(0, 6), 'other'])),
    });
    assert.equal((await add(same)).status, 422);
    assert.equal(readdirSync(join(state, 'forks')).length, 3);
    assert.equal((await grow(7, 8)).status, 200, 'and it still cosigns the true one');
  });

  it('lets one of several at once through: what is cosigned never goes back', async () => {
    const answers = await Promise.all([9, 10, 11, 12].map((size) => grow(8, size)));
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 409, 409, 409],
    );
  });

  it('remembers after a restart what it cosigned, under the same key', async () => {
    const { body } = await grow(0, 12);
    const { vkey } = witness;
    await witness.stop();
    witness = await openWitness('w.example/1', state, [formatVkey(log.key)]);
    assert.equal(witness.vkey, vkey);
    assert.deepEqual(await grow(0, 12), { status: 409, type: 'text/x.tlog.size', body });
  });

  it('does not start with a key that others can read, nor with keys of logs that are none', async () => {
    const other = join(dir, 'other');
    const first = await openWitness('w.example/2', other, [formatVkey(log.key)]);
    await first.stop();
    chmodSync(join(other, 'witness.key'), 0o644);
    await assert.rejects(openWitness('w.example/2', other, [formatVkey(log.key)]), {
      code: 'config_invalid',
    });
    for (const vkey of ['log.example', first.vkey])
      await assert.rejects(openWitness('w.example/3', join(dir, 'none'), [vkey]), { code: 'config_invalid' });
  });
});
