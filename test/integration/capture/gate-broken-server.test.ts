/** Servers behind a gate that break HTTP: each call has its outcome, and nothing of one client's answer reaches another. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  callOf,
  gateBefore,
  JSON_HEADERS,
  outcomesByTool,
  send,
  type RawAnswer,
} from '../../support/mcp/gate.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';
import { rawServer } from '../../support/mcp/raw-client.ts';

const messageOf = (id: unknown): string => JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } });
const idOf = (request: string): unknown =>
  (JSON.parse(request.slice(request.indexOf('\r\n\r\n'))) as { id: unknown }).id;
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const answerOf = (body: string): string => `${OK}Content-Length: ${body.length}\r\n\r\n${body}`;

interface Site extends Place {
  readonly call: (id: unknown) => Promise<RawAnswer>;
}

async function open(
  context: TestContext,
  answer: (socket: Socket, id: unknown, request: string) => void,
): Promise<Site> {
  const place = await openPlace(context);
  const url = await rawServer(context, (socket, request) => answer(socket, idOf(request), request));
  const upstreams = [{ name: 'raw', url: `${url}/mcp` }];
  const gate = await gateBefore(context, place, { config: { upstreams } });
  return { ...place, call: (id) => send(`${gate.url}/raw`, { headers: JSON_HEADERS, body: callOf(id) }) };
}

describe('an answer that is no HTTP', () => {
  const body = messageOf(1);
  const MALFORMED: Readonly<Record<string, string>> = {
    'another protocol': '220 smtp.example ESMTP\r\n\r\n',
    'both framings': `${OK}Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    'two lengths': `${OK}Content-Length: ${body.length}\r\nContent-Length: 5\r\n\r\n${body}`,
    'a bare LF': `HTTP/1.1 200 OK\nContent-Length: ${body.length}\r\n\r\n${body}`,
    'a folded line': `${OK}A: b\r\n c\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    'a head that splits': `${OK}A: b\rSet-Cookie: evil\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    'another protocol that nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
    'a head without an end': `${OK}${'A: b\r\n'.repeat(4_000)}`,
  };
  for (const [name, text] of Object.entries(MALFORMED))
    it(`is 502 to the client, and the call is abandoned: ${name}`, async (context) => {
      let isSound = false;
      const { call, receiver } = await open(context, (socket, id) => {
        socket.write(Buffer.from(isSound ? answerOf(messageOf(id)) : text, 'latin1'));
      });
      const refused = await call(1);
      assert.equal(refused.status, 502);
      const { id, error } = JSON.parse(refused.body.toString()) as {
        id: unknown;
        error: { data: { code: string } };
      };
      assert.deepEqual([id, error.data.code], [1, 'upstream_unreachable']);
      assert.equal(refused.headers['set-cookie'], undefined);
      isSound = true;
      assert.equal((await call(2)).body.toString(), messageOf(2));
      await receiver.until(() => receiver.of('call.result').length === 2);
      assert.deepEqual(
        outcomesByTool(receiver).map(([, outcome]) => outcome),
        ['abandoned', 'ok'],
      );
    });
});

describe('an answer that is cut off', () => {
  const chunk = `${messageOf(1).length.toString(16)}\r\n${messageOf(1)}\r\n`;
  const EVENTS = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
  const CUT: Readonly<Record<string, string>> = {
    'in a body of a length': `${OK}Content-Length: 1000\r\n\r\n${messageOf(1)}`,
    'in a chunk': `${OK}Transfer-Encoding: chunked\r\n\r\nfff\r\n${messageOf(1)}`,
    'before its last chunk': `${OK}Transfer-Encoding: chunked\r\n\r\n${chunk}`,
    'by a chunk that is none': `${OK}Transfer-Encoding: chunked\r\n\r\n${chunk}+1\r\nx\r\n0\r\n\r\n`,
    'in an event': `${EVENTS}fff\r\ndata: ${messageOf(1).slice(0, -1)}`,
  };
  for (const [name, text] of Object.entries(CUT))
    it(`is cut off for the client, and the call is abandoned: ${name}`, async (context) => {
      const { call, receiver } = await open(context, (socket) => void socket.end(text));
      await assert.rejects(call(1));
      await receiver.until(() => receiver.of('call.result').length === 1);
      assert.deepEqual(outcomesByTool(receiver), [['echo', 'abandoned']]);
    });
});

describe('bytes behind an answer', () => {
  const EVIL = answerOf(
    JSON.stringify({ jsonrpc: '2.0', id: 2, result: { content: [{ type: 'text', text: 'evil' }] } }),
  );
  const BEHIND: Readonly<Record<string, (socket: Socket, own: string) => void>> = {
    'together with it': (socket, own) => void socket.write(own + EVIL),
    'as the body of an answer that has none': (socket) =>
      void socket.write(`HTTP/1.1 204 No Content\r\nContent-Length: ${EVIL.length}\r\n\r\n${EVIL}`),
    'behind its last chunk': (socket, own) => {
      const body = own.slice(own.indexOf('\r\n\r\n') + 4);
      socket.write(
        `${OK}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n${EVIL}`,
      );
    },
    'a little later': (socket, own) => {
      socket.write(own);
      setTimeout(() => socket.write(EVIL), 20);
    },
    'an interim answer to nothing': (socket, own) => {
      socket.write(own);
      setTimeout(() => socket.write('HTTP/1.1 100 Continue\r\n\r\n'), 20);
    },
  };
  for (const [name, answer] of Object.entries(BEHIND))
    it(`reach no other client: ${name}`, async (context) => {
      const ports = new Set<number | undefined>();
      const { call } = await open(context, (socket, id) => {
        ports.add(socket.remotePort);
        if (id === 1) answer(socket, answerOf(messageOf(1)));
        else socket.write(answerOf(messageOf(id)));
      });
      await call(1);
      await sleep(100);
      for (const id of [2, 3]) assert.equal((await call(id)).body.toString(), messageOf(id));
      assert.equal(ports.size, 2, 'the first connection is not used again, the second is');
    });

  it('at once, before anything is read of them: each of 20 calls has its own answer', async (context) => {
    const { call } = await open(context, (socket, id) => void socket.write(answerOf(messageOf(id)) + EVIL));
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const id = `call-${index}`;
        assert.equal((await call(id)).body.toString(), messageOf(id));
      }),
    );
  });
});
