/** A log key that is rotated: evidence of before and after verifies under either key, and the old one signs nothing new. */
import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Service } from '../../../services/cli/service.ts';
import type { VerifyReport } from '../../../services/evidence/report.ts';
import { headsMessage } from '../../../services/evidence/heads.ts';
import { verifyBundle, type VerifyOptions } from '../../../services/evidence/verify.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import { eventually, openPlace, startIn, tripline, type Place } from '../cli/harness.ts';

type Line = Record<string, unknown>;

describe('rotation of the log key', () => {
  let place: Place;
  let service: Service;
  let data: string;
  let work: string;
  /** Copies that an attacker may have taken: key files before each rotation. */
  const oldKeys: string[] = [];
  const oldPubs: Uint8Array[] = [];

  const pub = (): Uint8Array => Buffer.from(readFileSync(join(data, 'log.pub'), 'utf8').trim(), 'base64');
  async function post(session: string): Promise<void> {
    const token = readFileSync(join(data, 'producer.token'), 'utf8').trim();
    const time = new Date().toISOString();
    const line = { v: 1, kind: 'call.intent', time, session, agent: 'a', callId: '1', tool: 'read' };
    const response = await fetch(`${service.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(line),
    });
    assert.equal(response.status, 202);
    await eventually(
      () => tripline(place.env, ['session', session, '--json']),
      ({ exitCode }) => exitCode === 0,
    );
  }
  async function rotate(): Promise<void> {
    await service.stop();
    oldKeys.push(readFileSync(join(data, 'log.key'), 'utf8'));
    oldPubs.push(pub());
    const rotated = await tripline(place.env, ['keys', 'rotate', 'log', '--json']);
    assert.equal(rotated.exitCode, 0, rotated.err);
    service = await startIn(place);
  }
  async function bundle(): Promise<Line[]> {
    const out = join(work, 'bundle');
    assert.equal((await tripline(place.env, ['export', '--out', out])).exitCode, 0);
    const text = readFileSync(join(out, 'bundle.ndjson'), 'utf8').trim();
    return text.split('\n').map((line) => JSON.parse(line) as Line);
  }
  async function* bytesOf(lines: readonly Line[]): AsyncGenerator<Uint8Array> {
    yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  const check = (lines: readonly Line[], options: VerifyOptions): Promise<VerifyReport> =>
    verifyBundle(bytesOf(lines), nodeCrypto, options);

  before(async () => {
    place = await openPlace();
    work = mkdtempSync(join(tmpdir(), 'tripline-rotation-'));
    data = place.env['TRIPLINE_DATA_DIR'] ?? '';
    service = await startIn(place);
    await post('before');
    await rotate();
    await post('between');
    await rotate();
    await post('after');
  });
  after(async () => {
    await service.stop();
    await place.remove();
    rmSync(work, { recursive: true, force: true });
  });

  it('whoever pinned any key of the chain verifies everything, and a stranger nothing', async () => {
    const lines = await bundle();
    assert.equal(((lines[0] as Line)['rotations'] as unknown[]).length, 2);
    for (const key of [...oldPubs, pub()]) {
      const report = await check(lines, { publicKeys: [key] });
      assert.deepEqual([report.verdict, report.firstFault, report.keysPinned], ['verified', null, true]);
    }
    const stranger = await check(lines, { publicKeys: [Buffer.alloc(32, 9)] });
    assert.equal(stranger.firstFault?.code, 'head_key_unknown');
  });

  it('a retired key signs no heads and no checkpoint any more', async () => {
    const lines = await bundle();
    for (const [at, pem] of oldKeys.entries()) {
      const key = createPrivateKey(pem);
      const options = { publicKeys: [oldPubs[at] as Uint8Array] };
      const heads = structuredClone(lines);
      for (const list of (heads[0] as Line)['heads'] as Line[]) {
        const message = headsMessage(list['heads'] as Parameters<typeof headsMessage>[0]);
        list['signature'] = sign(null, message, key).toString('base64');
        list['keyId'] = Buffer.from(nodeCrypto.sha256(oldPubs[at] as Uint8Array)).toString('hex');
      }
      assert.equal((await check(heads, options)).firstFault?.code, 'head_key_unknown');
      const noted = structuredClone(lines);
      const root = noted.find((line) => line['type'] === 'root') as Line;
      root['checkpoint'] = resigned(String(root['checkpoint']), oldPubs[at] as Uint8Array, pem);
      assert.equal((await check(noted, options)).firstFault?.code, 'root_checkpoint_invalid');
    }
  });

  it('a rotation that is left out, altered or moved is found', async () => {
    const lines = await bundle();
    const first = { publicKeys: [oldPubs[0] as Uint8Array] };
    const current = { publicKeys: [pub()] };
    const change = (act: (rotations: { index: number; leaf: string }[]) => void): Line[] => {
      const copy = structuredClone(lines);
      act(copy[0]?.['rotations'] as { index: number; leaf: string }[]);
      return copy;
    };
    const codeOf = async (changed: readonly Line[], options: VerifyOptions): Promise<string | undefined> =>
      (await check(changed, options)).firstFault?.code;
    assert.equal(
      await codeOf(
        change((all) => all.splice(0)),
        first,
      ),
      'head_key_unknown',
    );
    assert.equal(
      await codeOf(
        change((all) => all.splice(0)),
        current,
      ),
      'key_rotation_invalid',
    );
    assert.equal(
      await codeOf(
        change((all) => all.pop()),
        current,
      ),
      'key_rotation_invalid',
    );
    assert.equal(
      await codeOf(
        change((all) => all.splice(0, 2, ...all.toReversed())),
        current,
      ),
      'key_rotation_invalid',
    );
    for (const one of [0, 1])
      assert.equal(
        await codeOf(
          change((all) => void ((all[one] as { index: number }).index += 1)),
          current,
        ),
        'key_rotation_invalid',
      );
    const flip = (leaf: string, at: number): string => {
      const bytes = Buffer.from(leaf, 'base64');
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes.toString('base64');
    };
    const length = Buffer.from(
      ((lines[0] as Line)['rotations'] as { leaf: string }[])[0]?.leaf ?? '',
      'base64',
    ).length;
    for (const at of [20, 30, 70, 100, length - 70, length - 1])
      assert.equal(
        await codeOf(
          change((all) => void ((all[0] as { leaf: string }).leaf = flip(all[0]?.leaf ?? '', at))),
          current,
        ),
        'key_rotation_invalid',
        `byte ${at}`,
      );
  });

  it('a start finishes a rotation that was cut off, and refuses an old key that was put back', async () => {
    const refused = await tripline(place.env, ['keys', 'rotate', 'log']);
    assert.equal(refused.exitCode, 1, 'a service runs');
    await service.stop();
    const key = pub();
    const copy = join(work, 'copy');
    cpSync(data, copy, { recursive: true });
    const env = { TRIPLINE_DATA_DIR: copy };
    const there: Place = { dir: copy, env, remove: async () => undefined };
    writeFileSync(join(copy, 'log.key'), oldKeys[1] as string, { mode: 0o600 });
    await assert.rejects(startIn(there), /not the key that is in force/u);
    renameSync(join(data, 'log.key'), join(data, 'log-next.key'));
    writeFileSync(join(data, 'log.key'), oldKeys[1] as string, { mode: 0o600 });
    service = await startIn(place);
    assert.deepEqual(pub(), key);
  });
});

/** The note with its log's signature replaced by one of another key, by hand: c2sp.org/signed-note. */
function resigned(note: string, publicKey: Uint8Array, pem: string): string {
  const [text = '', rest = ''] = note.split('\n\n');
  const name = /^— (\S+) /u.exec(rest)?.[1] ?? '';
  const message = Buffer.from(`${text}\n`);
  const id = nodeCrypto
    .sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(1), publicKey]))
    .subarray(0, 4);
  const signature = sign(null, message, createPrivateKey(pem));
  return `${text}\n\n— ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}
