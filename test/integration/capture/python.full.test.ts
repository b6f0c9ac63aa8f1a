/**
 * Client and server that others wrote in another language, PyPI's `mcp`, through the tap and the gate, in both eras. Tasks are not
 * here: `mcp` 2.3.0 has their wire types alone (mcp_types/_v2025_11_25), and no method of its client or server uses them.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { gateBetween, tapBetween, type GateBetween, type TapBetween } from '../../support/mcp/between.ts';
import { callsServer, everything, portPrinting } from '../../support/mcp/gate.ts';
import { CALLS_SERVER, nodeArguments, ROOT, workplace } from '../../support/mcp/host.ts';
import { modernServer } from '../../support/mcp/modern-server.ts';
import { ofKind, Service, type EventItem } from '../../support/mcp/service.ts';
import { openPlace } from '../../support/mcp/place.ts';
import { pythonInstall } from '../../support/python/install.ts';

const run = promisify(execFile);
const python = await pythonInstall();
if (python.kind === 'absent') {
  process.stderr.write(`\n*** The suite of the Python client does not run: ${python.reason}\n\n`);
  if (process.env['CI'] === 'true') throw new Error(python.reason);
}
const skip = python.kind === 'absent' ? python.reason : false;
const interpreter = python.kind === 'ready' ? python.python : '';

const SCENARIO = path.join(ROOT, 'test/support/python/scenario.py');
const PYTHON_SERVER = [interpreter, path.join(ROOT, 'test/support/python/server.py')];
const EVERYTHING = [
  process.execPath,
  path.join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
  'stdio',
];
const CALLS = [process.execPath, ...nodeArguments(CALLS_SERVER)];
const CLI = nodeArguments(path.join(ROOT, 'services/cli/main.ts'));

type Said = Readonly<Record<string, unknown>>;

const LONG = 'trigger-long-running-operation';
const OF_EVERYTHING = [
  { do: 'lists' },
  { do: 'many', count: 50, name: 'message' },
  { do: 'progress', tool: LONG, args: { duration: 0.5, steps: 3 } },
  { do: 'call', tool: 'trigger-sampling-request', args: { prompt: 'p' } },
  { do: 'call', tool: 'trigger-elicitation-request' },
  { do: 'call', tool: 'no-such-tool' },
  { do: 'cancel', tool: LONG, args: { duration: 30, steps: 3 }, after: 0.5 },
];
const OUTCOMES_OF_EVERYTHING = {
  'echo ok': 50,
  [`${LONG} ok`]: 1,
  'trigger-sampling-request ok': 1,
  'trigger-elicitation-request ok': 1,
  'no-such-tool tool_error': 1,
  [`${LONG} cancelled`]: 1,
};

const OF_PYTHON = [
  { do: 'lists' },
  { do: 'many', count: 50, name: 'text' },
  { do: 'progress', tool: 'slow', args: { ms: 300 } },
  { do: 'call', tool: 'ask' },
  { do: 'call', tool: 'sample' },
  { do: 'change' },
  { do: 'call', tool: 'no-such-tool' },
  { do: 'cancel', tool: 'slow', args: { ms: 30_000 }, after: 0.5 },
];
/** Python's server ends a stream of events behind its last one, and Python's client often does not wait for that. */
const SEEN_TO_THEIR_END = 25;
const OUTCOMES_OF_PYTHON = {
  'echo ok': 50,
  'slow ok': 1,
  'ask ok': 1,
  'sample ok': 1,
  'change ok': 1,
  'no-such-tool tool_error': 1,
  'slow cancelled': 1,
};

function checkPython(said: readonly Said[]): void {
  const by = (step: string, tool?: string): Said | undefined =>
    said.find((one) => one['step'] === step && (tool === undefined || one['tool'] === tool));
  assert.equal(by('many')?.['right'], 50);
  assert.deepEqual(by('progress')?.['progress'], [1, 2, 3]);
  assert.match(String(by('call', 'ask')?.['text']), /accept True/);
  assert.match(String(by('call', 'sample')?.['text']), /sampled in Python/);
  assert.equal(by('change')?.['tools'], Number(by('lists')?.['tools']) + 1);
  assert.equal(by('cancel')?.['cancelled'], true);
}

