/** Time stamps of the root log, of an authority that is `openssl ts`; `openssl ts -verify` is the judge beside us. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { STEPS } from '../../../schemas/config/v1.ts';
import { startService, type Service } from '../../../services/cli/service.ts';
import { parseTimestamp } from '../../../services/evidence/timestamp.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { createLogger } from '../../../services/platform/telemetry/log.ts';
import { Stamper } from '../../../services/sign/root/stamper.ts';
import { diskFiles, type RootFiles } from '../../../services/sign/root/files.ts';
import { MODES, openssl, startAuthority, type Authority } from '../../support/tsa/server.ts';
import { eventually, openPlace, tripline, type Place } from '../cli/harness.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

describe('time stamps', { skip: hasOpenssl ? false : 'no openssl' }, () => {
  let place: Place;
  let authority: Authority;
  let other: Authority;
  let service: Service;
  let out: string;
  before(async () => {
    place = await openPlace();
    authority = await startAuthority(join(place.dir, 'tsa'));
    other = await startAuthority(join(place.dir, 'other'), 'ec');
    const file = join(place.dir, 'tripline.yaml');
    const rootLog = { epochMs: 100, cosignEveryMs: 1000, timestamp: { url: authority.url, everyMs: 1000 } };
    writeFileSync(file, JSON.stringify({ rootLog, rules: { builtin: false } }));
    const config = loadConfig({
      file,
      env: place.env,
      overrides: [{ path: ['http', 'port'], value: 0 }],
    });
    service = await startService({
      config,
      steps: STEPS,
      log: createLogger({ level: 'silent' }),
      announce: true,
    });
    out = join(place.dir, 'out');
    const sizes = join(place.dir, 'data/root-log/tsr/sizes');
    await eventually(() => Promise.resolve(existsSync(sizes)), Boolean);
    assert.equal((await tripline(place.env, ['export', '--out', out])).exitCode, 0);
  });
  after(async () => {
    await service?.stop();
    await authority?.stop();
    await other?.stop();
    await place?.remove();
  });

  const timestamps = async (...args: string[]) => {
    const ran = await tripline({}, ['verify', '--json', '--export', out, ...args]);
    return { exitCode: ran.exitCode, ...(ran.items()[0] as { timestamps: Record<string, unknown> }) };
  };

  it('are taken of the root log, and are good to openssl as they are exported', () => {
    const stamped = readdirSync(join(out, 'tsr')).filter((name) => name.endsWith('.tsr'));
    assert.ok(stamped.length > 0);
    for (const name of stamped) {
      const at = join(out, 'tsr', name.replace('.tsr', ''));
      const said = openssl(
        'ts',
        '-verify',
        '-queryfile',
        `${at}.tsq`,
        '-in',
        `${at}.tsr`,
        '-CAfile',
        authority.caFile,
      );
      assert.match(said, /Verification: OK/);
      openssl('ts', '-verify', '-data', `${at}.note`, '-in', `${at}.tsr`, '-CAfile', authority.caFile);
      const text = openssl('ts', '-reply', '-in', `${at}.tsr`, '-text');
      const [, time = ''] = /Time stamp: (.*)/.exec(text) ?? [];
      const ours = parseTimestamp(new Uint8Array(readFileSync(`${at}.tsr`)))?.timeMs ?? 0;
      assert.equal(Math.floor(ours / 1000), Date.parse(time) / 1000);
    }
  });

  it('count for whoever trusts the authority or its issuer, and for nobody else', async () => {
    for (const file of [authority.caFile, authority.certificateFile]) {
      const { exitCode, timestamps: found } = await timestamps('--tsa', file);
      assert.equal(exitCode, 10);
      assert.equal(found['trusted'], found['count']);
      assert.match(JSON.stringify(found['latest']), /"authority":"CN=test tsa"/);
    }
    for (const args of [[], ['--tsa', other.caFile], ['--tsa', join(place.dir, 'tsa/web.pem')]]) {
      const { exitCode, timestamps: found } = await timestamps(...args);
      assert.deepEqual([exitCode, found['trusted'], found['latest']], [10, 0, null]);
    }
  });

  it('are refused where the stamp is of another note, another question, or was changed', async () => {
    const file = join(out, 'bundle.ndjson');
    const whole = readFileSync(file, 'utf8');
    const text = whole.split('\n').find((line) => line.startsWith('{"type":"root_stamp"')) ?? '';
    const line = JSON.parse(text) as Record<'query' | 'response' | 'note', string>;
    const flipped = (base64: string, at: number): string => {
      const bytes = Buffer.from(base64, 'base64');
      const index = at < 0 ? bytes.length + at : at;
      bytes[index] = (bytes[index] ?? 0) ^ 1;
      return bytes.toString('base64');
    };
    const imprint = createHash('sha256').update(line.note).digest();
    const imprintAt = Buffer.from(line.response, 'base64').indexOf(imprint);
    assert.ok(imprintAt > 0);
    const changes: readonly object[] = [
      { ...line, query: flipped(line.query, -5) },
      { ...line, response: flipped(line.response, imprintAt) },
      { ...line, response: 'AAAA' },
    ];
    try {
      for (const change of changes) {
        writeFileSync(file, whole.replace(text, JSON.stringify(change)));
        const { exitCode, ...report } = await timestamps('--tsa', authority.caFile);
        assert.equal(exitCode, 40);
        assert.match(JSON.stringify(report), /"code":"root_stamp_invalid"/);
      }
      // A signature that does not hold makes a stamp of nobody, in a form that is sound.
      writeFileSync(
        file,
        whole.replace(text, JSON.stringify({ ...line, response: flipped(line.response, -1) })),
      );
      const { timestamps: found } = await timestamps('--tsa', authority.caFile);
      assert.equal(found['trusted'], Number(found['count']) - 1);
    } finally {
      writeFileSync(file, whole);
    }
  });

  it('are not kept where the authority answers something else than it was asked', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tripline-stamps-'));
    const files = diskFiles(dir);
    const stamper = new Stamper({ url: other.url, timeoutMs: 10_000, signal: new AbortController().signal });
    assert.equal(await stamper.stamp({ note: 'first\n', size: 1 }, files), true);
    assert.equal(await stamper.stamp({ note: 'first\n', size: 1 }, files), false);
    const modes = (Object.keys(MODES) as Authority['mode'][]).filter((mode) => mode !== 'sound');
    for (const mode of modes) {
      other.mode = mode;
      await assert.rejects(
        stamper.stamp({ note: 'second\n', size: 2 }, files),
        { code: mode === 'breaks off' ? 'timestamp_unreachable' : 'timestamp_refused' },
        mode,
      );
    }
    other.mode = 'sound';
    assert.deepEqual(readdirSync(join(dir, 'tsr')).toSorted(), ['1.note', '1.tsq', '1.tsr', 'sizes']);
    assert.equal(readFileSync(join(dir, 'tsr/sizes'), 'utf8'), '1\n');
    await inTurn(dir, stamper);
    await other.stop();
    await assert.rejects(stamper.stamp({ note: 'last\n', size: 99 }, files), {
      code: 'timestamp_unreachable',
    });
    rmSync(dir, { recursive: true, force: true });
  });

  /** Each write of a stamp fails, or took effect and is reported as failed: the next round has one that openssl takes. */
  async function inTurn(dir: string, stamper: Stamper): Promise<void> {
    const files = diskFiles(dir);
    let size = 1;
    for (const persists of [false, true])
      for (const at of [1, 2, 3, 4]) {
        size += 1;
        let writes = 0;
        const write: RootFiles['write'] = async (name, bytes) => {
          writes += 1;
          if (writes !== at || persists) await files.write(name, bytes);
          if (writes === at) throw new Error('disk');
        };
        const note = `note ${size}\n`;
        await assert.rejects(stamper.stamp({ note, size }, { ...files, write }), /disk/);
        const isListed = readFileSync(join(dir, 'tsr/sizes'), 'utf8').endsWith(`\n${size}\n`);
        assert.equal(isListed, persists && at === 4);
        assert.equal(await stamper.stamp({ note, size }, files), !isListed);
        const file = join(dir, 'tsr', String(size));
        const trust = ['-CAfile', other.caFile];
        openssl('ts', '-verify', '-queryfile', `${file}.tsq`, '-in', `${file}.tsr`, ...trust);
        openssl('ts', '-verify', '-data', `${file}.note`, '-in', `${file}.tsr`, ...trust);
      }
    const sizes = Array.from({ length: size }, (_, index) => `${index + 1}\n`).join('');
    assert.equal(readFileSync(join(dir, 'tsr/sizes'), 'utf8'), sizes);
  }

  it('that do not come are told in the health of sign and in its metrics, until they come again', async () => {
    const token = readFileSync(join(place.dir, 'data/admin.token'), 'utf8').trim();
    const get = async (path: string): Promise<string> =>
      await (await fetch(`${service.url}${path}`, { headers: { authorization: `Bearer ${token}` } })).text();
    const sizes = (): string => readFileSync(join(place.dir, 'data/root-log/tsr/sizes'), 'utf8');
    const earlier = sizes();
    authority.mode = 'stamps another nonce';
    // A stamp is asked for where the log has grown: each look at the ledger is on record.
    await eventually(
      async () => [await get('/v1/sessions'), await get('/readyz')].join(''),
      (text) => text.includes('time stamps: timestamp_refused'),
    );
    assert.match(
      await get('/metrics'),
      /tripline_root_log_faults_total\{part="time stamps",code="timestamp_refused"\} [1-9]/u,
    );
    assert.equal(sizes(), earlier);
    authority.mode = 'sound';
    await eventually(
      () => Promise.resolve(sizes()),
      (text) => text.length > earlier.length && text.startsWith(earlier),
    );
    await eventually(
      () => get('/readyz'),
      (text) => !text.includes('time stamps'),
    );
  });
});
