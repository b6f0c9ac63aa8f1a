/** Which process is the host, the tap's own arguments, pinned keys, and what its data directory holds. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { parseControlKeys } from '../../../services/capture/controls/keys.ts';
import { spoolFinding } from '../../../services/capture/doctor/local.ts';
import { bootId, pidSpace } from '../../../services/capture/processes.ts';
import { ownerTag } from '../../../services/capture/recorder/owner.ts';
import { hostProcess, isLauncher, type ProcessInfo } from '../../../services/capture/session.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { runTap } from '../../../services/capture/tap/main.ts';
import { parseTapArguments, TAP_USAGE } from '../../../services/capture/tap/options.ts';

describe('host process', () => {
  for (const [argv, expected] of [
    [['sh', '-c', 'tripline tap -- x'], true],
    [['-bash'], true],
    [['npm exec tripline tap'], true],
    [['/usr/bin/node', '/usr/lib/node_modules/npm/bin/npx-cli.js', 'x'], true],
    [['node', '/app/node_modules/.bin/tsx', 'host.ts'], true],
    [['node', '/app/host.js'], false],
    [['node', '--import', 'tsx', '/app/host.ts'], false],
    [['node', '--import=tsx', '-r', 'npm', '/app/host.ts'], false],
    [['node', '--import', 'tsx', '/app/node_modules/.bin/tsx', 'host.ts'], true],
    [['/opt/claude/claude', '--mcp'], false],
    [['python3', 'agent.py'], false],
  ] as const) {
    it(`${argv.join(' ')} ${expected ? 'only starts another' : 'is a host'}`, () => {
      assert.equal(isLauncher(argv), expected);
    });
  }

  it('is the nearest ancestor that is no launcher, else the topmost', () => {
    const table: Record<number, ProcessInfo> = {
      9: { pid: 9, parentPid: 8, start: '90', argv: ['sh', '-c', 'x'] },
      8: { pid: 8, parentPid: 7, start: '80', argv: ['npx'] },
      7: { pid: 7, parentPid: 1, start: '70', argv: ['claude'] },
      1: { pid: 1, parentPid: 0, start: '1', argv: ['sh'] },
    };
    assert.equal(hostProcess(9, (pid) => table[pid])?.pid, 7);
    assert.equal(hostProcess(1, (pid) => table[pid])?.pid, 1);
    assert.equal(
      hostProcess(9, () => undefined),
      undefined,
    );
  });
});

describe('tap arguments', () => {
  it('own options first, then the command as it is', () => {
    assert.deepEqual(
      parseTapArguments(['--server=v', '--agent', 'a', '--inject-trace', '--', 'npx', '--server', 'x']),
      { kind: 'run', server: 'v', agent: 'a', injectTrace: true, command: 'npx', args: ['--server', 'x'] },
    );
  });

  it('a host may swallow the dashes', () => {
    const parsed = parseTapArguments(['--server', 'v', 'node', 'server.js', '--flag']);
    assert.deepEqual(parsed.kind === 'run' ? [parsed.command, ...parsed.args] : parsed, [
      'node',
      'server.js',
      '--flag',
    ]);
  });

  for (const argv of [
    [],
    ['--'],
    ['--server'],
    ['--server', ''],
    ['--server', '--', 'x'],
    ['--bogus', '--', 'x'],
    ['--', ''],
  ]) {
    it(`[${argv.join(' ')}] is a usage fault`, () => {
      assert.equal(parseTapArguments(argv).kind, 'usage');
    });
  }

  it('help goes to stdout, where a pager reads it; a usage fault to stderr, since stdout is the protocol', async () => {
    for (const [argv, code] of [
      [['--help'], 0],
      [[], 2],
    ] as const) {
      const [stdout, stderr] = [new PassThrough({ encoding: 'utf8' }), new PassThrough({ encoding: 'utf8' })];
      const io = {
        stdin: new PassThrough(),
        stdout,
        stderr,
        ppid: 1,
        on: () => io,
        removeListener: () => io,
      };
      assert.equal(await runTap(argv, {}, io), code);
      const [out, err] = [String(stdout.read() ?? ''), String(stderr.read() ?? '')];
      assert.deepEqual(
        [out === TAP_USAGE, err.endsWith(TAP_USAGE)],
        code === 0 ? [true, false] : [false, true],
      );
    }
  });
});

describe('control keys', () => {
  const { publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const keyId = createHash('sha256').update(raw).digest('hex');
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();

  for (const text of [raw.toString('hex'), raw.toString('base64'), pem]) {
    it(`reads ${text.slice(0, 12)}…`, () => {
      assert.deepEqual(
        parseControlKeys(text, 'x').map((key) => key.keyId),
        [keyId],
      );
    });
  }

  it('takes several, and refuses all when one is malformed or of small order', () => {
    const hex = raw.toString('hex');
    assert.equal(parseControlKeys(`${hex}, ${hex}`, 'x').length, 2);
    for (const bad of ['zz', `01${'00'.repeat(31)}`, `${hex},beef`]) {
      assert.throws(() => parseControlKeys(bad, 'x'), { code: 'config_invalid' });
    }
  });
});

describe('what a host finds in its data directory', () => {
  function directory(context: TestContext): string {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'tripline-host-'));
    context.after(() => rmSync(dataDir, { recursive: true, force: true }));
    return dataDir;
  }

  it('a key that is named and is not there is a fault: nothing would be signed', (context) => {
    const dataDir = directory(context);
    const named = { TRIPLINE_DATA_DIR: dataDir, TRIPLINE_AGENT_KEY: path.join(dataDir, 'mine.key') };
    assert.throws(() => readSettings(named), { code: 'config_invalid', path: 'TRIPLINE_AGENT_KEY' });
    writeFileSync(named.TRIPLINE_AGENT_KEY, 'a key');
    assert.equal(readSettings(named).agentKeyFile, named.TRIPLINE_AGENT_KEY);
    const unnamed = readSettings({ TRIPLINE_DATA_DIR: dataDir });
    assert.equal(unnamed.agentKeyFile, path.join(dataDir, 'agent.key'));
  });

  it('what a dead process left waits to be sent, the directory of one that began no stream does not', (context) => {
    const dataDir = directory(context);
    const settings = readSettings({ TRIPLINE_DATA_DIR: dataDir });
    // Process 1 of another life of this machine.
    const [empty, full] = ['a', 'b'].map((letter) => {
      const stream = `${letter.repeat(32)}@${ownerTag({ pid: 1, start: '0', bootId: bootId(), pidSpace: pidSpace() })}`;
      return path.join(dataDir, 'spool', stream);
    });
    mkdirSync(empty ?? '', { recursive: true });
    assert.equal(spoolFinding(settings).status, 'ok');
    mkdirSync(full ?? '');
    writeFileSync(path.join(full ?? '', '0.ndjson'), 'x');
    assert.equal(spoolFinding(settings).status, 'warn');
  });
});
