/**
 * The official SDK clients, v1 and v2, through the tap and the gate, in both eras: the wire is the same on both sides, byte
 * by byte, and every call has one outcome. Tasks are in messages.full.test.ts, for v1 alone: @modelcontextprotocol/client and
 * /server 2.4.0 have their wire types and no runtime (`TaskRequestMethod` in their declarations says so).
 */
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gateBetween, tapBetween } from '../../support/mcp/between.ts';
import { EVERYTHING } from '../../support/mcp/everything-talk.ts';
import { callsServer, everything, modernProcess, outcomesByTool } from '../../support/mcp/gate.ts';
import {
  CALLS_SERVER,
  MODERN_PROCESS,
  nodeArguments,
  tapCommand,
  tapEnvironment,
} from '../../support/mcp/host.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';

type Target =
  { readonly command: readonly string[]; readonly env: Record<string, string> } | { readonly url: string };
type Options = NonNullable<Parameters<ClientV2['callTool']>[1]>;

/** What both SDKs do under names and signatures of their own. */
interface Peer {
  /** The result as JSON. */
  call(tool: string, args?: Record<string, unknown>, options?: Options): Promise<string>;
  tools(): Promise<readonly string[]>;
  /** How often the server told that its tools have changed. */
  changes(): number;
  close(): Promise<void>;
}
/** The peer is closed after the test. */
type Connect = (context: TestContext, target: Target) => Promise<Peer>;

const IDENTITY = { name: 'tester', version: '1.0.0' };
const CAPABILITIES = { sampling: {}, elicitation: {} };
const SAMPLED = {
  model: 'none',
  role: 'assistant' as const,
  content: { type: 'text' as const, text: 'sampled ä€😀' },
};
const FILLED = { action: 'accept' as const, content: { name: 'Ada', confirm: true } };
/** SDKs refuse more than 10 MB in one message of stdio, or 10 MiB; this one is 10 MB and its envelope. */
const BIG = 5_000_000;

const stdio = ({ command: [command = '', ...args], env }: Extract<Target, { command: unknown }>) => ({
  command,
  args,
  env,
  stderr: 'ignore' as const,
});
const names = ({ tools }: { readonly tools: readonly { readonly name: string }[] }): readonly string[] =>
  tools.map(({ name }) => name);

const v1: Connect = async (context, target) => {
  const client = new ClientV1(IDENTITY, { capabilities: CAPABILITIES });
  let changes = 0;
  client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLED);
  client.setRequestHandler(ElicitRequestSchema, () => FILLED);
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes++);
  await client.connect('url' in target ? new HttpV1(new URL(target.url)) : new StdioV1(stdio(target)));
  context.after(() => client.close());
  return {
    call: async (name, args = {}, options = {}) =>
      JSON.stringify(await client.callTool({ name, arguments: args }, undefined, options)),
    tools: async () => names(await client.listTools()),
    changes: () => changes,
    close: () => client.close(),
  };
};

/** Version 2 in an era: it is told which, so that over stdio it starts its server once. */
const v2 =
  (mode: 'legacy' | { readonly pin: string }): Connect =>
  async (context, target) => {
    let changes = 0;
    const onChanged = (): void => void changes++;
    const client = new ClientV2(IDENTITY, {
      capabilities: CAPABILITIES,
      versionNegotiation: { mode },
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged } },
    });
    client.setRequestHandler('sampling/createMessage', () => SAMPLED);
    client.setRequestHandler('elicitation/create', () => FILLED);
    await client.connect('url' in target ? new HttpV2(new URL(target.url)) : new StdioV2(stdio(target)));
    context.after(() => client.close());
    return {
      call: async (name, args = {}, options = {}) =>
        JSON.stringify(await client.callTool({ name, arguments: args }, options)),
      tools: async () => names(await client.listTools()),
      changes: () => changes,
      close: () => client.close(),
    };
  };

interface Talk {
  /** The argument of `echo`. */
  readonly text: string;
  readonly progress: readonly [tool: string, args: Record<string, unknown>, steps: readonly number[]];
  readonly sampling: readonly [tool: string, args: Record<string, unknown>];
  readonly elicitation: readonly [tool: string, args: Record<string, unknown>, answer: RegExp];
  readonly slow: readonly [tool: string, args: Record<string, unknown>];
  /** In the revision without sessions a server asks in the answer to a call, which is then made again. */
  readonly inRounds: boolean;
}

