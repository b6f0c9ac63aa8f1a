/** A policy file that changes under a running host: whole or not at all, however it is replaced. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Policy } from '../../../schemas/policy/v1.ts';
import { readPolicyFile } from '../../../services/capture/policy/host-policy.ts';
import { WatchedFile, type FileReading } from '../../../services/capture/watched-file.ts';

const policy = (version: number): string =>
  `v: 1\nid: bench\nversion: ${version}\nmode: enforce\nallow:\n  - { id: all, tools: ['*'] }\n`;
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const versionOf = (found: FileReading<Policy> | undefined): number | undefined =>
  found?.kind === 'loaded' ? found.loaded.value.version : undefined;

describe('a policy file', () => {
  let dir = '';
  let file = '';
  let watched: WatchedFile<Policy>;
  beforeEach(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'tripline-policy-'));
    file = path.join(dir, 'policy.yaml');
    writeFileSync(file, policy(1));
    watched = new WatchedFile(file, readPolicyFile);
    assert.equal(versionOf(await watched.read()), 1);
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function replaced(text: string): void {
    writeFileSync(path.join(dir, 'next'), text);
    renameSync(path.join(dir, 'next'), file);
  }

  it('that stays as it is is no news', async () => {
    assert.equal(await watched.look(), undefined);
  });

  it('renamed into place is taken at the next look, once', async () => {
    replaced(policy(2));
    const found = await watched.look();
    assert.deepEqual(found?.kind === 'loaded' && found.loaded.hash, hashOf(policy(2)));
    assert.equal(await watched.look(), undefined);
  });

  it('behind a link that is swapped is taken at the next look', async () => {
    for (const version of [3, 4]) {
      mkdirSync(path.join(dir, `${version}`));
      writeFileSync(path.join(dir, `${version}`, 'policy.yaml'), policy(version));
      symlinkSync(path.join(dir, `${version}`), path.join(dir, 'link-next'));
      renameSync(path.join(dir, 'link-next'), path.join(dir, 'data'));
      if (version === 3) {
        watched = new WatchedFile(path.join(dir, 'data', 'policy.yaml'), readPolicyFile);
        assert.equal(versionOf(await watched.read()), 3);
      }
    }
    assert.equal(versionOf(await watched.look()), 4);
  });

  it('written in place is read once it has been still for a look', async () => {
    writeFileSync(file, policy(5).slice(0, 60));
    assert.equal(await watched.look(), undefined);
    writeFileSync(file, `${policy(5)}# more\n`);
    assert.equal(await watched.look(), undefined);
    assert.equal(versionOf(await watched.look()), 5);
  });

  it('with faults is told with every one of them and its hash, once', async () => {
    const text = 'v: 1\nid: bench\nversion: 0\nmode: strict\nallow: []\n';
    replaced(text);
    const found = await watched.look();
    assert.ok(found?.kind === 'faulty');
    assert.deepEqual(
      found.faults.map((fault) => fault.split(': ')[0]?.slice(file.length)),
      [':3', ':4'],
    );
    assert.equal(found.hash, hashOf(text));
    assert.equal(await watched.look(), undefined);
    replaced(policy(6));
    assert.equal(versionOf(await watched.look()), 6);
  });

  it('that is gone, a directory or too long is a fault, and never read', async () => {
    rmSync(file);
    const gone = await watched.look();
    assert.ok(gone?.kind === 'faulty' && gone.hash === undefined);
    assert.match(gone.faults[0] ?? '', /ENOENT/);
    assert.equal(await watched.look(), undefined);
    mkdirSync(file);
    assert.equal(((await watched.look()) ?? (await watched.look()))?.kind, 'faulty');
    rmSync(file, { recursive: true });
    writeFileSync(file, '');
    truncateSync(file, 2 ** 40);
    // The number of a file that is gone may be given to the next one: it is looked at twice then.
    const long = (await watched.look()) ?? (await watched.look());
    assert.ok(long?.kind === 'faulty');
    assert.match(long.faults[0] ?? '', /1 MiB/);
  });
});
