/** What leaves the signer's directory, at every write: the copy of the root log, and the state of a witness behind its answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { parsePolicy } from '../../../services/evidence/tlog/policy.ts';
import { nodeCrypto, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { copyRoot } from '../../../services/sign/root/copy.ts';
import { Cosigner, type Fork } from '../../../services/sign/root/cosigner.ts';
import { diskFiles, type RootFiles } from '../../../services/sign/root/files.ts';
import {
  commitBatch,
  DEPLOYMENT,
  filesOf,
  openRoot,
  openSigner,
  rootDir,
} from '../../support/tlog/root-log.ts';
import { openWitness, rootVkey, writePolicy } from '../../support/tlog/witnesses.ts';

/** As seen by whoever writes: `times out` is what took effect or not and never answers. */
const MODES = ['fails', 'persists but reports failure', 'times out'] as const;
type Mode = (typeof MODES)[number];

async function inDirectory(act: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-copies-'));
  try {
    await act(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function assertCopied(dir: string, to: RootFiles, checkpoint: string): Promise<void> {
  for (const name of filesOf(dir).filter((one) => /^tile\/(0|1|entries)\/\d+(\.p\/\d+)?$/u.test(one))) {
    const kept = await to.read(name);
    if (kept !== undefined) assert.deepEqual(Buffer.from(kept), readFileSync(join(rootDir(dir), name)), name);
  }
  assert.equal(Buffer.from((await to.read('checkpoint')) ?? []).toString(), checkpoint);
}

describe('the copy of the root log', () => {
  it('is whole after a write that failed, wherever and however, and holds nothing else', async () => {
    await inDirectory(async (dir) => {
      const signer = await openSigner(dir);
      const root = await openRoot(dir, signer);
      const from = diskFiles(rootDir(dir));
      const note = async (): Promise<string> => Buffer.from((await from.read('checkpoint')) ?? []).toString();
      const notes = [await note()];
      // Over the end of a tile, so that a partial one is followed by a full one.
      for (let times = 0; times < 2; times += 1) {
        await commitBatch(signer, 200);
        root.moved();
        await root.epoch();
        notes.push(await note());
      }
      const [early = '', , late = ''] = notes;
      let tried = 0;
      for (const mode of ['fails', 'persists but reports failure'] as const)
        for (let at = 1; ; at += 1) {
          const place = join(dir, `copy-${mode}-${at}`);
          const to = diskFiles(place);
          let writes = 0;
          const write: RootFiles['write'] = async (name, bytes) => {
            writes += 1;
            if (writes !== at) return await to.write(name, bytes);
            if (mode === 'persists but reports failure') await to.write(name, bytes);
            throw new Error('disk');
          };
          const outcome = await copyRoot(from, { ...to, write }, late).catch((error: unknown) => error);
          const shown = await to.read('checkpoint');
          // What a reader is shown is there in full.
          if (shown !== undefined) assert.equal(Buffer.from(shown).toString(), late);
          await copyRoot(from, to, late);
          await assertCopied(dir, to, late);
          rmSync(place, { recursive: true });
          if (!(outcome instanceof Error)) break;
          tried += 1;
        }
      assert.ok(tried >= 8, String(tried));
      assert.notEqual(early, late);
      await signer.close();
    });
  });
});

async function passOn(
  url: string,
  body: Buffer,
  { mode, response }: { readonly mode: Mode | undefined; readonly response: ServerResponse },
): Promise<void> {
  const answer = await fetch(url, { method: 'POST', body: new Uint8Array(body) });
  const text = await answer.text();
  if (mode === 'persists but reports failure') response.writeHead(500).end();
  else if (mode !== 'times out')
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(text);
}

/** In front of a witness: the next request meets the fault, all others pass. */
async function startDoor(
  target: string,
): Promise<{ server: Server; url: string; fail: (mode: Mode) => void }> {
  let next: Mode | undefined;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const mode = next;
      next = undefined;
      if (mode === 'fails') return void response.writeHead(503).end();
      void passOn(`${target}${request.url ?? ''}`, Buffer.concat(parts), { mode, response });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { server, url, fail: (mode) => (next = mode) };
}

describe('a witness whose answer is lost', () => {
  for (const mode of MODES)
    it(`${mode}: the next round has its cosignature, and nobody speaks of a fork`, async () => {
      await inDirectory(async (dir) => {
        const vkey = await rootVkey(dir, DEPLOYMENT);
        const witness = await openWitness('w1.example', join(dir, 'w1'), [vkey]);
        const door = await startDoor(witness.url);
        const policyFile = join(dir, 'policy');
        writePolicy(policyFile, vkey, [{ vkey: witness.vkey, url: door.url }], 1);
        const forks: Fork[] = [];
        const cosigner = new Cosigner({
          policy: parsePolicy(readFileSync(policyFile, 'latin1'), sha256),
          crypto: nodeCrypto,
          timeoutMs: 1_000,
          files: diskFiles(rootDir(dir)),
          log: pino({ level: 'silent' }),
          signal: new AbortController().signal,
          onFork: async (fork) => void forks.push(fork),
        });
        const signer = await openSigner(dir);
        const root = await openRoot(dir, signer, { cosigner });
        const cosignedSize = (): number => root.sizes().cosigned;
        for (let round = 0; round < 2; round += 1) {
          await commitBatch(signer, 3);
          root.moved();
          await root.epoch();
          const before = cosignedSize();
          door.fail(mode);
          await root.cosign();
          assert.equal(cosignedSize(), before, 'nothing that did not answer counts');
          await root.cosign();
          assert.equal(cosignedSize(), root.sizes().size);
        }
        assert.deepEqual(forks, []);
        door.server.closeAllConnections();
        door.server.close();
        await witness.stop();
        await signer.close();
      });
    });
});
