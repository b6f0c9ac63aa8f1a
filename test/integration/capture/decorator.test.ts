/** The decorator around real SDK transports, on either side of the connection. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { openPlace } from '../../support/mcp/place.ts';

for (const side of ['client', 'server'] as const) {
  describe(`decorator on the ${side}`, () => {
    it('records calls in order, refuses under a control, and ends the stream', async (context) => {
      const { place, receiver } = await openPlace(context);
      receiver.push(receiver.sign({ id: 'no-b', target: 'b' }), 'no-b');
      const settings = readSettings({
        TRIPLINE_URL: receiver.url,
        TRIPLINE_DATA_DIR: place.dataDir,
        TRIPLINE_CONTROL_KEYS: receiver.publicKey,
        TRIPLINE_SESSION_ID: `decorated-${side}`,
        TRIPLINE_INJECT_TRACE: '1',
      });
      let callsOfB = 0;
      const metas: unknown[] = [];
      const server = new McpServer({ name: 'two', version: '1.0.0' });
      server.registerTool('a', { inputSchema: { n: z.number() } }, ({ n }, { _meta: meta }) => {
        metas.push(meta);
        return { content: [{ type: 'text', text: String(n) }] };
      });
      server.registerTool('b', { inputSchema: {} }, () => {
        callsOfB++;
        return { content: [] };
      });
      const client = new Client({ name: 'tester', version: '1.0.0' });
      const [near, far] = InMemoryTransport.createLinkedPair();
      const options = { settings, server: 'two', side, transport: 'in_memory' } as const;
      await server.connect(side === 'server' ? recordTransport(far, options) : far);
      await client.connect(side === 'client' ? recordTransport(near, options) : near);

      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) => client.callTool({ name: 'a', arguments: { n } })),
      );
      assert.deepEqual(
        answers.map((answer) => (answer.content as { text: string }[])[0]?.text),
        Array.from({ length: 50 }, (_, n) => String(n)),
      );
      await receiver.until(() => receiver.of('control.ack').length === 1);
      await assert.rejects(client.callTool({ name: 'b', arguments: {} }), { code: -32090 });
      assert.equal(callsOfB, 0);
      await client.close();
      await receiver.until(() => receiver.of('stream.close').length === 1);

      assert.equal(receiver.of('call.intent').length, 51);
      assert.deepEqual(
        receiver
          .of('call.result')
          .map((event) => event.outcome)
          .filter((outcome) => outcome !== 'ok'),
        ['refused'],
      );
      assert.deepEqual(
        new Set(receiver.events.map((event) => event.session)),
        new Set([`decorated-${side}`]),
      );
      const traceparents = metas.map((meta) => (meta as { traceparent: string }).traceparent);
      const recorded = receiver
        .of('call.intent')
        .filter((event) => event.tool === 'a')
        .map((event) => `00-${event.traceId}-${event.spanId}-01`);
      assert.deepEqual(traceparents.toSorted(), recorded.toSorted());
      assert.deepEqual(receiver.faults, []);
    });
  });
}
