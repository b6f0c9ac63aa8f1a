/** A file of settings that is exchanged under a running tap, gate and decorator: the same play through each. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { readSettings, type CaptureSettings } from '../../../services/capture/settings.ts';
import { callsServer, connectTo, distinct, gateBefore } from '../mcp/gate.ts';
import { CALLS_SERVER, connectThroughTap, nodeArguments } from '../mcp/host.ts';
import { openPlace, type Place } from '../mcp/place.ts';

export interface ChangedFile {
  /** In the host's log: `policy_changed`, `policy_not_taken`. */
  readonly kind: 'policy' | 'labels';
  readonly fileName: string;
  readonly variable: string;
  readonly first: string;
  /** Of a process of ours, so that nobody waits for a second. */
  readonly hasty: (settings: CaptureSettings) => CaptureSettings;
  /** Events that tell of a change. */
  readonly changes: (open: Place) => readonly Event[];
  /** Three changes: one that is taken, one that is not, one that is taken. */
  readonly play: (open: Place, client: Client, replace: (text: string) => void) => Promise<void>;
}

export function heartbeatsWith(open: Place, field: 'policyChange' | 'labelMappingChange'): readonly Event[] {
  return distinct(open.receiver, 'stream.heartbeat').filter((event) => event[field] !== undefined);
}

/** Defines a test for each kind of host. */
export function testThroughEachHost(changed: ChangedFile): void {
  it('through a tap, which tells it in its log too', (context) => throughTap(changed, context));
  it('through a gate, on the stream of each client', (context) => throughGate(changed, context));
  it('through a decorator', (context) => throughDecorator(changed, context));
}

type Context = Parameters<typeof openPlace>[0];

function fileIn({ place }: Place, { fileName, first }: ChangedFile) {
  const file = path.join(place.dataDir, fileName);
  writeFileSync(file, first);
  return {
    file,
    replace: (text: string) => {
      writeFileSync(`${file}.next`, text);
      renameSync(`${file}.next`, file);
    },
  };
}

function settingsOf({ place, receiver }: Place, { variable, hasty }: ChangedFile, file: string) {
  return hasty(
    readSettings({
      TRIPLINE_DATA_DIR: place.dataDir,
      TRIPLINE_URL: receiver.url,
      TRIPLINE_TOKEN: 'test-token',
      [variable]: file,
    }),
  );
}

async function throughTap(changed: ChangedFile, context: Context): Promise<void> {
  const open = await openPlace(context);
  const { file, replace } = fileIn(open, changed);
  const env = { [changed.variable]: file };
  const host = await connectThroughTap({ place: open.place, url: open.receiver.url, env });
  context.after(() => host.close());
  await changed.play(open, host.client, replace);
  const { kind } = changed;
  const said = new RegExp(`"event":"(${kind}_\\w+)"`, 'u');
  const logged = host
    .stderr()
    .split('\n')
    .flatMap((line) => said.exec(line)?.[1] ?? []);
  assert.deepEqual(logged, [`${kind}_changed`, `${kind}_not_taken`, `${kind}_changed`]);
}

async function throughGate(changed: ChangedFile, context: Context): Promise<void> {
  const open = await openPlace(context);
  const { file, replace } = fileIn(open, changed);
  const server = await callsServer(context, open.place);
  const gate = await gateBefore(context, open, {
    config: { upstreams: [{ name: 'calls', url: server.url }] },
    options: { settings: settingsOf(open, changed, file) },
  });
  const { client } = await connectTo(context, `${gate.url}/calls`);
  const other = await connectTo(context, `${gate.url}/calls`);
  await changed.play(open, client, replace);
  await other.client.ping();
  const streams = new Set(distinct(open.receiver, 'stream.open').map(({ stream }) => stream));
  await open.receiver.until(() => changed.changes(open).length === 3 * streams.size);
  assert.deepEqual(new Set(changed.changes(open).map(({ stream }) => stream)), streams);
}

async function throughDecorator(changed: ChangedFile, context: Context): Promise<void> {
  const open = await openPlace(context);
  const { file, replace } = fileIn(open, changed);
  const inner = new StdioClientTransport({
    command: process.execPath,
    args: [...nodeArguments(CALLS_SERVER)],
    env: { PATH: process.env['PATH'] ?? '', REACHED_FILE: open.place.reachedFile },
  });
  const client = new Client({ name: 'tester', version: '1.0.0' });
  const settings = settingsOf(open, changed, file);
  await client.connect(recordTransport(inner, { settings, server: 'calls' }));
  context.after(() => client.close());
  await changed.play(open, client, replace);
}
