/** What README.md claims and a test can run: commands, options, samples, links. A claim that rots fails here. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { FAMILIES, FIELDS } from '../../../detectors/compile/fields.ts';
import { ENVIRONMENT_NAMES } from '../../../services/platform/config/environment.ts';
import { zConfig } from '../../../schemas/config/v1.ts';
import { zGateConfig } from '../../../schemas/gate/v1.ts';
import { readEventLine } from '../../../schemas/event/read.ts';
import { zEvent } from '../../../schemas/event/v1.ts';
import { readPolicy } from '../../../services/capture/policy/read.ts';
import { readRedaction } from '../../../services/capture/redaction/read.ts';
import { policyWarnings } from '../../../services/cli/policy-lint.ts';
import { tripline } from '../cli/harness.ts';

const root = resolve(import.meta.dirname, '../../..');
const DOCUMENTS = [
  'README.md',
  'services/README.md',
  'services/ingest/README.md',
  'services/capture/README.md',
  'services/capture/hosts/README.md',
  'schemas/README.md',
  'dashboards/README.md',
];
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const readme = textOf('README.md');

/** Fenced blocks of one language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? '');
}

/** Words of a shell line up to its comment; quotes hold words together. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/"[^"]*"|'[^']*'|\S+/g)].map(([word]) =>
    word.replaceAll(/^["']|["']$/g, ''),
  );
  const comment = words.indexOf('#');
  return comment < 0 ? words : words.slice(0, comment);
}

const lines = blocks(readme, 'sh').flatMap((block) => block.split('\n'));

describe('README.md', () => {
  it('names commands and options that exist', async () => {
    const commands = lines.map(wordsOf).filter(([npx, name]) => npx === 'npx' && name === 'tripline');
    assert.ok(commands.length > 10, 'it looked at something');
    for (const [, , ...argv] of commands) {
      const isName = (word = ''): boolean => /^[a-z]+$/.test(word);
      const groups = ['rules', 'config', 'destinations', 'capture', 'keys', 'hold', 'policy', 'redaction'];
      if (isName(argv[1])) groups.push('ledger'); // It says how the ledger is, by itself.
      const path = argv.slice(0, groups.includes(argv[0] ?? '') ? 2 : 1);
      assert.ok(
        path.every((word) => isName(word)),
        argv.join(' '),
      );
      const help = await tripline({}, [...path, '--help']);
      assert.equal(help.exitCode, 0, argv.join(' '));
      for (const option of argv.filter((word) => word.startsWith('--')))
        assert.ok(help.out.includes(option), `${path.join(' ')} knows ${option}`);
    }
  });
  it('names npm scripts that exist', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? '');
    assert.ok(named.length > 3);
    for (const name of named) assert.ok(name in scripts, name);
  });
  it('shows a configuration that is one', () => {
    const samples = blocks(readme, 'yaml');
    assert.ok(samples.length > 0);
    for (const sample of samples) zConfig.parse({ dataDir: '/tmp', ...(parse(sample) as object) });
  });
  it('shows an mcp.json whose servers run through the tap', () => {
    const samples = blocks(readme, 'json').map((sample) => JSON.parse(sample) as Record<string, unknown>);
    const hosts = samples.filter((sample) => 'mcpServers' in sample);
    assert.equal(hosts.length, 1);
    for (const server of Object.values(hosts[0]?.['mcpServers'] as Record<string, { args: string[] }>)) {
      const tap = server.args.indexOf('tap');
      assert.ok(tap >= 0 && server.args.indexOf('--') > tap);
      assert.ok(server.args.length > server.args.indexOf('--') + 1, 'a server command stands after --');
    }
  });
  it('shows configurations of the gate that are some, beside commands of the gate that exist', async () => {
    const text = textOf('services/capture/README.md');
    const samples = blocks(text, 'yaml').filter((sample) => sample.includes('upstreams:'));
    assert.equal(samples.length, 2);
    for (const sample of samples) zGateConfig.parse(parse(sample));
    const commands = blocks(text, 'sh')
      .flatMap((block) => block.split('\n'))
      .map(wordsOf);
    const gates = commands.filter(
      ([npx, name, command]) => npx === 'npx' && name === 'tripline' && command === 'gate',
    );
    assert.equal(gates.length, 2);
    const help = await tripline({}, ['gate', '--help']);
    for (const option of gates.flat().filter((word) => word.startsWith('--')))
      assert.ok(help.out.includes(option), option);
  });
  it('shows a policy that is one, without a line that never decides', () => {
    const samples = blocks(textOf('services/capture/README.md'), 'yaml').filter((one) =>
      one.includes('allow:'),
    );
    assert.equal(samples.length, 1);
    const reading = readPolicy(Buffer.from(samples[0] ?? ''));
    assert.equal(reading.kind, 'policy');
    const codes = reading.kind === 'policy' ? policyWarnings(reading.policy).map(({ code }) => code) : [];
    assert.deepEqual(codes, ['names_principal']);
  });
  it('shows a redaction that is one', () => {
    const samples = blocks(textOf('services/capture/README.md'), 'yaml').filter((one) =>
      one.includes('action: digest'),
    );
    assert.equal(samples.length, 1);
    const { rules } = readRedaction('README.md', Buffer.from(samples[0] ?? ''));
    assert.deepEqual(
      rules.map(({ action }) => action),
      ['digest', 'mask', 'digest', 'remove'],
    );
  });
  it('posts events that ingest takes', () => {
    const posts = lines.join('\n').match(/\{"v":1[^\n]*\}/g) ?? [];
    assert.ok(posts.length > 0);
    for (const line of posts) {
      // What ingest puts in front of a line that brings no stream.
      const owned = `{"stream":"${'0'.repeat(32)}","seq":0,"nonce":"${'0'.repeat(32)}",`;
      assert.deepEqual(readEventLine(line.replace('{', owned)).kind, 'event', line);
    }
  });
  it('points exporters at the listener and at no other', () => {
    assert.match(readme, /OTEL_EXPORTER_OTLP_ENDPOINT=http:\/\/127\.0\.0\.1:4318$/m);
    const { otlp } = zConfig.parse({});
    assert.deepEqual(
      [otlp.enabled, otlp.listen, otlp.host, otlp.assemblyWaitMs],
      [true, true, '127.0.0.1', 2000],
    );
  });
  it('lists environment variables that are read', () => {
    const named = [...readme.matchAll(/TRIPLINE_[A-Z_]+/g)].map(([name]) => name);
    assert.ok(named.length > 8);
    // Those of the service, and those of its hosts.
    const ofHosts = textOf('services/capture/settings.ts');
    for (const name of named)
      assert.ok(ENVIRONMENT_NAMES.includes(name) || ofHosts.includes(`'${name}'`), name);
  });
});

describe('documents', () => {
  for (const file of DOCUMENTS)
    it(`${file} links to files that are there`, () => {
      const links = [...textOf(file).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)];
      for (const [, target = ''] of links)
        assert.ok(existsSync(join(root, dirname(file), target)), `${file}: ${target}`);
    });
  it('schemas/README.md lists the fields of rules as the compiler knows them', () => {
    const listed = [
      ...textOf('schemas/README.md').matchAll(/^\| `([\w.*]+)` +\| (.+?) +\| the (intent|result) +\|$/gm),
    ];
    const wanted = [
      ...Object.entries(FIELDS),
      ...Object.entries(FAMILIES).map(([name, entry]) => [`${name}.*`, entry] as const),
    ].map(([name, { meaning, ofResult }]) => [name, meaning, ofResult ? 'result' : 'intent']);
    assert.deepEqual(
      listed.map((match) => match.slice(1)),
      wanted,
    );
  });
  it('schemas/README.md shows an event with fields of the schema only', () => {
    const [sample] = blocks(textOf('schemas/README.md'), 'json');
    const fields = Object.keys(JSON.parse(sample ?? '{}') as object);
    assert.ok(fields.length > 10);
    for (const field of fields) assert.ok(field in zEvent.shape, field);
  });
});
