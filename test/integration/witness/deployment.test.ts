/** A deployment whose root log two of three witnesses cosign; then one whose operator writes its history anew. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STEPS } from '../../../schemas/config/v1.ts';
import { startService, type Service } from '../../../services/cli/service.ts';
import { leafHash, verifyInclusion } from '../../../services/evidence/merkle.ts';
import { decodeRootLeaf } from '../../../services/evidence/root-leaf.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { cosigners, parsePolicy } from '../../../services/evidence/tlog/policy.ts';
import { parseTlogProof, provesInclusion } from '../../../services/evidence/tlog/proof.ts';
import { decodeBundle, TileTree, tilePath, tileAt } from '../../../services/evidence/tlog/tiles.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { nodeCrypto, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { createLogger } from '../../../services/platform/telemetry/log.ts';
import type { RunningWitness } from '../../../services/witness/main.ts';
import { openWitness, rootVkey, writePolicy } from '../../support/tlog/witnesses.ts';
import { eventually, openPlace, tripline, type Place, type Ran } from '../cli/harness.ts';

const line = (run: string, at: number): string =>
  JSON.stringify({
    v: 1,
    kind: 'call.intent',
    time: '2026-11-25T12:00:00.000Z',
    session: run,
    agent: 'auditor',
    callId: String(at),
    server: 'web',
    tool: 'fetch',
    args: { url: `https://example.org/${run}/${at}` },
  });

/** Without those that are being written. */
const forkFiles = (dir: string): string[] =>
  existsSync(dir) ? readdirSync(dir).filter((name) => !name.endsWith('.new')) : [];

interface Answer {
  readonly status: number;
  readonly bytes: Uint8Array;
  readonly type: string | null;
  readonly cache: string | null;
}

const entriesOf = ({ items }: Ran): number => Number(items()[0]?.['entries']);

/** The leaf inside a proof that holds. */
function provedBy(file: string) {
  const proof = parseTlogProof(readFileSync(file, 'utf8'));
  assert.ok(proof?.extra);
  assert.ok(provesInclusion(proof, leafHash(proof.extra, sha256), sha256));
  return { leaf: proof.extra, checkpoint: proof.checkpoint };
}

const OTHER_TOKEN = 'of-an-auditor-of-another-tenant';

