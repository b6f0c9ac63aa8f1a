/** The copy of the root log in a bucket, against moto's S3: written once, locked, and read again as any tlog client would. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AwsClient } from 'aws4fetch';
import { toHex, utf8 } from '../../../services/evidence/bytes.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { tilePath, TileTree } from '../../../services/evidence/tlog/tiles.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';
import { s3Files, type S3Options } from '../../../services/sign/root/s3-files.ts';
import { motoMissing, startS3, type S3Server } from '../../support/s3/server.ts';
import { commitBatch, openRoot, openSigner } from '../../support/tlog/root-log.ts';

const missing = motoMissing();
if (missing !== undefined)
  process.stderr.write(`\n*** NO S3: ${missing}, so the copy to a bucket was NOT tested ***\n\n`);

describe('a copy in a bucket', { skip: missing ?? false }, () => {
  let server: S3Server;
  let dir: string;
  let options: S3Options;
  const admin = new AwsClient({
    accessKeyId: 'admin',
    secretAccessKey: 'admin',
    service: 's3',
    region: 'us-east-1',
  });
  before(async () => {
    server = await startS3();
    dir = mkdtempSync(join(tmpdir(), 'tripline-s3-'));
    const headers = { 'x-amz-bucket-object-lock-enabled': 'true' };
    const made = await admin.fetch(`${server.url}/evidence`, { method: 'PUT', headers });
    assert.equal(made.status, 200, await made.text());
    options = {
      endpoint: server.url,
      region: 'us-east-1',
      bucket: 'evidence',
      prefix: 'root/',
      accessKeyId: 'copy',
      secretAccessKey: 'secret',
      retention: { mode: 'COMPLIANCE', days: 2 },
      timeoutMs: 10_000,
    };
  });
  after(async () => {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('holds tiles and checkpoints that lead to the signed root, each locked', async () => {
    const signer = await openSigner(dir);
    const root = await openRoot(dir, signer);
    const files = s3Files(options, systemClock);
    for (let epoch = 0; epoch < 3; epoch += 1) {
      await commitBatch(signer, 120);
      root.moved();
      await root.epoch();
      await root.copyTo(files);
    }
    await root.copyTo(files);
    await signer.close();
    const checkpoint = parseCheckpoint(Buffer.from((await files.read('checkpoint')) ?? []).toString());
    assert.ok(checkpoint && checkpoint.size > 256);
    const read = async (path: string): Promise<Uint8Array> => (await files.read(path)) ?? assert.fail(path);
    const tree = new TileTree(checkpoint.size, (tile) => read(tilePath(tile)), sha256);
    assert.equal(toHex(await tree.root()), toHex(checkpoint.root));
    const head = await admin.fetch(`${server.url}/evidence/root/tile/0/000`, { method: 'HEAD' });
    assert.equal(head.headers.get('x-amz-object-lock-mode'), 'COMPLIANCE');
    const untilMs = Date.parse(head.headers.get('x-amz-object-lock-retain-until-date') ?? '');
    assert.ok(untilMs > Date.now() + 47 * 3_600_000 && untilMs < Date.now() + 49 * 3_600_000);
  });

  it('takes a file again where it is the same, and diverges where it is another', async () => {
    const files = s3Files({ ...options, prefix: 'again/', retention: undefined }, systemClock);
    await files.write('tile/0/000', utf8('one'));
    await files.write('tile/0/000', utf8('one'));
    await assert.rejects(files.write('tile/0/000', utf8('other')), { code: 'root_log_diverges' });
    assert.equal(Buffer.from((await files.read('tile/0/000')) ?? []).toString(), 'one');
    await files.write('checkpoint', utf8('first'));
    await files.write('checkpoint', utf8('second'));
    assert.equal(Buffer.from((await files.read('checkpoint')) ?? []).toString(), 'second');
    assert.equal(await files.read('tile/0/001'), undefined);
  });

  it('says what was refused, and that nobody answers', async () => {
    const absent = s3Files({ ...options, bucket: 'no-such-bucket' }, systemClock);
    await assert.rejects(absent.write('tile/0/000', utf8('x')), { code: 'copy_refused' });
    const nobody = s3Files({ ...options, endpoint: 'http://127.0.0.1:1' }, systemClock);
    await assert.rejects(nobody.read('checkpoint'), { code: 'copy_unreachable' });
  });
});
