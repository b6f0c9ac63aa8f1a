/** Processes of their own: `up`, two witnesses of three. One is killed and comes back; the log goes on, cosigned. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { CALLS, StreamWriter } from '../support/scenario/events.ts';
import { settled } from '../support/scenario/ledger.ts';
import { killAll, tripline, up, type Ended, type Tripline } from '../support/scenario/tripline.ts';
import { rootVkey, writePolicy } from '../support/tlog/witnesses.ts';
import { LOADER } from '../support/sources/words.ts';

const MAIN = join(import.meta.dirname, '../../services/cli/main.ts');

interface WitnessProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly vkey: string;
}

describe('a deployment and its witnesses, each a process', () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-witness-'));
  const dataDir = join(root, 'data');
  const policy = join(root, 'policy');
  const configFile = join(root, 'tripline.yaml');
  const witnesses: WitnessProcess[] = [];
  let service: Tripline;
  let logVkey: string;

  async function startWitness(name: string, port: number): Promise<WitnessProcess> {
    const args = ['witness', '--json', '--name', name, '--state', join(root, name), '--log', logVkey];
    const child = spawn(process.execPath, [...LOADER, MAIN, ...args, '--port', String(port)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    assert.ok(child.stdout);
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { url, vkey } = JSON.parse(line) as { url: string; vkey: string };
    return { child, url, vkey };
  }

  async function send(session: string, count: number): Promise<void> {
    const url = await service.url;
    const writer = new StreamWriter('default', session);
    const events = Array.from({ length: count }, () => writer.event(CALLS.search, Date.now()));
    const file = join(root, `${session}.ndjson`);
    writeFileSync(file, events.map(({ line }) => `${line}\n`).join(''));
    const token = readFileSync(join(dataDir, 'producer.token'), 'utf8').trim();
    assert.equal((await tripline(['replay', file], { TRIPLINE_URL: url, TRIPLINE_TOKEN: token })).code, 0);
    await settled(() => url, readFileSync(join(dataDir, 'admin.token'), 'utf8').trim(), 120_000);
  }

  const verify = (...more: string[]): Promise<Ended> =>
    tripline(['verify', '--policy', policy, ...more], { TRIPLINE_DATA_DIR: dataDir });

  before(async () => {
    logVkey = await rootVkey(dataDir);
    for (const name of ['w1.example', 'w2.example']) witnesses.push(await startWitness(name, 0));
    const third = await startWitness('w3.example', 0);
    third.child.kill('SIGKILL');
    writePolicy(policy, logVkey, [...witnesses, third], 2);
    writeFileSync(configFile, JSON.stringify({ rootLog: { policyFile: policy }, rules: { builtin: false } }));
    service = up({ dataDir, configFile, logFile: join(root, 'service.log') });
    await send('first', 30);
  });
  after(async () => {
    await killAll();
    for (const { child } of witnesses) child.kill('SIGKILL');
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  it('is witnessed by two of three', async () => {
    const { code, items, stderr } = await verify();
    assert.equal(code, 0, JSON.stringify(items) + stderr);
  });

  it('is not witnessed while one of the two is away, and is again when it is back, from where it was', async () => {
    const [first] = witnesses;
    assert.ok(first);
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    await send('second', 10);
    const away = await verify();
    assert.equal(away.code, 10, JSON.stringify(away.items));
    const { quorum, unwitnessedEntries } = Object(away.items[0]?.['witness']) as Record<string, unknown>;
    // The earlier cosigned checkpoint still counts, for what it covers.
    assert.equal(quorum, true);
    assert.ok(Number(unwitnessedEntries) >= 10);
    witnesses[0] = await startWitness('w1.example', Number(new URL(first.url).port));
    assert.equal(witnesses[0].vkey, first.vkey);
    assert.equal((await verify()).code, 0);
  });

  it('killed with SIGKILL goes on in one history, which the witnesses cosign', async () => {
    const kept = join(root, 'kept');
    writeFileSync(kept, readFileSync(join(dataDir, 'root-log/cosigned')));
    await service.kill();
    service = up({ dataDir, configFile, logFile: join(root, 'service.log') });
    await send('third', 10);
    const { code, items, stderr } = await verify('--checkpoint', kept);
    assert.equal(code, 0, JSON.stringify(items) + stderr);
    assert.equal(await service.stop(), 0);
    const stopped = await verify('--checkpoint', kept);
    assert.equal(stopped.code, 0, JSON.stringify(stopped.items) + stopped.stderr);
  });
});
