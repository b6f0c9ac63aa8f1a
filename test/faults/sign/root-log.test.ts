/** The root log at every write: one that fails before or after it took effect, and one at which the process is killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { diskFiles, type RootFiles } from '../../../services/sign/root/files.ts';
import {
  assertExtends,
  commitBatch,
  filesOf,
  openRoot,
  openSigner,
  readDisk,
  rootDir,
} from '../../support/tlog/root-log.ts';
import { LOADER } from '../../support/sources/words.ts';

type Mode = 'not persisted' | 'persisted but reported failed';
const LOGS = 200;

/** Fails once, at the write of this number. */
function failingAt(files: RootFiles, at: number, mode: Mode) {
  const state = { writes: 0 };
  const write: RootFiles['write'] = async (name, bytes) => {
    state.writes += 1;
    if (state.writes !== at) return await files.write(name, bytes);
    if (mode === 'persisted but reported failed') await files.write(name, bytes);
    throw new Error('disk');
  };
  return { files: { ...files, write }, state };
}

/** A root log of 202 leaves, so that the next epoch goes over the end of a tile. */
async function prepare(dir: string): Promise<void> {
  const signer = await openSigner(dir);
  await commitBatch(signer, LOGS);
  await openRoot(dir, signer);
  await signer.close();
}

async function inDirectory(act: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-root-'));
  try {
    await act(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

describe('the root log', () => {
  it('is the same history after a write that failed, wherever and however', async () => {
    await inDirectory(async (base) => {
      const prepared = join(base, 'prepared');
      mkdirSync(prepared);
      await prepare(prepared);
      let tried = 0;
      for (const mode of ['not persisted', 'persisted but reported failed'] as const) {
        for (let at = 1; ; at += 1) {
          const dir = join(base, `${mode}-${at}`);
          cpSync(prepared, dir, { recursive: true });
          const signer = await openSigner(dir);
          const key = await signer.publicKey();
          const before = await readDisk(dir, key);
          const faulty = failingAt(diskFiles(rootDir(dir)), at + 1, mode); // The first write is that of the key.
          const writer = await openRoot(dir, signer, { files: faulty.files }).catch(
            (error: unknown) => error,
          );
          await commitBatch(signer, LOGS);
          const failed = writer instanceof Error;
          // A new life: whatever was left behind, it goes on from the state.
          const again = await openRoot(dir, signer);
          again.moved();
          await again.epoch();
          const after = await readDisk(dir, key);
          await assertExtends(dir, before.checkpoint, after.checkpoint);
          // Two epochs of heads, whatever number of RESTART leaves: none lost, none twice.
          const heads = after.leaves.filter((leaf) => leaf.type === 'head');
          assert.equal(heads.length, 2 * LOGS);
          assert.equal(new Set(heads.map(({ checkpoint }) => checkpoint)).size, 2 * LOGS);
          assert.ok(
            !filesOf(dir).some((name) => /tile\/(entries|0)\/000\.p/.test(name)),
            'old partial tiles are gone',
          );
          await signer.close();
          rmSync(dir, { recursive: true });
          if (!failed) break;
          tried += 1;
        }
      }
      assert.ok(tried >= 4, `${tried} writes failed`);
    });
  });

  it('is the same history after the process was killed at any write', async () => {
    await inDirectory(async (dir) => {
      await prepare(dir);
      let signer = await openSigner(dir);
      let before = await readDisk(dir, await signer.publicKey());
      await signer.close();
      let killed = 0;
      // Writes: the key, a bundle, a tile, the checkpoint (and more where a tile becomes full).
      const points = [
        [2, 'before'],
        [2, 'after'],
        [3, 'after'],
        [4, 'before'],
        [4, 'after'],
      ] as const;
      for (const [at, when] of points) {
        const child = spawn(
          process.execPath,
          [...LOADER, join(import.meta.dirname, 'child.ts'), dir, String(at), when],
          { stdio: ['ignore', 'ignore', 'inherit'] },
        );
        const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
        if (signal === 'SIGKILL') killed += 1;
        signer = await openSigner(dir);
        await openRoot(dir, signer);
        const now = await readDisk(dir, await signer.publicKey());
        await assertExtends(dir, before.checkpoint, now.checkpoint);
        before = now;
        await signer.close();
      }
      assert.equal(killed, points.length);
      const heads = before.leaves.filter((leaf) => leaf.type === 'head').map(({ checkpoint }) => checkpoint);
      assert.equal(new Set(heads).size, heads.length);
    });
  });

  it('does not go on over files that are not those of its state', async () => {
    const cases: readonly { readonly name: string; readonly harm: (dir: string) => void }[] = [
      { name: 'a tile is gone', harm: (dir) => rmSync(join(rootDir(dir), 'tile/1'), { recursive: true }) },
      {
        name: 'a checkpoint of a longer log',
        harm: (dir) => {
          const file = join(rootDir(dir), 'checkpoint');
          writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+$/m, '9999'));
        },
      },
      {
        name: 'a checkpoint that is none',
        harm: (dir) => writeFileSync(join(rootDir(dir), 'checkpoint'), 'x'),
      },
      {
        name: 'an edited hash below the end',
        harm: (dir) => {
          const file = join(rootDir(dir), 'tile/1/000.p/1');
          writeFileSync(file, Buffer.alloc(32, 7));
        },
      },
    ];
    for (const { name, harm } of cases) {
      await inDirectory(async (dir) => {
        await prepare(dir);
        const signer = await openSigner(dir);
        await commitBatch(signer, LOGS);
        await openRoot(dir, signer);
        const shown = readFileSync(join(rootDir(dir), 'checkpoint'), 'utf8');
        harm(dir);
        await commitBatch(signer, LOGS);
        await assert.rejects(openRoot(dir, signer), { code: 'root_log_diverges' }, name);
        if (!name.includes('checkpoint'))
          assert.equal(readFileSync(join(rootDir(dir), 'checkpoint'), 'utf8'), shown, name);
        await signer.close();
      });
    }
  });

  it('enters a finding once, however often it is told', async () => {
    await inDirectory(async (dir) => {
      const signer = await openSigner(dir);
      const root = await openRoot(dir, signer);
      signer.onCommitted(() => root.moved());
      const finding = {
        code: 'bus_offset_lost',
        topic: 't',
        partition: 3,
        detail: 'goes on at 7 instead of 5',
      };
      for (let times = 0; times < 3; times += 1) {
        await signer.report?.(finding);
        await root.epoch();
      }
      const { leaves } = await readDisk(dir, await signer.publicKey());
      const found = leaves.filter((leaf) => leaf.type === 'finding');
      assert.deepEqual(
        found.map(({ code, topic, partition, detail }) => ({ code, topic, partition, detail })),
        [finding],
      );
      await signer.close();
    });
  });
});