const LONG = 'trigger-long-running-operation';
const OF_EVERYTHING: Talk = {
  text: 'message',
  progress: [LONG, { duration: 0.5, steps: 3 }, [1, 2, 3]],
  sampling: ['trigger-sampling-request', { prompt: 'p' }],
  elicitation: ['trigger-elicitation-request', {}, /Name: Ada/],
  slow: [LONG, { duration: 30, steps: 60 }],
  inRounds: false,
};
const OF_MODERN: Talk = {
  text: 'text',
  progress: ['steps', { count: 3 }, [1, 2, 3]],
  sampling: ['ask_model', {}],
  elicitation: ['deploy', { env: 'prod' }, /deployed to prod/],
  slow: ['steps', { count: 1_000 }],
  inRounds: true,
};

async function talk(peer: Peer, of: Talk): Promise<void> {
  await peer.tools();
  const texts = Array.from({ length: 50 }, (_, n) => `call ${n} ä€😀`);
  const answers = await Promise.all(texts.map((text) => peer.call('echo', { [of.text]: text })));
  for (const [n, answer] of answers.entries()) assert.ok(answer.includes(`${texts[n]}"`), answer);
  const [tool, args, expected] = of.progress;
  const steps: number[] = [];
  await peer.call(tool, args, { onprogress: ({ progress }) => void steps.push(progress) });
  // An SDK drops what comes together with the answer, so the last one may be missing here; it is there on the wire.
  assert.ok(steps.length >= expected.length - 1, String(steps));
  assert.deepEqual(steps, expected.slice(0, steps.length));
  assert.match(await peer.call(...of.sampling), /sampled ä€😀/);
  const [elicit, given, said] = of.elicitation;
  assert.match(await peer.call(elicit, given), said);
  const abort = new AbortController();
  const underWay = peer.call(...of.slow, { signal: abort.signal, onprogress: () => abort.abort() });
  await assert.rejects(underWay);
}

function outcomesOf({ text: _text, progress, sampling, elicitation, slow, inRounds }: Talk) {
  const asked = [sampling[0], elicitation[0]].flatMap((tool) =>
    inRounds ? [`${tool} input_required`, `${tool} ok`] : [`${tool} ok`],
  );
  return [
    ...Array.from({ length: 50 }, () => 'echo ok'),
    `${progress[0]} ok`,
    ...asked,
    `${slow[0]} cancelled`,
  ].toSorted();
}

const outcomes = ({ receiver }: Place): readonly string[] =>
  outcomesByTool(receiver)
    .map(([tool, outcome]) => `${tool} ${outcome}`)
    .toSorted();

/** A long answer, and a list that changes. */
async function strain(peer: Peer, isListening: () => boolean): Promise<void> {
  assert.ok(!(await peer.tools()).includes('added'));
  // The longest run of the three characters that are two bytes each in JSON.
  assert.ok((await peer.call('big', { bytes: BIG })).includes('ä\\"\\\\'.repeat(BIG / 5)));
  while (!isListening()) await sleep(10);
  await peer.call('change');
  while (peer.changes() === 0) await sleep(10);
  assert.ok((await peer.tools()).includes('added'));
}
const STRAINED = ['big ok', 'change ok', 'die abandoned'];

function checkStrained(place: Place): void {
  assert.deepEqual(outcomes(place), STRAINED);
  const snapshots = place.receiver.of('registry.snapshot').map(({ registry }) => registry?.tools ?? []);
  assert.equal(
    snapshots[0]?.some(({ name }) => name === 'added'),
    false,
  );
  assert.ok(snapshots.at(-1)?.some(({ name }) => name === 'added'));
  assert.deepEqual(place.receiver.faults, []);
}

const closed = (place: Place): Promise<void> => {
  // Looked at as text: reading 11 MB of events at each look would be the longest part of the test.
  const isClosed = (line: string): boolean => line.startsWith('{"v":1,"kind":"stream.close"');
  return place.receiver.until(() => place.receiver.lines.some(isClosed), 60_000);
};

function tapped(place: Place, name: string, words: readonly string[]) {
  const server = [process.execPath, ...words];
  const tap = tapBetween(path.join(place.place.dataDir, 'wire', name), server, ['--server', 'peer']);
  const env = tapEnvironment({
    place: place.place,
    url: place.receiver.url,
    env: { CHANGES: '1' },
  });
  return { ...tap, target: { command: tap.command, env } };
}