describe('a witnessed deployment', () => {
  let place: Place;
  let policy: string;
  let config: string;
  let vkey: string;
  let service: Service | undefined;
  const witnesses: RunningWitness[] = [];
  const kept = (): string => join(place.dir, 'kept');

  async function start(dataDir: string): Promise<Service> {
    const loaded = loadConfig({
      file: config,
      env: { TRIPLINE_DATA_DIR: dataDir },
      overrides: [{ path: ['http', 'port'], value: 0 }],
    });
    const log = createLogger({ level: 'silent' });
    return await startService({ config: loaded, steps: STEPS, log, announce: true });
  }

  async function stop(): Promise<void> {
    await service?.stop();
    service = undefined;
  }

  async function post(run: string, count: number, dataDir: string): Promise<void> {
    const file = join(place.dir, `${run}.ndjson`);
    writeFileSync(file, Array.from({ length: count }, (_, at) => `${line(run, at)}\n`).join(''));
    const token = readFileSync(join(dataDir, 'producer.token'), 'utf8').trim();
    const response = await fetch(`${service?.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
      body: readFileSync(file),
    });
    assert.equal(response.status, 202);
  }

  async function get(path: string, dataDir = join(place.dir, 'data')): Promise<Answer> {
    const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
    const response = await fetch(`${service?.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { headers, status } = response;
    return { status, bytes, type: headers.get('content-type'), cache: headers.get('cache-control') };
  }

  const verify = (dataDir: string, ...more: string[]) =>
    tripline({ TRIPLINE_DATA_DIR: dataDir }, ['verify', '--json', '--policy', policy, ...more]);

  /** Until record has entered what was posted, and it is cosigned. */
  const witnessed = (dataDir: string, entries: number) =>
    eventually(
      async () => await verify(dataDir),
      (last) => last.exitCode === 0 && entriesOf(last) >= entries,
    );

  before(async () => {
    place = await openPlace();
    const dataDir = join(place.dir, 'data');
    vkey = await rootVkey(dataDir);
    for (const name of ['w1.example', 'w2.example', 'w3.example'])
      witnesses.push(await openWitness(name, join(place.dir, name), [vkey]));
    policy = join(place.dir, 'policy');
    writePolicy(policy, vkey, witnesses, 2);
    await witnesses[2]?.stop(); // Two of three have to do.
    config = join(place.dir, 'tripline.yaml');
    const copyDir = join(place.dir, 'worm');
    mkdirSync(copyDir);
    const rootLog = {
      policyFile: policy,
      epochMs: 100,
      cosignEveryMs: 1000,
      witnessTimeoutMs: 2000,
      copyDir,
    };
    const keys = [{ id: 'other', tenant: 'other', role: 'auditor', token: { value: OTHER_TOKEN } }];
    writeFileSync(config, JSON.stringify({ rootLog, rules: { builtin: false }, auth: { keys } }));
    service = await start(dataDir);
    // What covers the others can name a cosigned checkpoint only once there is one.
    await post('early', 1, dataDir);
    await witnessed(dataDir, 1);
    await post('first', 20, dataDir);
  });
  after(async () => {
    await stop();
    for (const witness of witnesses.slice(0, 2)) await witness.stop();
    await place.remove();
  });

  it('verifies as witnessed, with exit 0, while it runs', async () => {
    const ran = await eventually(
      () => verify(join(place.dir, 'data')),
      (last) => last.exitCode === 0 && entriesOf(last) >= 21,
    );
    assert.equal(ran.exitCode, 0, ran.out + ran.err);
    const [report] = ran.items();
    assert.equal(report?.['verdict'], 'verified_witnessed');
    assert.equal(report?.['keysPinned'], true);
    const witness = Object(report?.['witness']) as Record<string, unknown>;
    const { witnesses: names, quorum, unwitnessedEntries } = witness;
    assert.deepEqual([names, quorum, unwitnessedEntries], [['w1', 'w2'], true, 0]);
    const { checked, unknown } = Object(report?.['notBefore']) as Record<string, number>;
    assert.equal(unknown, 0);
    assert.ok(Number(checked) > 0, `COVERAGE leaves that name a cosigned checkpoint: ${checked}`);
  });

  it('is only verified for whoever asks for all three, or brings no policy', async () => {
    const strict = join(place.dir, 'strict');
    writePolicy(strict, vkey, witnesses, 3);
    const env = { TRIPLINE_DATA_DIR: join(place.dir, 'data') };
    const ran = await tripline(env, ['verify', '--json', '--policy', strict]);
    assert.deepEqual([ran.exitCode, ran.items()[0]?.['verdict']], [10, 'verified']);
    assert.equal((await tripline(env, ['verify', '--json'])).exitCode, 10);
    assert.match((await tripline(env, ['verify', '--policy', strict])).out, /the policy is not met/);
  });

  it('exports bundles that verify as witnessed offline: of everything, of a tenant, of a session', async () => {
    const env = { TRIPLINE_DATA_DIR: join(place.dir, 'data') };
    for (const filter of [[], ['--tenant', 'default'], ['--session', 'first']]) {
      const out = join(place.dir, `bundle${filter.join('')}`);
      assert.equal((await tripline(env, ['export', '--out', out, ...filter])).exitCode, 0);
      const ran = await tripline({}, ['verify', '--json', '--export', out, '--policy', policy]);
      assert.equal(ran.exitCode, 0, `${filter.join(' ')}: ${ran.out}`);
    }
  });

  it('writes proofs and tiles beside the bundle that other tools read, and that say nothing else than it', async () => {
    const env = { TRIPLINE_DATA_DIR: join(place.dir, 'data') };
    const trusted = parsePolicy(readFileSync(policy, 'latin1'), sha256);
    const { bytes } = await get('/v1/events?session=first&limit=1');
    const [item] = (JSON.parse(Buffer.from(bytes).toString()) as { items: { id: string }[] }).items;
    const out = join(place.dir, 'one-event');
    const args = ['export', '--out', out, '--event', item?.id ?? '', '--payloads'];
    assert.equal((await tripline(env, args)).exitCode, 0);
    const names = readdirSync(out, { recursive: true, encoding: 'utf8' });
    const proofs = names.filter((name) => /^logs\/.*\.tlog-proof$/.test(name));
    assert.ok(proofs.length > 0);
    for (const name of proofs) {
      const [, logId = ''] = name.split('/');
      const ofEntry = provedBy(join(out, name));
      const ofHead = provedBy(join(out, 'heads', `${logId}.tlog-proof`));
      assert.equal(ofEntry.leaf.length, 166);
      const head = decodeRootLeaf(ofHead.leaf);
      assert.deepEqual(head?.type === 'head' && head.checkpoint, ofEntry.checkpoint.note.text);
      assert.equal(cosigners(ofHead.checkpoint.note, trusted, nodeCrypto).quorum, true);
    }
    const check = () => tripline({}, ['verify', '--json', '--export', out, '--policy', policy]);
    assert.equal((await check()).exitCode, 0);
    const [first = ''] = proofs;
    writeFileSync(join(out, first), readFileSync(join(out, first), 'utf8').replace('index ', 'index 1'));
    const [report] = (await check()).items();
    assert.deepEqual(Object(report?.['firstFault']), {
      code: 'file_differs',
      log: null,
      index: null,
      topic: null,
      partition: null,
      offset: null,
      session: null,
      detail: first,
    });
  });

  it('is told by any tile beside a bundle that is not the one of its leaves', async () => {
    const out = join(place.dir, 'bundle');
    const check = async (): Promise<number> =>
      (await tripline({}, ['verify', '--export', out, '--policy', policy])).exitCode;
    const tiles = readdirSync(join(out, 'tile'), { recursive: true, encoding: 'utf8', withFileTypes: true });
    assert.ok(tiles.some((tile) => tile.isFile()));
    for (const tile of tiles) {
      if (!tile.isFile()) continue;
      const file = join(tile.parentPath, tile.name);
      const bytes = readFileSync(file);
      const changed = Buffer.from(bytes);
      changed[0] = (changed[0] ?? 0) ^ 1;
      writeFileSync(file, changed);
      assert.equal(await check(), 40, file);
      writeFileSync(file, bytes);
    }
    assert.equal(await check(), 0);
  });

  it('serves the root log as any tlog client reads it', async () => {
    const checkpoint = await get('/v1/log/root/checkpoint');
    assert.deepEqual([checkpoint.type, checkpoint.cache], ['text/plain; charset=utf-8', 'no-cache']);
    const signed = parseCheckpoint(Buffer.from(checkpoint.bytes).toString());
    assert.ok(signed);
    assert.equal(signed.note.signatures.length, 3);
    const fetchTile = async (tile: Parameters<typeof tilePath>[0]): Promise<Uint8Array> => {
      const answer = await get(`/v1/log/root/${tilePath(tile)}`);
      assert.equal(answer.status, 200, tilePath(tile));
      assert.equal(answer.type, 'application/octet-stream');
      assert.match(answer.cache ?? '', /immutable/);
      return answer.bytes;
    };
    const tree = new TileTree(signed.size, fetchTile, sha256);
    assert.deepEqual(await tree.root(), signed.root);
    const bundle = tileAt('entries', 0, signed.size);
    assert.ok(bundle);
    const leaves = decodeBundle(await fetchTile(bundle)) ?? [];
    assert.equal(leaves.length, signed.size);
    const types = leaves.map((leaf) => decodeRootLeaf(leaf)?.type);
    assert.equal(types[0], 'restart');
    assert.ok(types.includes('head') && types.includes('coverage'));
    for (const [index, leaf] of leaves.entries()) {
      const proof = await tree.inclusionProof(index);
      const at = { index: BigInt(index), size: BigInt(signed.size), root: signed.root };
      assert.ok(verifyInclusion({ ...at, leafHash: leafHash(leaf, sha256), proof }, sha256));
    }
    assert.equal((await get(`/v1/log/root/tile/0/000.p/${signed.size}`)).status, 200);
    assert.equal((await get('/v1/log/root/tile/0/000')).status, 404);
    assert.equal((await get('/v1/log/root/tile/0/..%2f..%2flog.key')).status, 404);
    assert.equal((await fetch(`${service?.url}/v1/log/root/checkpoint`)).status, 401);
    const own = await get('/v1/log/root/vkey');
    assert.equal(Buffer.from(own.bytes).toString().trim(), vkey);
  });

  it('serves the logs of tenants from the ledger, as trees of their entries', async () => {
    const ledger = await get('/v1/ledger');
    const { heads } = JSON.parse(Buffer.from(ledger.bytes).toString()) as {
      heads: { topic: string; heads: { logId: string; size: number }[] }[];
    };
    const logs = heads.filter(({ topic }) => topic.includes('toolcalls')).flatMap((list) => list.heads);
    assert.ok(logs.length > 0);
    for (const { logId } of logs) {
      const prefix = `/v1/log/${logId}`;
      const answer = await get(`${prefix}/checkpoint`);
      const signed = parseCheckpoint(Buffer.from(answer.bytes).toString());
      assert.ok(signed, `${answer.status}`);
      const readTile = async (tile: Parameters<typeof tilePath>[0]): Promise<Uint8Array> =>
        (await get(`${prefix}/${tilePath(tile)}`)).bytes;
      assert.deepEqual(await new TileTree(signed.size, readTile, sha256).root(), signed.root);
      const bundle = tileAt('entries', 0, signed.size);
      const entries = decodeBundle((bundle && (await readTile(bundle))) ?? new Uint8Array(0)) ?? [];
      assert.ok(entries.every((entry) => entry.length === 166));
      const hashes = Buffer.concat(entries.map((entry) => leafHash(entry, sha256)));
      const tile = tileAt(0, 0, signed.size);
      assert.ok(tile && hashes.equals(Buffer.from(await readTile(tile))));
    }
    assert.equal((await get(`/v1/log/${'0'.repeat(64)}/checkpoint`)).status, 404);
    const asOther = async (path: string): Promise<number> =>
      (await fetch(`${service?.url}${path}`, { headers: { authorization: `Bearer ${OTHER_TOKEN}` } })).status;
    for (const { logId } of logs)
      for (const path of ['checkpoint', 'tile/0/000.p/1', 'tile/entries/000.p/1'])
        assert.equal(await asOther(`/v1/log/${logId}/${path}`), 404, path);
    assert.equal(await asOther('/v1/log/root/checkpoint'), 200);
  });

  it('is copied to a second folder, with each checkpoint that counted', async () => {
    const worm = join(place.dir, 'worm');
    const text = await eventually(
      async () =>
        existsSync(join(worm, 'checkpoint')) ? readFileSync(join(worm, 'checkpoint'), 'utf8') : '',
      (found) => found !== '',
    );
    const signed = parseCheckpoint(text);
    assert.ok(signed);
    assert.equal(signed.note.signatures.length, 3);
    const readTile = async (tile: Parameters<typeof tilePath>[0]): Promise<Uint8Array> =>
      new Uint8Array(readFileSync(join(worm, tilePath(tile))));
    assert.deepEqual(await new TileTree(signed.size, readTile, sha256).root(), signed.root);
    assert.ok(readdirSync(join(worm, 'checkpoints')).length > 0);
    cpSync(join(worm, 'checkpoint'), kept());
  });

  it('is still witnessed when it is stopped, and reading it adds nothing to it', async () => {
    await stop();
    const dataDir = join(place.dir, 'data');
    const size = (): string => readFileSync(join(dataDir, 'root-log/checkpoint'), 'utf8');
    const unchanged = size();
    const ran = await verify(dataDir, '--checkpoint', kept());
    assert.equal(ran.exitCode, 0, ran.out + ran.err);
    assert.equal(size(), unchanged);
  });

  it('goes on after a restart, which is on record, and extends what was kept', async () => {
    const dataDir = join(place.dir, 'data');
    service = await start(dataDir);
    await post('second', 5, dataDir);
    const ran = await witnessed(dataDir, 26);
    assert.equal(ran.exitCode, 0, ran.out);
    assert.equal((await verify(dataDir, '--checkpoint', kept())).exitCode, 0);
    await stop();
  });

  it('written anew with the log key is refused by the witnesses, who keep what was signed', async () => {
    const dataDir = join(place.dir, 'anew');
    mkdirSync(dataDir, { mode: 0o700 });
    for (const name of ['log.key', 'log.pub']) cpSync(join(place.dir, 'data', name), join(dataDir, name));
    service = await start(dataDir);
    await post('harmless', 5, dataDir);
    const forks = join(dataDir, 'root-log/forks');
    await eventually(
      async () => forkFiles(forks).length,
      (count) => count >= 2,
    );
    // The history is shorter than what the witnesses know: 409.
    const texts = forkFiles(forks).map((name) => readFileSync(join(forks, name), 'utf8'));
    assert.ok(texts.length >= 2 && texts.every((text) => /^witness w[12]\nstatus (409|422)\n/.test(text)));
    const ran = await verify(dataDir);
    assert.deepEqual([ran.exitCode, ran.items()[0]?.['verdict']], [10, 'verified'], ran.out);
    const diverging = await verify(dataDir, '--checkpoint', kept());
    assert.deepEqual([diverging.exitCode, diverging.items()[0]?.['verdict']], [30, 'diverges']);
    const metrics = Buffer.from((await get('/metrics', dataDir)).bytes).toString();
    assert.match(metrics, /tripline_root_log_forks_total [1-9]/);
    const ready = Buffer.from((await get('/readyz', dataDir)).bytes).toString();
    assert.match(ready, /holds another history/);
  });

  it('written anew until it is as long as the old one is refused as well: 422, with the proof at the witness', async () => {
    const dataDir = join(place.dir, 'anew');
    const proofs = join(place.dir, 'w1.example/forks');
    // Each adds a head and a coverage leaf, and is offered within a second.
    for (let at = 0; at < 100 && readdirSync(proofs).length === 0; at += 1) {
      await post(`more-${at}`, 1, dataDir);
      await sleep(300);
    }
    const [name = ''] = readdirSync(proofs);
    const text = readFileSync(join(proofs, name), 'utf8');
    // Both histories, each signed by the log: nobody needs to believe the witness.
    assert.equal(text.match(/^local\/root$/gm)?.length, 2);
    assert.equal(text.match(/^— local\/root /gm)?.length, 2);
    assert.equal((await verify(dataDir)).exitCode, 10);
  });
});
