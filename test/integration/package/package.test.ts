/** What hosts get of capture: an npm package that is light and typed, and a tap that is one file. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildTap } from '../../../services/capture/build.ts';
import { ROOT } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';
import { pack, run, type Packed } from './packed.ts';

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly gypfile?: boolean;
}

const manifestOf = (name: string): Manifest =>
  JSON.parse(readFileSync(path.join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as Manifest;

describe('the npm package of capture', () => {
  let packed: Packed;
  before(async () => {
    packed = await pack();
  });
  after(() => packed.remove());

  it('weighs less than 300 kB, and holds its license and no sources', () => {
    assert.ok(packed.size < 300_000, `${packed.size} bytes`);
    for (const file of [
      'package.json',
      'README.md',
      'tripline-tap.js',
      'dist/main.js',
      'dist/main.d.ts',
      'dist/LICENSE',
    ])
      assert.ok(packed.files.includes(file), file);
    assert.deepEqual(
      packed.files.filter((file) => /(?<!\.d)\.ts$|\.node$|\.map$/u.test(file)),
      [],
    );
  });

  it('depends on three packages, which depend on none and build nothing', () => {
    const names = Object.keys(manifestOf('@tripline/capture').dependencies ?? {});
    assert.deepEqual(names, ['@cfworker/json-schema', 'ws', 'yaml', 'zod']);
    for (const name of names) {
      const { dependencies = {}, scripts = {}, gypfile } = manifestOf(name);
      assert.deepEqual(Object.keys(dependencies), [], name);
      const building = ['preinstall', 'install', 'postinstall'].filter((script) => script in scripts);
      assert.deepEqual(
        [building, gypfile, existsSync(path.join(ROOT, 'node_modules', name, 'binding.gyp'))],
        [[], undefined, false],
      );
    }
  });

  it('is typed for the transports of both SDKs, with every check of TypeScript on and no other types', async () => {
    const project = path.join(packed.dir, 'typed');
    const own = path.join(project, 'node_modules/@tripline/capture');
    mkdirSync(own, { recursive: true });
    await run('tar', ['-xzf', packed.tarball, '-C', own, '--strip-components', '1']);
    symlinkSync(
      path.join(ROOT, 'node_modules/@modelcontextprotocol'),
      path.join(project, 'node_modules/@modelcontextprotocol'),
    );
    writeFileSync(
      path.join(project, 'host.mts'),
      `import { recordTransport } from '@tripline/capture';
import { StdioClientTransport as V1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as V2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
const v1 = recordTransport(new V1({ command: 'x' }), { server: 'a', agent: 'bot' });
const v2 = recordTransport(new V2({ command: 'x' }), { server: 'a', side: 'client', transport: 'stdio' });
const id: string = v1.recordDecision({ rationale: 'why' });
await new ClientV1({ name: id, version: '1' }).connect(v1);
await new ClientV2({ name: 'b', version: '1' }).connect(v2);
// @ts-expect-error a server has a name
recordTransport(v1, {});
// @ts-expect-error a string is no transport
recordTransport('x', { server: 'a' });
`,
    );
    const strict = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
    };
    for (const module of ['NodeNext', 'Preserve']) {
      const compilerOptions = { ...strict, module, target: 'ES2022', skipLibCheck: true, types: [] };
      writeFileSync(
        path.join(project, 'tsconfig.json'),
        JSON.stringify({ compilerOptions, files: ['host.mts'] }),
      );
      const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
      const { stdout } = await run(process.execPath, [tsc, '-p', project]).catch(
        (error: { stdout: string }) => error,
      );
      assert.equal(stdout, '', module);
    }
    // Its own declarations are checked too: they need nothing, neither Node's types nor a dependency's.
    const compilerOptions = {
      ...strict,
      module: 'NodeNext',
      target: 'ES2022',
      skipLibCheck: false,
      types: [],
    };
    const files = [path.join(own, 'dist/main.d.ts')];
    writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    await run(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project]);
  });
});

describe('the tap as one file', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'tripline-one-file-'));
  const tap = path.join(dir, 'tripline-tap.mjs');
  before(() => buildTap(tap));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('runs by itself from an empty folder, where a server that others wrote is on record', async (context) => {
    const { place, receiver } = await openPlace(context);
    const everything = path.join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
    const transport = new StdioClientTransport({
      command: tap,
      args: ['--server', 'everything', '--', process.execPath, everything, 'stdio'],
      cwd: dir,
      env: {
        PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin`,
        TRIPLINE_DATA_DIR: place.dataDir,
        TRIPLINE_URL: receiver.url,
        TRIPLINE_TOKEN: 'test-token',
        // An exporter needs packages that are not there: the tap says so and goes on.
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      },
      stderr: 'pipe',
    });
    let stderr = '';
    transport.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
    const client = new Client({ name: 'tester', version: '1.0.0' });
    await client.connect(transport);
    const answer = await client.callTool({ name: 'echo', arguments: { message: 'hi' } });
    assert.match(JSON.stringify(answer), /hi/);
    await receiver.until(() => receiver.of('call.result').length === 1);
    await client.close();
    assert.equal(receiver.of('call.intent')[0]?.tool, 'echo');
    assert.equal(receiver.of('call.result')[0]?.outcome, 'ok');
    assert.deepEqual(receiver.faults, []);
    assert.match(stderr, /telemetry_unavailable/);
  });

  it('says how it is used, and refuses an empty command', async () => {
    const help = await run(tap, ['--help'], { cwd: dir });
    assert.match(help.stdout, /--server NAME/);
    await assert.rejects(run(tap, ['--server', 'a', '--'], { cwd: dir }), { code: 2 });
  });
});
