/** The copy of the root log in a bucket, at every request: refused, stored but reported as failed, cut off, never answered. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isTriplineError } from '../../../schemas/errors.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { waitMs } from '../../../services/sign/root/back-off.ts';
import { copyRoot } from '../../../services/sign/root/copy.ts';
import { diskFiles, type RootFiles } from '../../../services/sign/root/files.ts';
import { s3Files } from '../../../services/sign/root/s3-files.ts';
import { CREDENTIALS, FAULTS, startBucket, type Bucket, type Fault } from '../../support/s3/stub.ts';
import { commitBatch, openRoot, openSigner, rootDir } from '../../support/tlog/root-log.ts';

/** Names that say what is newest; all others are written once. */
const MOVING = ['checkpoint', 'tsr/sizes'];

/** To the bucket the same as 503, which is had at every request. */
const LIKE_503: readonly Fault[] = ['answers 403', 'breaks off', 'never answers'];

describe('a bucket that holds the copy', () => {
  let dir: string;
  let bucket: Bucket;
  let from: RootFiles;
  const notes: string[] = [];
  const copyTo = (prefix: string, timeoutMs: number): RootFiles =>
    s3Files(
      {
        ...CREDENTIALS,
        endpoint: bucket.url,
        region: 'us-east-1',
        bucket: 'evidence',
        prefix,
        retention: { mode: 'COMPLIANCE', days: 1 },
        timeoutMs,
      },
      systemClock,
    );

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tripline-bucket-'));
    bucket = await startBucket();
    const signer = await openSigner(dir);
    const root = await openRoot(dir, signer);
    from = diskFiles(rootDir(dir));
    // Over the end of a tile, so that a partial one is followed by a full one.
    for (let times = 0; times < 2; times += 1) {
      await commitBatch(signer, 200);
      root.moved();
      await root.epoch();
      notes.push(Buffer.from((await from.read('checkpoint')) ?? []).toString());
    }
    // What a time stamp authority leaves behind.
    for (const [name, text] of [
      ['tsr/1.note', 'note'],
      ['tsr/1.tsq', 'query'],
      ['tsr/1.tsr', 'stamp'],
      ['tsr/sizes', '1\n'],
    ] as const)
      await from.write(name, Buffer.from(text));
    await signer.close();
  });
  after(async () => {
    rmSync(dir, { recursive: true, force: true });
    await bucket?.stop();
  });

  const stored = (prefix: string): [string, readonly Buffer[]][] =>
    [...bucket.objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, bodies]) => [key.slice(prefix.length), bodies]);

  const shownIn = (prefix: string): string =>
    bucket.objects.get(`${prefix}checkpoint`)?.at(-1)?.toString() ?? '';

  function assertWhole(prefix: string, whole: ReadonlyMap<string, string>): void {
    for (const [name, bodies] of stored(prefix)) {
      assert.equal(bodies.at(-1)?.toString('hex'), whole.get(name), prefix + name);
      if (!MOVING.includes(name)) assert.equal(bodies.length, 1, `${prefix}${name} was written once`);
    }
    assert.equal(stored(prefix).length, whole.size);
  }

  /** The first copy is there; the second meets `fault` at its request `at`, and is tried again. */
  async function meets(fault: Fault, at: number, whole: ReadonlyMap<string, string>): Promise<string> {
    const prefix = `${fault.replaceAll(/\W/gu, '-')}-${at}/`;
    const [early = '', late = ''] = notes;
    bucket.copy('early/', prefix);
    bucket.fail(prefix, at, fault);
    const isSilent = ['hang', 'drip'].includes(String(FAULTS[fault].end));
    const outcome = await copyRoot(from, copyTo(prefix, isSilent ? 300 : 30_000), late).catch(
      (error: unknown) => error,
    );
    assert.ok(isTriplineError(outcome), `${prefix} ${String(outcome)}`);
    // What a reader is shown is there in full.
    assert.ok([early, late].includes(shownIn(prefix)));
    assert.equal(await copyRoot(from, copyTo(prefix, 30_000), late), parseCheckpoint(late)?.size);
    assertWhole(prefix, whole);
    return outcome.code;
  }

  it('holds the same bytes after a fault at any request, each name that is written once stored once', async () => {
    const [early = '', late = ''] = notes;
    await copyRoot(from, copyTo('early/', 30_000), early);
    bucket.copy('early/', 'sound/');
    await copyRoot(from, copyTo('sound/', 30_000), late);
    const requests = bucket.count('sound/');
    const sound = stored('sound/').map(
      ([name, bodies]) => [name, bodies.at(-1)?.toString('hex') ?? ''] as const,
    );
    // Both moving names, bundles and tiles, two kept checkpoints, a stamp.
    assert.ok(sound.length >= 10 && requests >= 14, `${sound.length} ${requests}`);
    for (const fault of Object.keys(FAULTS) as Fault[]) {
      const places = Array.from({ length: requests }, (_, at) => at + 1).filter(
        (at) => !LIKE_503.includes(fault) || at % 6 === 1,
      );
      const each = places.map((at) => meets(fault, at, new Map(sound)));
      const codes = new Set(await Promise.all(each));
      const expected = typeof FAULTS[fault].end === 'number' ? 'copy_refused' : 'copy_unreachable';
      assert.deepEqual([...codes], [expected], fault);
    }
  });

  it('is told apart where it holds another checkpoint of the same size, or another tile', async () => {
    const to = copyTo('other/', 30_000);
    const [early = '', late = ''] = notes;
    await copyRoot(from, to, early);
    const tile = stored('other/').find(([name]) => name.startsWith('tile/0/'))?.[0] ?? assert.fail();
    await assert.rejects(to.write(tile, Buffer.from('x')), { code: 'root_log_diverges' });
    await copyRoot(from, to, late);
    const forged = late.replace(/\n([A-Za-z0-9+/]{43}=)\n/u, `\n${Buffer.alloc(32, 7).toString('base64')}\n`);
    assert.notEqual(forged, late);
    await to.write('checkpoint', Buffer.from(forged));
    await assert.rejects(copyRoot(from, to, late), { code: 'root_log_diverges' });
  });

  it('takes a time stamp that came after its checkpoint was copied', async () => {
    const late = notes[1] ?? '';
    const withoutStamps: RootFiles = {
      ...from,
      read: async (name) => (name.startsWith('tsr/') ? undefined : await from.read(name)),
    };
    await copyRoot(withoutStamps, copyTo('stamp/', 30_000), late);
    assert.equal(bucket.objects.has('stamp/tsr/1.tsr'), false);
    await copyRoot(from, copyTo('stamp/', 30_000), late);
    assert.equal(bucket.objects.get('stamp/tsr/1.tsr')?.toString(), 'stamp');
  });

  it('is asked again soon after a fault, and then ever less often', () => {
    const seconds = (everyMs: number): number[] =>
      [0, 1, 2, 3, 7, 50].map((failures) => waitMs(everyMs, failures) / 1000);
    assert.deepEqual(seconds(10_000), [10, 5, 10, 20, 300, 300]);
    assert.deepEqual(seconds(600_000), [600, 5, 10, 20, 320, 600]);
    assert.deepEqual(seconds(1_000), [1, 1, 2, 4, 64, 300]);
  });
});
