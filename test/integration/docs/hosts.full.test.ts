/** The command line of each sample, started as its host would, is a tap before a working server. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { nodeArguments, ROOT } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';

const FOLDER = resolve(ROOT, 'services/capture/hosts');
const WORKSPACE = /^(?:\$\{workspaceFolder\}|\/Users\/me\/Documents|\.)$/;

interface StdioServer {
  readonly command: string;
  readonly args: readonly string[];
}

describe('samples for hosts', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  assert.ok(files.length >= 8);
  for (const file of files)
    it(`${file}: its command starts the tap, and a call through it is on record under its agent`, async (context) => {
      const { place, receiver } = await openPlace(context);
      const bin = join(place.dataDir, 'bin');
      const folder = join(place.dataDir, 'workspace');
      for (const dir of [bin, folder]) mkdirSync(dir);
      const cli = [process.execPath, ...nodeArguments(join(ROOT, 'services/cli/main.ts'))];
      writeFileSync(
        join(bin, 'tripline'),
        `#!/bin/sh\nexec ${cli.map((word) => `'${word}'`).join(' ')} "$@"\n`,
        { mode: 0o755 },
      );
      const sample = JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Record<
        string,
        { files: StdioServer }
      >;
      const { command, args } = Object.values(sample)[0]?.files ?? { command: '', args: [] };
      const transport = new StdioClientTransport({
        command,
        // The folder is the one thing that a reader changes.
        args: args.map((word) => (WORKSPACE.test(word) ? folder : word)),
        // npx finds the server that the project has installed.
        cwd: ROOT,
        env: {
          PATH: `${bin}:${process.env['PATH']}`,
          TRIPLINE_DATA_DIR: place.dataDir,
          TRIPLINE_URL: receiver.url,
          TRIPLINE_TOKEN: 'test-token',
        },
        stderr: 'ignore',
      });
      const client = new Client({ name: 'tester', version: '1.0.0' });
      await client.connect(transport);
      context.after(() => client.close());
      const answer = await client.callTool({ name: 'list_directory', arguments: { path: folder } });
      assert.notEqual(answer.isError, true, JSON.stringify(answer));
      await receiver.until(() => receiver.of('call.result').length === 1);
      const [intent] = receiver.of('call.intent');
      assert.deepEqual(
        [intent?.server, intent?.agent, intent?.tool],
        ['files', file.replace('.json', ''), 'list_directory'],
      );
    });
});
