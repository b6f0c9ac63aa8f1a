import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isTriplineError } from '../../../schemas/errors.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { maskSecrets, readSecret } from '../../../services/platform/config/secrets.ts';

function withFile(text: string, run: (file: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-config-'));
  try {
    const file = join(dir, 'tripline.yaml');
    writeFileSync(file, text);
    run(file);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('without any source the documented defaults hold: loopback, embedded, chdb', () => {
  const config = loadConfig({ env: {} });
  assert.equal(config.http.host, '127.0.0.1');
  assert.equal(config.http.port, 8747);
  assert.deepEqual([config.bus.kind, config.bus.partitions, config.store.kind], ['embedded', 4, 'chdb']);
  assert.equal(config.dataDir, join(homedir(), '.tripline'));
});

test('the environment turns on Kafka and ClickHouse, the command line is stronger than both', () => {
  withFile('http: { port: 1000 }\n', (file) => {
    const env = {
      TRIPLINE_KAFKA_BROKERS: 'a:9092, b:9092',
      TRIPLINE_CLICKHOUSE_URL: 'http://127.0.0.1:8123',
      TRIPLINE_HTTP_PORT: '2000',
    };
    const config = loadConfig({ file, env, overrides: [{ path: ['http', 'port'], value: 3000 }] });
    assert.deepEqual(config.bus.kind === 'kafka' && config.bus.brokers, ['a:9092', 'b:9092']);
    assert.equal(config.bus.partitions, 12);
    assert.equal(config.store.kind, 'clickhouse');
    assert.equal(config.http.port, 3000);
  });
});

test('all faults come in one error, each naming its path; unknown keys and variables are faults', () => {
  withFile('http: { port: 70000, prot: 1 }\nbusses: {}\nlog: { level: loud }\n', (file) => {
    assert.throws(
      () => loadConfig({ file, env: { TRIPLINE_HTP_PORT: '1' } }),
      (error) => {
        assert.ok(isTriplineError(error, 'config_invalid'));
        for (const part of [
          'http.port',
          'http.prot: unknown key',
          'busses: unknown key',
          'log.level',
          'TRIPLINE_HTP_PORT',
        ])
          assert.ok(error.message.includes(part), part);
        return true;
      },
    );
  });
});

test('a YAML fault names its line; a repeated key is a fault', () => {
  withFile('http:\n  port: 1\n  port: 2\n', (file) => {
    assert.throws(() => loadConfig({ file, env: {} }), /:3: /);
  });
});

test('the result cannot be changed', () => {
  const config = loadConfig({ env: {} });
  assert.ok(Object.isFrozen(config.http));
  assert.ok(Object.isFrozen(config.classify.internalHosts));
});

test('secrets come from files without their line break, and are masked when printed', () => {
  withFile('s3cret\n', (file) => assert.equal(readSecret({ file }, 'x'), 's3cret'));
  assert.throws(
    () => readSecret({ file: '/nonexistent/secret' }, 'auth.keys[0].token'),
    /auth\.keys\[0\]\.token/,
  );
  const masked = JSON.stringify(
    maskSecrets({
      token: { value: 's3cret' },
      other: { file: '/run/secrets/x' },
      url: 'https://u:pa55@host/x',
    }),
  );
  assert.equal(
    masked,
    '{"token":{"value":"***"},"other":{"file":"/run/secrets/x"},"url":"https://u:***@host/x"}',
  );
});
