/** The tap before servers that others wrote, under load, with long results, and byte by byte. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  ROOT,
  connectThroughTap,
  nodeArguments,
  tapCommand,
  tapEnvironment,
} from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const packaged = (name: string, ...args: string[]): readonly string[] => [
  process.execPath,
  path.join(ROOT, 'node_modules/@modelcontextprotocol', name, 'dist/index.js'),
  ...args,
];

describe('tap before real servers', () => {
  it('server-everything, server-filesystem and server-memory: three taps, one session', async (context) => {
    const { place, receiver } = await openPlace(context);
    const files = path.join(place.dataDir, 'files');
    mkdirSync(files);
    writeFileSync(path.join(files, 'a.txt'), 'hello');
    const env = { MEMORY_FILE_PATH: path.join(place.dataDir, 'memory.jsonl') };
    const calls = [
      ['everything', packaged('server-everything', 'stdio'), 'echo', { message: 'hi' }],
      ['files', packaged('server-filesystem', files), 'read_text_file', { path: path.join(files, 'a.txt') }],
      ['memory', packaged('server-memory'), 'read_graph', {}],
    ] as const;
    await Promise.all(
      calls.map(async ([server, command, tool, args]) => {
        const tapArguments = ['--server', server];
        const host = await connectThroughTap({
          place,
          url: receiver.url,
          env,
          tapArguments,
          server: command,
        });
        await host.client.listTools();
        const answer = await host.client.callTool({ name: tool, arguments: args });
        assert.notEqual(answer.isError, true, JSON.stringify(answer));
        await receiver.until(() => receiver.of('call.result').some((event) => event.server === server));
        const result = receiver.of('call.result').find((event) => event.server === server);
        assert.equal(result?.resultHash, sha256(JSON.stringify(result?.result)));
        await host.close();
      }),
    );
    assert.equal(new Set(receiver.events.map((event) => event.stream)).size, 3);
    assert.equal(new Set(receiver.events.map((event) => event.session)).size, 1);
    assert.ok(receiver.of('registry.snapshot').length >= 3);
    assert.deepEqual(receiver.faults, []);
  });

  it('50 calls at once: each answered, each with one intent and one result', async (context) => {
    const { place, receiver } = await openPlace(context);
    const host = await connectThroughTap({ place, url: receiver.url });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        host.client.callTool({ name: 'echo', arguments: { text: `call ${n}` } }),
      ),
    );
    for (const [n, answer] of answers.entries()) assert.ok(JSON.stringify(answer).includes(`call ${n}\\`));
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    const ids = (kind: 'call.intent' | 'call.result') =>
      receiver
        .of(kind)
        .map((event) => event.callId ?? '')
        .toSorted((a, b) => (a < b ? -1 : 1));
    assert.equal(new Set(ids('call.intent')).size, 50);
    assert.deepEqual(ids('call.intent'), ids('call.result'));
  });

  it('a result of 9 MB arrives whole and is on record in parts that give its bytes back', async (context) => {
    const { place, receiver } = await openPlace(context);
    const host = await connectThroughTap({ place, url: receiver.url });
    const answer = await host.client.callTool({ name: 'big', arguments: { bytes: 4_500_000 } });
    assert.equal((answer.content as { text: string }[])[0]?.text.length, 4_500_000);
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1, 20_000);
    const [result] = receiver.of('call.result');
    const whole = receiver
      .of('call.body')
      .map((event) => event.body?.data)
      .join('');
    assert.equal(sha256(whole), result?.resultHash);
    assert.equal(Buffer.byteLength(whole), result?.resultBytes);
    assert.ok(Buffer.byteLength(whole) >= 9_000_000);
    assert.deepEqual(receiver.faults, []);
  });

  it('not a byte differs from a direct connection, whatever is written and however it is cut', async (context) => {
    const { place, receiver } = await openPlace(context);
    const noise = Buffer.concat([
      Buffer.from(
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{ "name" : "ä€😀","arguments":{"a":1e3}}}\r\n',
      ),
      Buffer.from('\n\nno json at all\n{"torn\n'),
      Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0xc3]),
      Buffer.from(`[{"jsonrpc":"2.0","id":"1","method":"ping"}]\n${'x'.repeat(300_000)}`),
    ]);
    const { command, args } = tapCommand({
      server: [process.execPath, '-e', 'process.stdin.pipe(process.stdout)'],
    });
    const tap = spawn(command, args, {
      cwd: ROOT,
      env: tapEnvironment({ place, url: receiver.url }),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const chunks: Buffer[] = [];
    tap.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise((resolve) => void tap.on('close', resolve));
    for (let at = 0; at < noise.length; at += at < 200 ? 3 : 50_000) {
      tap.stdin.write(noise.subarray(at, at < 200 ? at + 3 : at + 50_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    tap.stdin.end();
    assert.equal(await ended, 0);
    assert.ok(Buffer.concat(chunks).equals(noise));
  });

  it('a server that ignores the end of its input is ended; a tap whose host is gone leaves no orphan', async (context) => {
    const { place, receiver } = await openPlace(context);
    const { command, args } = tapCommand({});
    const tap = spawn(command, args, {
      cwd: ROOT,
      env: { ...tapEnvironment({ place, url: receiver.url }), STUBBORN: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    tap.stdout.resume();
    const ended = new Promise((resolve) => void tap.on('close', resolve));
    await receiver.until(() => receiver.of('stream.open').length === 1);
    tap.stdin.end();
    assert.equal(await ended, 128 + 15);
  });

  for (const [name, tapArguments] of [
    ['an empty command', ['tap', '--server', 'x', '--']],
    ['an unknown option', ['tap', '--nothing', '--', 'true']],
    ['no arguments', ['tap']],
  ] as const) {
    it(`${name} is a usage fault and starts nothing`, async (context) => {
      const { place, receiver } = await openPlace(context);
      const cli = path.join(ROOT, 'services/cli/main.ts');
      const tap = spawn(process.execPath, [...nodeArguments(cli), ...tapArguments], {
        env: tapEnvironment({ place, url: receiver.url }),
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let out = '';
      tap.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      assert.equal(await new Promise((resolve) => void tap.on('exit', resolve)), 2);
      assert.equal(out, '');
    });
  }

  it('a tap that taps itself ends', async (context) => {
    const { place, receiver } = await openPlace(context);
    const nested = tapCommand({});
    const twice = tapCommand({ server: [nested.command, ...nested.args] });
    const thrice = tapCommand({ server: [twice.command, ...twice.args] });
    const four = tapCommand({ server: [thrice.command, ...thrice.args] });
    const transport = new StdioClientTransport({
      ...four,
      env: tapEnvironment({ place, url: receiver.url }),
      stderr: 'ignore',
    });
    await assert.rejects(new Client({ name: 't', version: '1' }).connect(transport));
    assert.deepEqual(place.reached(), []);
  });
});
