/** Connections of clients that end in the midst, by either side, whoever read what came on them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { outcomesByTool } from '../../support/mcp/gate.ts';
import { rawClient, type RawClient } from '../../support/mcp/raw-client.ts';
import { cert, chunked, idsIn, piecesOf, post, rawGate } from '../../support/mcp/raw-gate.ts';

describe('a client that leaves in a call', () => {
  const MODERN = ['MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: tools/call', 'Mcp-Name: stay'];
  for (const [name, leave] of [
    ['half-closes', (client: RawClient) => client.socket.end()],
    ['resets', (client: RawClient) => client.socket.resetAndDestroy()],
    ['closes', (client: RawClient) => client.socket.destroy()],
  ] as const)
    it(`${name}: cancelled since 2026-07-28, abandoned before, whoever read it`, async (context) => {
      const { connect, reached, receiver } = await rawGate(context);
      const texts = [
        post(1, [], 'stay'),
        chunked(2, 'stay'),
        post(3, MODERN, 'stay'),
        chunked(4, 'stay').replace('Host:', `${MODERN.join('\r\n')}\r\nHost:`),
      ];
      for (const [index, text] of texts.entries()) {
        const client = await connect();
        await client.write(text);
        while (reached.length <= index) await sleep(5);
        leave(client);
        await client.closed();
        await receiver.until(() => receiver.of('call.result').length === index + 1);
      }
      assert.deepEqual(
        outcomesByTool(receiver).map(([, outcome]) => outcome),
        ['abandoned', 'abandoned', 'cancelled', 'cancelled'],
      );
    });
});

describe('a gate that stops', () => {
  it('closes connections of both kinds, and puts their calls on record', async (context) => {
    const { connect, gate, reached, receiver } = await rawGate(context);
    const clients: RawClient[] = [];
    for (const text of [
      '',
      post(1),
      post(2).slice(0, -1),
      chunked(3),
      chunked(4).slice(0, -9),
      post(5) + chunked(6),
    ]) {
      const client = await connect();
      clients.push(client);
      await client.write(text);
    }
    for (const text of [post(7, [], 'stay'), chunked(8, 'stay'), post(9, [], 'stay') + post(10)]) {
      const client = await connect();
      clients.push(client);
      await client.write(text);
    }
    while (reached.length < 7) await sleep(5);
    await gate.stop();
    for (const client of clients) await client.closed();
    await receiver.until(() => receiver.of('call.result').length === 7);
    const outcomes = outcomesByTool(receiver).map(([, outcome]) => outcome);
    assert.equal(outcomes.filter((outcome) => outcome === 'abandoned').length, 3);
    assert.ok(!reached.includes(10));
  });
});

it('behind TLS all is the same', async (context) => {
  const listen = { tls: { cert: cert('server'), key: cert('server.key') } };
  const { connect, gate } = await rawGate(context, { config: { listen, upstreams: [] } });
  for (const bytes of [1_000_000, 997, 50]) {
    const client = await connect();
    await client.write(...piecesOf(post(1) + post(2) + chunked(3) + post(4), bytes));
    await client.statuses(4);
    assert.deepEqual(idsIn(client), [1, 2, 3, 4]);
  }
  // It never begins a handshake.
  const bare = await rawClient(context, gate.url.replace('https:', 'http:'));
  const idle = await connect();
  await gate.stop();
  await Promise.all([bare.closed(), idle.closed()]);
});
