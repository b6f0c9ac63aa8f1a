/** Files with keys that sign, a witness and the service use: what others could read or choose is refused, before it signs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { STEPS } from '../../../schemas/config/v1.ts';
import { openControlKey } from '../../../services/platform/controls/key.ts';
import { loadKeyFile } from '../../../services/platform/ledger/key-file.ts';
import { openKeyStore } from '../../../services/platform/payloads/key-store.ts';
import { openWitness } from '../../support/tlog/witnesses.ts';
import { tripline } from '../cli/harness.ts';

const OTHER_USER = 12_345;
const isRoot = process.getuid?.() === 0;

/** Each makes a key file what it must not be. */
const FAULTS: Readonly<Record<string, (file: string) => void>> = {
  'readable by its group': (file) => chmodSync(file, 0o640),
  'readable by all': (file) => chmodSync(file, 0o604),
  'writable by its group': (file) => chmodSync(file, 0o620),
  'a symbolic link': (file) => {
    renameSync(file, `${file}.elsewhere`);
    symlinkSync(`${file}.elsewhere`, file);
  },
  'a directory': (file) => {
    rmSync(file);
    mkdirSync(file, { mode: 0o700 });
  },
  'a pipe': (file) => {
    rmSync(file);
    execFileSync('mkfifo', ['-m', '600', file]);
  },
  'too long': (file) => writeFileSync(file, Buffer.alloc(20_000, '#'), { mode: 0o600 }),
  ...(isRoot ? { 'of another user': (file: string) => chownSync(file, OTHER_USER, OTHER_USER) } : {}),
};

/** Who opens which file. */
const KEYS: Readonly<Record<string, (dir: string) => Promise<unknown>>> = {
  'log.key': (dir) => loadKeyFile(dir, 'log'),
  'witness.key': (dir) => loadKeyFile(dir, 'witness'),
  'control.key': (dir) => openControlKey(dir, randomBytes),
  'subject-keys/lookup.key': (dir) => useKeys(dir),
  'subject-keys/keys': (dir) => useKeys(dir),
};

async function useKeys(dir: string): Promise<void> {
  const keys = openKeyStore(dir, randomBytes);
  await keys.obtain(['somebody']);
  await keys.close();
}

describe('a key file', () => {
  for (const [name, open] of Object.entries(KEYS))
    for (const [fault, spoil] of Object.entries(FAULTS)) {
      // Slots of keys are as many as there are subjects.
      if (name === 'subject-keys/keys' && fault === 'too long') continue;
      it(`${name} that is ${fault} is refused, and named`, async () => {
        const dir = mkdtempSync(join(tmpdir(), 'tripline-keys-'));
        try {
          await open(dir);
          const file = join(dir, name);
          spoil(file);
          await assert.rejects(open(dir), (error: Error & { code?: string; path?: string }) => {
            assert.deepEqual([error.code, error.path], ['config_invalid', file]);
            return true;
          });
        } finally {
          rmSync(dir, { recursive: true, force: true });
        }
      });
    }
});

/** Key of sum.golang.org, as C2SP writes one. */
const VKEY = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';

describe('a process that signs', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'tripline-keys-'));
  });
  after(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  /** The message of whoever refuses `file`; the file stays as it is, and is put right again. */
  async function refusal(file: string, ends: () => Promise<{ exitCode: number | null; err: string }>) {
    const kept = readFileSync(file);
    chmodSync(file, 0o644);
    const { exitCode, err } = await ends();
    assert.equal(exitCode, 2, err);
    assert.match(err, /"config_invalid"/u);
    assert.ok(err.includes(`${basename(file)} can be read by others; set mode 0600`), err);
    assert.deepEqual(readFileSync(file), kept);
    chmodSync(file, 0o600);
  }

  const SERVICES = {
    'step sign alone': { steps: 'sign', keys: ['log.key', 'subject-keys/lookup.key'] },
    'all steps in one process': { steps: STEPS.join(','), keys: ['control.key'] },
  };
  for (const [what, { steps, keys }] of Object.entries(SERVICES))
    it(`${what} ends with 2 and says which file it is`, { timeout: 240_000 }, async () => {
      const dataDir = join(dir, steps);
      mkdirSync(dataDir, { mode: 0o700 });
      const env = { TRIPLINE_DATA_DIR: dataDir, TRIPLINE_OTLP_PORT: '0' };
      for (const key of keys) {
        await KEYS[key]?.(dataDir);
        await refusal(join(dataDir, key), () =>
          tripline(env, ['up', '--json', '--steps', steps, '--port', '0']),
        );
        assert.equal(existsSync(join(dataDir, 'run.json')), false);
      }
    });

  it('a witness ends with 2 and says which file it is', async () => {
    const state = join(dir, 'witness');
    const witness = await openWitness('w.example', state, [VKEY]);
    await witness.stop();
    const args = ['witness', '--json', '--name', 'w.example', '--port', '0', '--log', VKEY, '--state', state];
    await refusal(join(state, 'witness.key'), () => tripline({}, args));
  });
});
