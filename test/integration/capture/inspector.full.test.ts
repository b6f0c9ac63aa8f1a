/** A host that others wrote, the MCP Inspector, through the tap and the gate to servers that others wrote. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { inspectorInstall } from '../../support/inspector/install.ts';
import { everything, gateBefore } from '../../support/mcp/gate.ts';
import { MODERN_PROCESS, ROOT, nodeArguments, tapEnvironment, workplace } from '../../support/mcp/host.ts';
import { modernServer } from '../../support/mcp/modern-server.ts';
import { ofKind, Service } from '../../support/mcp/service.ts';
import { copyOfHttp } from '../../support/mcp/wire-copy.ts';
import { openPlace } from '../../support/mcp/place.ts';

const run = promisify(execFile);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const inspector = await inspectorInstall();
if (inspector.kind === 'absent') {
  process.stderr.write(`\n*** The Inspector's suite does not run: ${inspector.reason}\n\n`);
  if (process.env['CI'] === 'true') throw new Error(inspector.reason);
}
const skip = inspector.kind === 'absent' ? inspector.reason : false;

const PARENT = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
const packaged = (name: string, ...args: string[]): readonly string[] => [
  path.join(ROOT, 'node_modules/@modelcontextprotocol', name, 'dist/index.js'),
  ...args,
];

describe('the Inspector', { skip }, () => {
  const place = workplace();
  const service = new Service(place.dataDir);
  const file = path.join(place.dataDir, 'files/a.txt');

  before(async () => {
    mkdirSync(path.dirname(file));
    writeFileSync(file, 'hello');
    await service.start();
  });
  after(async () => {
    await service.stop();
    place.remove();
  });

  interface Call {
    readonly server: string;
    readonly command: readonly string[];
    readonly tool: string;
    readonly args: Readonly<Record<string, string>>;
    readonly expected: RegExp;
    readonly era?: 'modern';
  }

  async function inspect({ server, command, tool, args, era }: Call): Promise<string> {
    assert.equal(inspector.kind, 'ready');
    const cli = path.join(ROOT, 'services/cli/main.ts');
    const tap = [...nodeArguments(cli), 'tap', '--server', server, '--', process.execPath, ...command];
    // The Inspector takes the server's command from a file, as other hosts do.
    const config = path.join(place.dataDir, `${server}.json`);
    const env = tapEnvironment({
      place,
      env: { TRIPLINE_SESSION_ID: server, MEMORY_FILE_PATH: path.join(place.dataDir, 'memory.jsonl') },
    });
    writeFileSync(
      config,
      JSON.stringify({ mcpServers: { [server]: { command: process.execPath, args: tap, env } } }),
    );
    const words = ['--cli', '--config', config, '--server', server, '--method', 'tools/call'];
    if (era !== undefined) words.push('--protocol-era', era);
    const named = Object.entries(args).flatMap(([name, value]) => ['--tool-arg', `${name}=${value}`]);
    const trace = ['--tool-metadata', `traceparent=00-${PARENT.traceId}-${PARENT.spanId}-01`];
    const { stdout } = await run(
      inspector.node,
      [inspector.script, ...words, '--tool-name', tool, ...named, ...trace],
      { env: { PATH: process.env['PATH'], HOME: place.dataDir }, timeout: 120_000 },
    );
    return stdout;
  }

  const calls: readonly Call[] = [
    {
      server: 'everything',
      command: packaged('server-everything', 'stdio'),
      tool: 'echo',
      args: { message: 'hi' },
      expected: /hi/,
    },
    {
      server: 'filesystem',
      command: packaged('server-filesystem', path.dirname(file)),
      tool: 'read_text_file',
      args: { path: file },
      expected: /hello/,
    },
    {
      server: 'memory',
      command: packaged('server-memory'),
      tool: 'read_graph',
      args: {},
      expected: /entities/,
    },
    {
      server: 'modern',
      command: [...nodeArguments(MODERN_PROCESS), 'stdio'],
      tool: 'echo',
      args: { text: 'hi' },
      expected: /hi/,
      era: 'modern',
    },
  ];
  for (const call of calls) {
    it(`${call.server}: the call is on record with its trace, its parent, and both hashes`, async () => {
      const answer = await inspect(call);
      assert.match(answer, call.expected);
      const events = await service.eventsOnce(
        call.server,
        (found) => ofKind(found, 'stream.close').length > 0,
      );
      const [intent, ...others] = ofKind(events, 'call.intent');
      const [result] = ofKind(events, 'call.result');
      assert.deepEqual(others, []);
      assert.equal(intent?.tool, call.tool);
      assert.equal(intent.traceId, PARENT.traceId);
      assert.equal(intent.parentSpanId, PARENT.spanId);
      assert.equal(intent.argsHash, sha256(JSON.stringify(call.args)));
      assert.equal(result?.outcome, 'ok');
      assert.equal(result.callId, intent.callId);
      assert.equal(result.traceId, PARENT.traceId);
      // In the modern era its SDK takes resultType off before the Inspector shows the result.
      if (call.era === undefined) assert.equal(result.resultHash, sha256(JSON.stringify(JSON.parse(answer))));
    });
  }

  const eras = [
    { era: 'legacy', tool: 'echo', args: { message: 'hi' }, expected: /Echo: hi/ },
    { era: 'modern', tool: 'echo', args: { text: 'hi' }, expected: /hi/ },
  ] as const;
  for (const { era, tool, args, expected } of eras)
    it(`${era} era, through the gate: nothing on the wire differs, and the call is on record once`, async (context) => {
      assert.equal(inspector.kind, 'ready');
      const session = `gate-${era}`;
      const upstream = era === 'legacy' ? await everything(context) : await modernServer(context);
      const behind = await copyOfHttp(context, () => upstream.url);
      const gate = await gateBefore(context, await openPlace(context), {
        config: { upstreams: [{ name: 'peer', url: behind.url }] },
        env: {
          TRIPLINE_URL: service.url,
          TRIPLINE_TOKEN: readFileSync(path.join(place.dataDir, 'producer.token'), 'utf8').trim(),
          TRIPLINE_SESSION_ID: session,
        },
      });
      const ahead = await copyOfHttp(context, () => `${gate.url}/peer`);
      const words = ['--cli', ahead.url, '--transport', 'http', '--protocol-era', era];
      const named = Object.entries(args).flatMap(([name, value]) => ['--tool-arg', `${name}=${value}`]);
      const trace = ['--tool-metadata', `traceparent=00-${PARENT.traceId}-${PARENT.spanId}-01`];
      const { stdout } = await run(
        inspector.node,
        [inspector.script, ...words, '--method', 'tools/call', '--tool-name', tool, ...named, ...trace],
        { env: { PATH: process.env['PATH'], HOME: place.dataDir }, timeout: 120_000 },
      );
      assert.match(stdout, expected);
      const events = await service.eventsOnce(session, (found) => ofKind(found, 'call.result').length > 0);
      const [intent, ...others] = ofKind(events, 'call.intent');
      assert.deepEqual([intent?.tool, intent?.traceId, others], [tool, PARENT.traceId, []]);
      assert.equal(intent?.argsHash, sha256(JSON.stringify(args)));
      assert.deepEqual(
        ofKind(events, 'call.result').map(({ callId, outcome }) => [callId, outcome]),
        [[intent?.callId, 'ok']],
      );
      assert.ok(ahead.exchanges.length >= 2);
      assert.deepEqual(
        behind.bodies.map((body) => body.toString()),
        ahead.bodies.map((body) => body.toString()),
      );
      const versions = ahead.bodies.map((body) => body.toString()).join('\n');
      assert.equal(versions.includes('"2026-07-28"'), era === 'modern');
    });
});