describe('the Python client', { skip }, () => {
  const place = workplace();
  const service = new Service(place.dataDir);
  before(() => service.start());
  after(async () => {
    await service.stop();
    place.remove();
  });

  let runs = 0;
  const newSession = (): string => `python-${++runs}`;

  async function play(
    target: object,
    session: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<readonly Said[]> {
    const variables = {
      PATH: process.env['PATH'],
      HOME: place.dataDir,
      TRIPLINE_DATA_DIR: place.dataDir,
      TRIPLINE_SESSION_ID: session,
      REACHED_FILE: place.reachedFile,
      ...env,
    };
    const options = { env: variables, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 };
    const { stdout } = await run(interpreter, [SCENARIO, JSON.stringify(target)], options).catch(
      (error: { stdout: string; stderr: string; code: number }) => {
        if (error.code !== 3) throw new Error(`${error.stdout}\n${error.stderr}`);
        return error;
      },
    );
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Said);
  }

  const tapped = (session: string, command: readonly string[], ...options: readonly string[]): TapBetween =>
    tapBetween(path.join(place.dataDir, 'wire', session), command, [
      '--server',
      'peer',
      '--agent',
      'python-bot',
      ...options,
    ]);

  /** Every call of the session with its one outcome, counted; fails where a call has none or two. */
  async function outcomes(session: string, calls: number): Promise<Readonly<Record<string, number>>> {
    const events = await service.eventsOnce(session, (found) => ofKind(found, 'call.result').length >= calls);
    const intents = ofKind(events, 'call.intent');
    const results = ofKind(events, 'call.result');
    const ids = (of: readonly EventItem[]): readonly string[] =>
      of.map(({ callId }) => callId ?? '').toSorted();
    assert.equal(new Set(ids(intents)).size, intents.length);
    assert.deepEqual(ids(results), ids(intents));
    const counts: Record<string, number> = {};
    for (const { callId, outcome } of results) {
      const tool = intents.find((intent) => intent.callId === callId)?.tool;
      const name = `${tool} ${outcome}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  function checkEverything(said: readonly Said[]): void {
    const by = (step: string, tool?: string): Said | undefined =>
      said.find((one) => one['step'] === step && (tool === undefined || one['tool'] === tool));
    assert.equal(by('many')?.['right'], 50);
    assert.deepEqual(by('progress')?.['progress'], [1, 2, 3]);
    assert.match(String(by('call', 'trigger-sampling-request')?.['text']), /sampled in Python/);
    assert.match(String(by('call', 'trigger-elicitation-request')?.['text']), /Name: Ada/);
    assert.equal(by('cancel')?.['cancelled'], true);
    assert.ok(by('closed') !== undefined, JSON.stringify(said));
  }

  for (const mode of ['auto', 'legacy'])
    it(`${mode}, tap before server-everything: nothing on the wire differs, every call has one outcome`, async () => {
      const session = newSession();
      const tap = tapped(session, EVERYTHING);
      const said = await play({ command: tap.command, mode, steps: OF_EVERYTHING }, session);
      checkEverything(said);
      assert.deepEqual(await outcomes(session, 55), OUTCOMES_OF_EVERYTHING);
      assert.ok(tap.wire('host.in').length > 5_000);
      tap.checkSame();
    });

  it('traces are written into calls where that is asked for, and nothing else changes', async () => {
    const session = newSession();
    const steps = [{ do: 'lists' }, { do: 'many', count: 5, name: 'message' }];
    const { command, wire } = tapped(session, EVERYTHING, '--inject-trace');
    await play({ command, mode: 'legacy', steps }, session);
    const messages = (name: 'host.in' | 'server.in') =>
      wire(name)
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { method: string; params?: { _meta?: { traceparent?: string } } });
    const [sent, got] = [messages('host.in'), messages('server.in')];
    const parents = got
      .filter(({ method }) => method === 'tools/call')
      .map(({ params }) => params?.['_meta']?.traceparent ?? '');
    assert.equal(parents.length, 5);
    for (const parent of parents) assert.match(parent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const bare = (list: typeof sent) =>
      list.map(({ params, ...rest }) => ({ ...rest, params: { ...params, _meta: undefined } }));
    assert.deepEqual(bare(got), bare(sent));
    assert.ok(wire('host.out').equals(wire('server.out')));
  });

  it('2026-07-28, tap before a Python server: the modern era over stdio', async () => {
    const session = newSession();
    const steps = [
      { do: 'lists' },
      { do: 'many', count: 50, name: 'text' },
      { do: 'progress', tool: 'slow', args: { ms: 300 } },
      { do: 'cancel', tool: 'slow', args: { ms: 30_000 }, after: 0.5 },
    ];
    const tap = tapped(session, PYTHON_SERVER);
    const said = await play({ command: tap.command, mode: '2026-07-28', steps }, session);
    assert.equal(said[0]?.['protocol'], '2026-07-28');
    assert.equal(said.find((one) => one['step'] === 'many')?.['right'], 50);
    assert.deepEqual(said.find((one) => one['step'] === 'progress')?.['progress'], [1, 2, 3]);
    assert.deepEqual(await outcomes(session, 52), { 'echo ok': 50, 'slow ok': 1, 'slow cancelled': 1 });
    tap.checkSame();
  });

  it('legacy, tap before a Python server: it asks its client, its list changes', async () => {
    const session = newSession();
    const tap = tapped(session, PYTHON_SERVER);
    const said = await play({ command: tap.command, mode: 'legacy', steps: OF_PYTHON }, session);
    checkPython(said);
    assert.deepEqual(await outcomes(session, 56), OUTCOMES_OF_PYTHON);
    tap.checkSame();
  });

  it('tap: a result of 10 MB, a list that changes, a server that dies in a call, and a client that does', async () => {
    const session = newSession();
    const big = { do: 'call', tool: 'big', args: { bytes: 5_000_000 } };
    const tap = tapped(session, CALLS);
    const steps = [big, { do: 'change' }, { do: 'call', tool: 'die' }];
    const said = await play({ command: tap.command, mode: 'auto', steps }, session, { CHANGES: '1' });
    assert.equal(said.find((one) => one['tool'] === 'big')?.['length'], 5_000_000);
    assert.ok(said.some((one) => one['heard'] === true));
    tap.checkSame();
    assert.deepEqual(await outcomes(session, 3), { 'big ok': 1, 'change ok': 1, 'die abandoned': 1 });
    const left = newSession();
    const leave = { do: 'leave', tool: 'slow', args: { ms: 60_000 }, after: 1.5 };
    await play({ command: tapped(left, CALLS).command, mode: 'auto', steps: [{ do: 'lists' }, leave] }, left);
    assert.deepEqual(await outcomes(left, 1), { 'slow abandoned': 1 });
  });

  const gated = async (
    context: TestContext,
    upstream: string,
    session: string,
    config: object = {},
  ): Promise<GateBetween> =>
    await gateBetween(context, await openPlace(context), upstream, {
      config,
      env: {
        TRIPLINE_URL: service.url,
        TRIPLINE_TOKEN: readFileSync(path.join(place.dataDir, 'producer.token'), 'utf8').trim(),
        TRIPLINE_SESSION_ID: session,
      },
    });

  it('auto, gate before server-everything over HTTP: nothing on the wire differs, every call has one outcome', async (context) => {
    const session = newSession();
    const server = await everything(context);
    const site = await gated(context, server.url, session);
    const said = await play({ url: site.ahead.url, mode: 'auto', steps: OF_EVERYTHING }, session);
    checkEverything(said);
    assert.deepEqual(await outcomes(session, 55), OUTCOMES_OF_EVERYTHING);
    site.checkSame(55);
  });

  it('2026-07-28, gate before a server of SDK v2: rounds of one call, and a closed stream cancels', async (context) => {
    const session = newSession();
    const server = await modernServer(context);
    const site = await gated(context, server.url, session);
    const steps = [
      { do: 'lists' },
      { do: 'many', count: 50, name: 'text' },
      { do: 'call', tool: 'deploy', args: { env: 'prod' } },
      { do: 'cancel', tool: 'slow', args: { ms: 30_000 }, after: 0.5 },
    ];
    const said = await play({ url: site.ahead.url, mode: '2026-07-28', steps }, session);
    assert.equal(said.find((one) => one['step'] === 'many')?.['right'], 50);
    assert.match(String(said.find((one) => one['tool'] === 'deploy')?.['text']), /deployed to prod/);
    assert.deepEqual(await outcomes(session, 53), {
      'echo ok': 50,
      'deploy input_required': 1,
      'deploy ok': 1,
      'slow cancelled': 1,
    });
    assert.deepEqual(server.cancelled, ['slow']);
    site.checkSame(52);
  });

  it('gate: a result of 10 MB, a server that dies in a call, and a client that does', async (context) => {
    const session = newSession();
    // Its event streams stop at events of 1 MiB; answers in JSON have no such bound.
    const server = await callsServer(context, place, { JSON: '1' });
    const site = await gated(context, server.url, session, { streams: { resumeGraceMs: 300 } });
    const big = { do: 'call', tool: 'big', args: { bytes: 5_000_000 } };
    const leave = { do: 'leave', tool: 'slow', args: { ms: 60_000 }, after: 1.5 };
    const said = await play({ url: site.ahead.url, mode: 'auto', steps: [big, leave] }, session);
    assert.equal(said.find((one) => one['tool'] === 'big')?.['length'], 5_000_000);
    assert.deepEqual(await outcomes(session, 2), { 'big ok': 1, 'slow abandoned': 1 });
    site.checkSame(2);
    const die = { do: 'timeout', tool: 'die', args: {}, after: 5 };
    await play({ url: site.ahead.url, mode: 'auto', steps: [die] }, session);
    assert.deepEqual(await outcomes(session, 3), { 'big ok': 1, 'slow abandoned': 1, 'die abandoned': 1 });
  });

  it('legacy, gate before a Python server: it asks its client, its list changes, and both are on record', async (context) => {
    const session = newSession();
    const server = await portPrinting(context, place, [...PYTHON_SERVER, 'http']);
    const site = await gated(context, server.url, session);
    checkPython(await play({ url: site.ahead.url, mode: 'legacy', steps: OF_PYTHON }, session));
    assert.deepEqual(await outcomes(session, 56), OUTCOMES_OF_PYTHON);
    site.checkSame(SEEN_TO_THEIR_END);
    const events = await service.eventsOnce(
      session,
      (found) => ofKind(found, 'registry.snapshot').length === 2,
    );
    const methods = (kind: 'mcp.request' | 'mcp.notification'): readonly unknown[] =>
      ofKind(events, kind).map(({ method }) => method);
    assert.ok(methods('mcp.request').includes('elicitation/create'));
    assert.ok(methods('mcp.request').includes('sampling/createMessage'));
    assert.ok(methods('mcp.notification').includes('notifications/tools/list_changed'));
  });

  it('2026-07-28, gate before a Python server: 50 calls at once, progress, a closed stream, 10 MB', async (context) => {
    const session = newSession();
    const server = await portPrinting(context, place, [...PYTHON_SERVER, 'http']);
    const site = await gated(context, server.url, session);
    const steps = [
      { do: 'lists' },
      { do: 'many', count: 50, name: 'text' },
      { do: 'progress', tool: 'slow', args: { ms: 300 } },
      { do: 'cancel', tool: 'slow', args: { ms: 30_000 }, after: 0.5 },
      { do: 'call', tool: 'big', args: { bytes: 5_000_000 } },
    ];
    const said = await play({ url: site.ahead.url, mode: '2026-07-28', steps }, session);
    assert.equal(said[0]?.['protocol'], '2026-07-28');
    assert.equal(said.find((one) => one['step'] === 'many')?.['right'], 50);
    assert.deepEqual(said.find((one) => one['step'] === 'progress')?.['progress'], [1, 2, 3]);
    assert.equal(said.find((one) => one['tool'] === 'big')?.['length'], 5_000_000);
    assert.deepEqual(await outcomes(session, 53), {
      'echo ok': 50,
      'slow ok': 1,
      'slow cancelled': 1,
      'big ok': 1,
    });
    site.checkSame(SEEN_TO_THEIR_END);
  });

  it('gate: a list that changes reaches the client, and is on record', async (context) => {
    const session = newSession();
    const server = await callsServer(context, place, { CHANGES: '1' });
    const site = await gated(context, server.url, session);
    const steps = [{ do: 'lists' }, { do: 'change' }];
    const said = await play({ url: site.ahead.url, mode: 'auto', steps }, session);
    const tools = (step: string): unknown => said.find((one) => one['step'] === step)?.['tools'];
    assert.equal(tools('change'), Number(tools('lists')) + 1);
    assert.deepEqual(await outcomes(session, 1), { 'change ok': 1 });
    const events = await service.eventsOnce(
      session,
      (found) => ofKind(found, 'registry.snapshot').length === 2,
    );
    assert.ok(
      ofKind(events, 'mcp.notification').some(({ method }) => method === 'notifications/tools/list_changed'),
    );
  });

  it('the example runs as its text says: stdio through the tap, HTTP through the gate', async (context) => {
    const bin = path.join(place.dataDir, 'bin');
    mkdirSync(bin, { recursive: true });
    const words = [process.execPath, ...CLI].map((word) => `'${word}'`).join(' ');
    writeFileSync(path.join(bin, 'tripline'), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
    const session = newSession();
    const example = path.join(ROOT, 'services/capture/hosts/python/agent.py');
    const env = {
      PATH: `${bin}:${process.env['PATH']}`,
      HOME: place.dataDir,
      TRIPLINE_DATA_DIR: place.dataDir,
      TRIPLINE_SESSION_ID: session,
    };
    const stdio = await run(interpreter, [example, 'stdio', ...EVERYTHING], { env, timeout: 60_000 });
    assert.match(stdio.stdout, /answer: Echo: hello/);
    assert.deepEqual(await outcomes(session, 1), { 'echo ok': 1 });
    const server = await everything(context);
    const site = await gated(context, server.url, session);
    const http = await run(interpreter, [example, 'http', `${site.gate.url}/peer`], { env, timeout: 60_000 });
    assert.match(http.stdout, /answer: Echo: hello/);
    assert.deepEqual(await outcomes(session, 2), { 'echo ok': 2 });
  });
});
