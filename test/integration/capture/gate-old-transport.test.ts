/** HTTP+SSE of 2024-11-05 at the gate: its server would send clients past the gate, so they are told, and nothing gets through. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import assert from 'node:assert/strict';
import type http from 'node:http';
import { it, type TestContext } from 'node:test';
import type { CaptureLog } from '../../../services/capture/log.ts';
import { connectTo, everything, gateBefore, plainServer, send } from '../../support/mcp/gate.ts';
import { openPlace } from '../../support/mcp/place.ts';

const CODE = 'upstream_transport_unsupported';
const GET = { method: 'GET', headers: { accept: 'text/event-stream' } };

async function gateTo(context: TestContext, url: string) {
  const logged: string[] = [];
  const log: CaptureLog = (_level, event, fields = {}) => void logged.push(`${event} ${fields['server']}`);
  const place = await openPlace(context);
  const config = { upstreams: [{ name: 'old', url }] };
  const gate = await gateBefore(context, place, { config, options: { log } });
  return { url: `${gate.url}/old`, logged };
}

/** A server that opens an event stream and says `parts`, one after the other, each when it is let. */
async function streaming(context: TestContext, serve: (response: http.ServerResponse) => void) {
  const url = await plainServer(context, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    serve(response);
  });
  return await gateTo(context, `${url}/sse`);
}

it('the official client of that transport is refused with its cause, and so is its fallback', async (context) => {
  const server = await everything(context, undefined, 'sse');
  const { url, logged } = await gateTo(context, server.url);
  const direct = new Client({ name: 'old', version: '1.0.0' });
  await direct.connect(new SSEClientTransport(new URL(server.url)));
  await direct.close();
  const answer = await send(url, GET);
  assert.equal(answer.status, 501);
  const { error } = JSON.parse(answer.body.toString()) as { error: { message: string; data: object } };
  assert.match(error.message, /HTTP\+SSE of 2024-11-05/);
  assert.deepEqual(error.data, { code: CODE, retryable: false });
  const client = new Client({ name: 'old', version: '1.0.0' });
  await assert.rejects(client.connect(new SSEClientTransport(new URL(url))), /501/);
  assert.deepEqual(new Set(logged), new Set([`${CODE} old`]));
  // Streamable HTTP first, as clients do that know both: the server says itself that it has no such thing.
  await assert.rejects(connectTo(context, url), /Cannot POST/);
});

it('an address elsewhere never reaches the client, however its event is written', async (context) => {
  for (const event of [
    'event: endpoint\ndata: https://elsewhere.example/messages\n\n',
    ': hello\r\n\r\ndata: /messages\r\nid: 1\r\nevent:endpoint\r\n\r\n',
  ]) {
    const { url } = await streaming(context, (response) => void response.write(event));
    const answer = await send(url, GET);
    // A comment has gone on before.
    assert.ok([200, 501].includes(answer.status));
    assert.match(answer.body.toString(), new RegExp(CODE));
    assert.doesNotMatch(answer.body.toString(), /messages/);
  }
});

it('nor where it comes late; and a stream that is none of it begins and goes on as it came', async (context) => {
  const late = await streaming(context, (response) => {
    response.flushHeaders();
    setTimeout(() => void response.write('event: endpoint\ndata: /messages\n\n'), 400);
  });
  const answer = await send(late.url, GET);
  assert.equal(answer.status, 200);
  assert.match(answer.body.toString(), new RegExp(`^event: message\ndata: .*${CODE}`));
  assert.doesNotMatch(answer.body.toString(), /messages/);
  const events = ': hi\n\nevent: message\nid: 1\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n';
  const plain = await streaming(context, (response) => void response.end(events));
  const same = await send(plain.url, GET);
  assert.deepEqual([same.status, same.body.toString()], [200, events]);
  const silent = await streaming(context, (response) => {
    response.flushHeaders();
    setTimeout(() => void response.end(), 400);
  });
  const ended = await send(silent.url, GET);
  assert.deepEqual([ended.status, ended.body.length], [200, 0]);
});
