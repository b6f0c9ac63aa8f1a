/** Bytes of clients at a gate: what it reads for itself and what it leaves to Node's server are served alike. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callOf } from '../../support/mcp/gate.ts';
import { answersIn, postText } from '../../support/mcp/raw-client.ts';
import { chunked, idsIn, piecesOf, post, rawGate } from '../../support/mcp/raw-gate.ts';

describe('requests of one connection', () => {
  for (const [name, pieces] of [
    ['whole', (text: string) => [text]],
    ['in single bytes', (text: string) => piecesOf(text, 1)],
    ['in pieces of 100 bytes', (text: string) => piecesOf(text, 100)],
    [
      'head and body apart',
      (text: string) => [text.slice(0, text.indexOf('{')), text.slice(text.indexOf('{'))],
    ],
    ['but for its last byte', (text: string) => [text.slice(0, -1), text.slice(-1)]],
  ] as const)
    it(`are served ${name}, one after the other`, async (context) => {
      const { connect, reached } = await rawGate(context);
      const client = await connect();
      for (const id of [1, 2, 3]) {
        await client.write(...pieces(post(id)));
        await client.statuses(id);
      }
      assert.deepEqual(idsIn(client), [1, 2, 3]);
      assert.deepEqual(reached, [1, 2, 3]);
    });

  it('that do not wait for their answers are answered in their order', async (context) => {
    const { connect, reached } = await rawGate(context);
    const ids = Array.from({ length: 30 }, (_, index) => index);
    for (const bytes of [1_000_000, 777]) {
      const client = await connect();
      await client.write(...piecesOf(ids.map((id) => post(id)).join(''), bytes));
      await client.statuses(ids.length);
      assert.deepEqual(idsIn(client), ids);
    }
    assert.deepEqual(reached, [...ids, ...ids]);
  });

  const UNUSUAL: Readonly<Record<string, readonly [text: string, status: number, id: unknown]>> = {
    'a chunked body': [chunked(2), 200, 2],
    OPTIONS: ['OPTIONS /raw HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 200, undefined],
    'a body of 200 kB': [postText('/raw', callOf(2, 'echo', { text: 'x'.repeat(200_000) })), 200, 2],
    'another path': [postText('/other', callOf(2)), 404, null],
    'another method': ['PUT /raw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n', 405, undefined],
    'another Host': [post(2).replace('127.0.0.1', 'evil.example'), 403, null],
    'absolute-form': [post(2).replace('POST /raw', 'POST http://127.0.0.1/raw'), 404, null],
  };
  for (const [name, [text, status, id]] of Object.entries(UNUSUAL))
    it(`may be plain, then have ${name}, then be plain`, async (context) => {
      const { connect } = await rawGate(context);
      for (const bytes of [1_000_000, 997]) {
        const client = await connect();
        await client.write(...piecesOf(post(1) + text + post(3), bytes));
        assert.deepEqual(await client.statuses(3), [200, status, 200]);
        assert.deepEqual(idsIn(client), [1, id, 3]);
      }
      const client = await connect();
      for (const [index, one] of [post(1), text, post(3)].entries()) {
        await client.write(one);
        await client.statuses(index + 1);
      }
      assert.deepEqual(idsIn(client), [1, id, 3]);
    });

  it('may be plain, then wait for 100 Continue', async (context) => {
    const { connect } = await rawGate(context);
    const client = await connect();
    const waiting = post(2, ['Expect: 100-continue']);
    const body = waiting.indexOf('{');
    await client.write(post(1) + waiting.slice(0, body));
    assert.deepEqual(await client.statuses(2), [200, 100]);
    await client.write(waiting.slice(body), post(3));
    assert.deepEqual(await client.statuses(4), [200, 100, 200, 200]);
    assert.deepEqual(idsIn(client), [1, undefined, 2, 3]);
  });

  it('that stay unfinished for long are served when their rest comes', async (context) => {
    const { connect, reached } = await rawGate(context);
    const text = post(2);
    const clients = await Promise.all(
      [1, 40, text.indexOf('{'), text.length - 1].map(async (cut) => {
        const client = await connect();
        await client.write(post(1) + text.slice(0, cut));
        await client.statuses(1);
        return { client, rest: text.slice(cut) };
      }),
    );
    await sleep(1_300);
    for (const { client, rest } of clients) {
      await client.write(rest + post(3));
      await client.statuses(3);
      assert.deepEqual(idsIn(client), [1, 2, 3]);
    }
    assert.equal(reached.filter((id) => id === 2).length, clients.length);
  });

  it('end with one that says so, or is told so: nothing behind it is served', async (context) => {
    const { connect, reached } = await rawGate(context, { options: { maxMessageBytes: 1_000 } });
    const long = postText('/raw', callOf('long', 'echo', { text: 'x'.repeat(2_000) }));
    for (const [text, status] of [
      [post(1, ['Connection: close']), 200],
      [long, 413],
    ] as const) {
      const client = await connect();
      await client.write(text);
      assert.deepEqual(await client.statuses(1), [status]);
      await client.write(post('behind'));
      await client.closed();
      const together = await connect();
      await together.write(text + post('behind'));
      await together.closed();
      assert.equal(answersIn(client.received).length, 1);
      assert.ok(answersIn(together.received).length <= 1);
    }
    assert.ok(!reached.includes('behind'));
  });
});

describe('requests that end in two places', () => {
  const SMUGGLED = post('smuggled');
  const body = `0\r\n\r\n${SMUGGLED}`;
  const long = postText('/raw', body);
  const twice = (line: string): string => long.replace('Host:', `${line}\r\nHost:`);
  const TWO_ENDS: Readonly<Record<string, string>> = {
    'a length and chunks': twice('Transfer-Encoding: chunked'),
    'two lengths': twice('Content-Length: 5'),
    'two lengths that are the same': twice(`Content-Length: ${body.length}`),
    'a list of lengths': long.replace(/(Content-Length: \d+)/u, '$1, 5'),
    'a signed length': long.replace('Content-Length: ', 'Content-Length: +'),
    'a blank before the colon': long.replace('Content-Length:', 'Content-Length :'),
    'a folded line': twice('A: b\r\n Transfer-Encoding: chunked'),
    'a bare LF': twice('A: b\nTransfer-Encoding: chunked'),
    'a bare CR': twice('A: b\rTransfer-Encoding: chunked'),
    'an encoding that is not chunked': twice('Transfer-Encoding: xchunked'),
    'a NUL': twice('A: \0'),
  };
  for (const [name, text] of Object.entries(TWO_ENDS))
    it(`are refused, and nothing of them goes on: ${name}`, async (context) => {
      const { connect, reached } = await rawGate(context);
      for (const before of ['', post(1)])
        for (const bytes of [1_000_000, 60]) {
          const client = await connect();
          await client.write(...piecesOf(before + text, bytes));
          await client.closed();
          const statuses = answersIn(client.received).map(({ status }) => status);
          // A request that Node's server refuses at once may take the answer before it along.
          assert.equal(statuses.at(-1), 400, client.received);
        }
      assert.deepEqual(
        reached.filter((id) => id !== 1),
        [],
      );
    });
});
