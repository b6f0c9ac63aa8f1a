/** A stranger's project: the tarball installed by npm, both SDK generations, a server that others wrote, a real service. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { workplace } from '../../support/mcp/host.ts';
import { ofKind, Service } from '../../support/mcp/service.ts';
import { pack, run, type Packed } from './packed.ts';

const SDKS = ['@modelcontextprotocol/sdk@1.32.2', '@modelcontextprotocol/client@2.4.0'];
const SERVER = '@modelcontextprotocol/server-everything@2026.8.31';
const host = (client: string, stdio: string): string => `import { recordTransport } from '@tripline/capture';
import { Client } from '${client}';
import { StdioClientTransport } from '${stdio}';
const emit = process.emit, fetched = globalThis.fetch;
const transport = new StdioClientTransport({ command: 'npx', args: ['mcp-server-everything', 'stdio'], stderr: 'ignore' });
const client = new Client({ name: 'stranger', version: '1.0.0' });
await client.connect(recordTransport(transport, { server: 'everything', agent: 'stranger-bot', transport: 'stdio' }));
const answer = await client.callTool({ name: 'echo', arguments: { message: 'hi' } });
await client.close();
const untouched = process.emit === emit && globalThis.fetch === fetched && process.listenerCount('SIGTERM') === 0;
console.log(JSON.stringify({ answer, untouched }));
`;

describe('the packed package in an empty project', () => {
  const place = workplace();
  const service = new Service(place.dataDir);
  let packed: Packed;
  let project: string;
  before(async () => {
    packed = await pack();
    project = path.join(packed.dir, 'project');
    mkdirSync(project);
    writeFileSync(path.join(project, 'package.json'), '{"private":true,"type":"module"}');
    const words = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await run('npm', [...words, packed.tarball, ...SDKS, SERVER], { cwd: project });
    await service.start();
  });
  after(async () => {
    await service.stop();
    packed.remove();
    place.remove();
  });

  const generations = [
    ['v1', '@modelcontextprotocol/sdk/client/index.js', '@modelcontextprotocol/sdk/client/stdio.js'],
    ['v2', '@modelcontextprotocol/client', '@modelcontextprotocol/client/stdio'],
  ] as const;
  for (const [name, client, stdio] of generations) {
    it(`SDK ${name}: one import, and the call is on record at a real service`, async () => {
      writeFileSync(path.join(project, `${name}.js`), host(client, stdio));
      const session = `stranger-${name}`;
      const env = {
        PATH: process.env['PATH'],
        HOME: place.dataDir,
        TRIPLINE_DATA_DIR: place.dataDir,
        TRIPLINE_SESSION_ID: session,
      };
      const { stdout } = await run(process.execPath, [`${name}.js`], { cwd: project, env, timeout: 60_000 });
      const said = JSON.parse(stdout) as { readonly answer: unknown; readonly untouched: boolean };
      assert.match(JSON.stringify(said.answer), /hi/);
      assert.equal(said.untouched, true, 'nothing global was changed');
      const events = await service.eventsOnce(session, (found) => ofKind(found, 'stream.close').length > 0);
      const [intent] = ofKind(events, 'call.intent');
      assert.deepEqual(
        [intent?.server, intent?.tool, ofKind(events, 'call.result').map(({ outcome }) => outcome)],
        ['everything', 'echo', ['ok']],
      );
    });
  }

  it('has the tap as a command, and brought three packages beside itself', async () => {
    const { stdout } = await run('npx', ['--no-install', 'tripline-tap', '--help'], { cwd: project });
    assert.match(stdout, /--server NAME/);
    const alone = path.join(packed.dir, 'alone');
    mkdirSync(alone);
    writeFileSync(path.join(alone, 'package.json'), '{"private":true}');
    const words = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await run('npm', [...words, packed.tarball], { cwd: alone });
    const names = readdirSync(path.join(alone, 'node_modules')).filter((name) => !name.startsWith('.'));
    assert.deepEqual(names.toSorted(), ['@cfworker', '@tripline', 'ws', 'yaml', 'zod']);
  });
});