const MODERN = '2026-07-28';
const LIMIT = { timeout: 120_000 };
for (const { name, connect, isModern } of [
  { name: 'SDK v1', connect: v1, isModern: false },
  { name: 'SDK v2, revisions with sessions', connect: v2('legacy'), isModern: false },
  { name: `SDK v2, ${MODERN}`, connect: v2({ pin: MODERN }), isModern: true },
]) {
  const said = isModern ? OF_MODERN : OF_EVERYTHING;
  const modern = [...nodeArguments(MODERN_PROCESS), 'stdio'];

  describe(name, () => {
    it('tap: parallel calls, progress, sampling, elicitation and cancellation', LIMIT, async (context) => {
      const place = await openPlace(context);
      const tap = tapped(place, 'talk', isModern ? modern : [EVERYTHING, 'stdio']);
      const peer = await connect(context, tap.target);
      await talk(peer, said);
      await peer.close();
      await closed(place);
      assert.deepEqual(outcomes(place), outcomesOf(said));
      assert.equal(tap.wire('host.in').includes(`"${MODERN}"`), isModern);
      tap.checkSame();
    });

    it(
      'tap: a result of 10 MB, a list that changes, a server and a client that end in a call',
      LIMIT,
      async (context) => {
        const place = await openPlace(context);
        const server = isModern ? modern : nodeArguments(CALLS_SERVER);
        const tap = tapped(place, 'strain', server);
        const peer = await connect(context, tap.target);
        await strain(peer, () => true);
        await assert.rejects(peer.call('die'));
        await closed(place);
        checkStrained(place);
        tap.checkSame();
        await peer.close();
        const after = await openPlace(context);
        const { command, args } = tapCommand({ server: [process.execPath, ...server] });
        const env = tapEnvironment({ place: after.place, url: after.receiver.url });
        await leave(await connect(context, { command: [command, ...args], env }), after);
      },
    );

    const upstream = async (context: TestContext, place: Place): Promise<string> =>
      (isModern ? await modernProcess(context, place.place) : await everything(context)).url;

    it('gate: parallel calls, progress, sampling, elicitation and cancellation', LIMIT, async (context) => {
      const place = await openPlace(context);
      const between = await gateBetween(context, place, await upstream(context, place));
      const peer = await connect(context, { url: between.ahead.url });
      await talk(peer, said);
      await place.receiver.until(
        () => place.receiver.of('call.result').length === outcomesOf(said).length,
        60_000,
      );
      await peer.close();
      assert.deepEqual(outcomes(place), outcomesOf(said));
      const sent = Buffer.concat(between.ahead.bodies);
      assert.equal(sent.includes(`"${MODERN}"`), isModern);
      between.checkSame(50);
    });

    it(
      'gate: a result of 10 MB, a list that changes, a server and a client that end in a call',
      LIMIT,
      async (context) => {
        const place = await openPlace(context);
        const start = async (): Promise<string> =>
          isModern
            ? await upstream(context, place)
            : (await callsServer(context, place.place, { JSON: '1', CHANGES: '1' })).url;
        const config = { streams: { resumeGraceMs: 300 } };
        const between = await gateBetween(context, place, await start(), { config });
        const peer = await connect(context, { url: between.ahead.url });
        await strain(peer, () => isModern || between.behind.streams > 0);
        between.checkSame(4);
        // Of a server that is gone the gate tells itself.
        await assert.rejects(peer.call('die'));
        await place.receiver.until(() => place.receiver.of('call.result').length === 3, 60_000);
        checkStrained(place);
        await peer.close();
        const after = await openPlace(context);
        const again = await gateBetween(context, after, await start(), { config });
        await leave(await connect(context, { url: again.ahead.url }), after);
      },
    );

    /** A client that is gone in the middle of a call; without sessions its closed stream is the cancellation. */
    async function leave(peer: Peer, place: Place): Promise<void> {
      const slow = peer.call('slow', { ms: 60_000 });
      slow.catch(() => undefined);
      await place.receiver.until(() => place.receiver.of('call.intent').length === 1, 60_000);
      await peer.close();
      await place.receiver.until(() => place.receiver.of('call.result').length === 1, 60_000);
      const isHttp = place.receiver.of('call.intent')[0]?.transport === 'streamable_http';
      assert.deepEqual(outcomes(place), [isModern && isHttp ? 'slow cancelled' : 'slow abandoned']);
    }
  });
}
