/** The samples for hosts: each in its host's own form, with a command line that is one of the tap. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parseTapArguments } from '../../../services/capture/tap/options.ts';

const FOLDER = resolve(import.meta.dirname, '../../../services/capture/hosts');

/** As the hosts document it: the key of all servers, what a server on stdio must say beside its command, the key of a URL. */
const FORMS = {
  'claude-desktop.json': { root: 'mcpServers', stdio: {}, url: undefined },
  'claude-code.json': { root: 'mcpServers', stdio: { type: 'stdio' }, url: 'url', http: { type: 'http' } },
  'cursor.json': { root: 'mcpServers', stdio: {}, url: 'url' },
  'vscode.json': { root: 'servers', stdio: { type: 'stdio' }, url: 'url', http: { type: 'http' } },
  'windsurf.json': { root: 'mcpServers', stdio: {}, url: 'serverUrl' },
  'gemini-cli.json': { root: 'mcpServers', stdio: {}, url: 'httpUrl' },
  'zed.json': { root: 'context_servers', stdio: {}, url: 'url' },
  'inspector.json': { root: 'mcpServers', stdio: {}, url: 'url', http: { type: 'streamable-http' } },
} as const satisfies Record<string, { root: string; stdio: object; url: string | undefined; http?: object }>;

interface StdioServer {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

describe('samples for hosts', () => {
  it('are all known here, and all listed in their README', () => {
    const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
    assert.deepEqual(files.toSorted(), Object.keys(FORMS).toSorted());
    const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8');
    for (const file of files) assert.ok(readme.includes(`](${file})`), file);
  });
  for (const [file, form] of Object.entries(FORMS))
    it(`${file} has its host's form, the tap before a command, and the gate's URL`, () => {
      const sample = JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Record<
        string,
        Record<string, object>
      >;
      assert.deepEqual(Object.keys(sample), [form.root]);
      const { files, vault, ...others } = sample[form.root] ?? {};
      assert.deepEqual(others, {});
      const { command, args, env: _env, ...rest } = files as StdioServer;
      assert.deepEqual(rest, form.stdio);
      assert.deepEqual([command, args[0]], ['tripline', 'tap']);
      const tap = parseTapArguments(args.slice(1));
      assert.deepEqual(tap.kind === 'run' ? [tap.server, tap.agent, tap.command] : tap, [
        'files',
        file.replace('.json', ''),
        'npx',
      ]);
      const url = 'http://127.0.0.1:8750/vault';
      const http = 'http' in form ? form.http : {};
      assert.deepEqual(vault, form.url === undefined ? undefined : { ...http, [form.url]: url });
    });
});
