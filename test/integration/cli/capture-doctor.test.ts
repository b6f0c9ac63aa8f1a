/** `tripline capture doctor` against a real service and a real tap: what it proves, with which privileges, and how it ends. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runCommandLine } from '../../../services/cli/program.ts';
import type { Service } from '../../../services/cli/service.ts';
import { gateBefore, plainServer } from '../../support/mcp/gate.ts';
import { connectThroughTap } from '../../support/mcp/host.ts';
import { openPlace as openGatePlace } from '../../support/mcp/place.ts';
import { openPlace, startIn, tripline, type Place, type Ran } from './harness.ts';

type Finding = Readonly<Record<string, unknown>>;
const of = (ran: Ran, check: string): Finding => ran.items().find((item) => item['check'] === check) ?? {};
const summaryOf = (ran: Ran): Finding => ran.items().at(-1) ?? {};

describe('capture doctor', () => {
  let place: Place;
  let service: Service;
  const hosts: string[] = [];
  before(async () => {
    place = await openPlace();
    service = await startIn(place);
  });
  after(async () => {
    await service.stop();
    await place.remove();
    for (const dir of hosts) rmSync(dir, { recursive: true, force: true });
  });
  const data = (): string => place.env['TRIPLINE_DATA_DIR'] ?? '';
  const doctor = (env: Readonly<Record<string, string>>, ...options: readonly string[]): Promise<Ran> =>
    tripline(env, ['capture', 'doctor', '--json', ...options]);

  /** Another machine's data directory: these files of the service's, and nothing else. */
  function hostWith(...files: readonly string[]): Readonly<Record<string, string>> {
    const dir = mkdtempSync(join(tmpdir(), 'tripline-host-'));
    hosts.push(dir);
    for (const file of files) copyFileSync(join(data(), file), join(dir, file));
    return { TRIPLINE_DATA_DIR: dir, TRIPLINE_URL: service.url };
  }

  it('proves both where the service runs: recorded, drilled, read back; a running tap acknowledged too', async (context) => {
    const tap = await connectThroughTap({
      place: {
        dataDir: data(),
        reachedFile: join(place.dir, 'reached'),
        reached: () => [],
        remove: () => undefined,
      },
      env: { TRIPLINE_SESSION_ID: 'running-tap' },
    });
    context.after(() => tap.close());
    await tap.client.callTool({ name: 'echo', arguments: { text: 'hi' } });
    const ran = await doctor(place.env);
    assert.equal(ran.exitCode, 0, ran.out + ran.err);
    assert.deepEqual(
      ran
        .items()
        .slice(0, -1)
        .map(({ check, status }) => `${String(check)} ${String(status)}`),
      [
        'settings',
        'spool',
        'control key',
        'service',
        'clock',
        'channel',
        'record',
        'drill',
        'hosts',
        'store',
      ].map((check) => `${check} ok`),
    );
    const ms = Number(of(ran, 'drill')['ms']);
    assert.ok(ms > 0 && ms < 5_000, `${ms} ms`);
    assert.match(String(of(ran, 'hosts')['detail']), /running-tap/);
    assert.deepEqual(summaryOf(ran), { recorded: true, armed: true, failed: 0 });
    // The drill is over, and the tap's own calls were never meant.
    const controls = await tripline(place.env, ['controls', '--json']);
    assert.doesNotMatch(controls.out, /"inForce":true/);
    const alerts = await tripline(place.env, ['alerts', '--json']);
    assert.deepEqual(
      alerts.items().map((alert) => alert['ruleId']),
      [],
      'a drill is no incident',
    );
    assert.notEqual((await tap.client.callTool({ name: 'echo', arguments: { text: 'hi' } })).isError, true);
  });

  it('tells which servers of a host are behind no tap and no gate', async (context) => {
    const gate = await gateBefore(context, await openGatePlace(context), {
      config: { upstreams: [{ name: 'vault', url: 'http://127.0.0.1:9/mcp' }] },
    });
    const other = await plainServer(context, (request, response) => {
      request.resume();
      response.writeHead(403, { 'content-type': 'application/json' }).end('{"error":{"data":{"code":"no"}}}');
    });
    const file = join(place.dir, 'mcp.json');
    const doctorOn = (content: object): Promise<Ran> => {
      writeFileSync(file, JSON.stringify(content));
      return doctor(place.env, '--mcp', file);
    };
    const behind = {
      samples: { command: 'tripline', args: ['tap', '--server', 'files', '--', 'npx', '-y', 'some-server'] },
      npx: { command: 'npx', args: ['-y', 'tripline', 'tap', '--', 'some-server'] },
      file: { command: 'node', args: ['/opt/tripline-tap.mjs', '--server', 'a', '--', 'some-server'] },
      gate: { url: `${gate.url}/vault` },
    };
    const fine = await doctorOn({ mcpServers: behind });
    assert.deepEqual(
      [fine.exitCode, of(fine, 'servers')['status'], summaryOf(fine)['recorded']],
      [0, 'ok', true],
    );
    const bare = await doctorOn({
      servers: {
        ...behind,
        bare: { command: 'npx', args: ['-y', 'some-server', '--', 'tripline', 'tap'] },
        broken: { command: 'tripline', args: ['tap', '--sever', 'a', '--', 'some-server'] },
        direct: { type: 'http', url: `${other}/mcp` },
      },
    });
    assert.deepEqual(
      [bare.exitCode, summaryOf(bare)['recorded'], summaryOf(bare)['armed']],
      [1, false, true],
    );
    assert.match(
      String(of(bare, 'servers')['detail']),
      /^not recorded, of 7 in .*: bare \(.*\), broken \(.*\), direct \(.*\)$/u,
    );
    for (const content of [{ mcpServers: [] }, {}]) assert.equal((await doctorOn(content)).exitCode, 2);
  });

  it('says it for people too, with what to do', async () => {
    const ran = await tripline(hostWith('producer.token'), ['capture', 'doctor']);
    assert.match(ran.out, /^FAIL {2}control key: no key is pinned.*\n +→ copy control\.pub/m);
    assert.match(ran.out, /recorded: yes {3}kill switch armed: NO\n$/);
    assert.equal(ran.exitCode, 1);
  });

  it('a producer token is enough for the side of the host; what takes more is skipped and named', async () => {
    const ran = await doctor(hostWith('producer.token', 'control.pub'));
    assert.equal(ran.exitCode, 0, ran.out);
    for (const check of ['channel', 'record']) assert.equal(of(ran, check)['status'], 'ok');
    for (const check of ['drill', 'store']) assert.equal(of(ran, check)['status'], 'skipped');
    assert.match(
      String(of(ran, 'drill')['do']),
      /tripline kill --scope session --target doctor-[0-9a-f]{16} /,
    );
    assert.deepEqual(summaryOf(ran), { recorded: true, armed: null, failed: 0 });
    const asProducer = await doctor(
      hostWith('producer.token', 'control.pub'),
      '--token-file',
      join(data(), 'producer.token'),
    );
    assert.deepEqual(
      [of(asProducer, 'drill')['status'], of(asProducer, 'store')['status']],
      ['skipped', 'skipped'],
    );
  });

  it('waits for a drill that a responder sets elsewhere', async () => {
    let out = '';
    let set: Promise<Ran> | undefined;
    const exitCode = await runCommandLine(['capture', 'doctor', '--json', '--wait', '20s'], {
      env: hostWith('producer.token', 'control.pub'),
      out: (text) => void (out += text),
      err: (text) => {
        const words = /tripline (kill .*)/.exec(text)?.[1]?.split(' ');
        if (words !== undefined) set = tripline(place.env, words);
      },
      isTerminal: false,
      signal: AbortSignal.timeout(60_000),
    });
    assert.equal((await set)?.exitCode, 0);
    assert.equal(exitCode, 0, out);
    assert.match(out, /"check":"drill","status":"ok"/);
    assert.match(out, /"armed":true/);
  });

  it('a key that is not the service’s: the drill fails, and why', async () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
    const env = { ...hostWith('producer.token'), TRIPLINE_CONTROL_KEYS: raw };
    const ran = await doctor(env, '--token-file', join(data(), 'admin.token'));
    assert.equal(ran.exitCode, 1);
    assert.equal(of(ran, 'drill')['status'], 'fail');
    assert.match(String(of(ran, 'drill')['detail']), /control_/);
    assert.deepEqual([summaryOf(ran)['recorded'], summaryOf(ran)['armed']], [true, false]);
  });

  it('exits 4 for a token that is refused, 3 for a service that is away, 2 for settings that are none', async () => {
    const denied = await doctor({ ...hostWith('control.pub'), TRIPLINE_TOKEN: 'wrong' });
    assert.deepEqual([denied.exitCode, of(denied, 'service')['cause']], [4, 'denied']);
    assert.deepEqual(summaryOf(denied), { recorded: false, armed: false, failed: 1 });
    const away = await doctor({ ...hostWith('control.pub'), TRIPLINE_URL: 'http://127.0.0.1:9' });
    assert.deepEqual(
      [away.exitCode, of(away, 'service')['cause'], of(away, 'spool')['status']],
      [3, 'unreachable', 'ok'],
    );
    const wrong = await doctor({ ...hostWith(), TRIPLINE_CONTROL_KEYS: 'no key' });
    assert.equal(wrong.exitCode, 2);
  });

  it('a spool that holds what others left is counted, one that cannot be written fails; so does a key that others may write', async () => {
    const env = hostWith('control.pub');
    const dir = env['TRIPLINE_DATA_DIR'] ?? '';
    chmodSync(join(dir, 'control.pub'), 0o666);
    const left = join(dir, 'spool', `${'a'.repeat(32)}@1-00000000-00000000-00000000`);
    mkdirSync(left, { recursive: true });
    writeFileSync(join(left, '0'), 'x'.repeat(1234));
    const away = await doctor({ ...env, TRIPLINE_URL: 'http://127.0.0.1:9' });
    assert.match(String(of(away, 'spool')['detail']), / 1234 bytes in 1 streams/);
    assert.equal(of(away, 'control key')['status'], 'fail');
    writeFileSync(join(place.dir, 'file'), '');
    const none = await doctor({
      ...env,
      TRIPLINE_URL: 'http://127.0.0.1:9',
      TRIPLINE_DATA_DIR: join(place.dir, 'file'),
    });
    assert.equal(of(none, 'spool')['status'], 'fail');
  });
});
