/** An answer on the wire (RFC 9112 §4, §6, §7.1), and what becomes of its connection. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { SocketAnswer } from '../../../../../services/capture/gate/wire/socket-answer.ts';
import { connectionPair, quiet } from '../../../../support/capture/node-http.ts';

const NOW_MS = Date.UTC(1994, 10, 6, 8, 49, 37);
const KEEPS = 'Connection: keep-alive\r\nKeep-Alive: timeout=65\r\n';
const DATE = 'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n';

interface Site {
  readonly answer: SocketAnswer;
  readonly socket: Socket;
  /** What has come at the client, and what was told of it. */
  readonly received: () => string;
  readonly told: string[];
}

function open(socket?: Socket): Site {
  const [own, client] = connectionPair();
  const told: string[] = [];
  let received = '';
  client.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
  const used = socket ?? own;
  used.on('error', () => undefined);
  const answer = new SocketAnswer({
    socket: used,
    keepAliveMs: 65_000,
    nowMs: () => NOW_MS,
    onFinished: (mayStay) => told.push(mayStay ? 'stays' : 'closes'),
  });
  used.on('close', () => answer.closed());
  answer.whenClosed(() => told.push(answer.isFinished ? 'finished' : 'gone'));
  return { answer, socket: used, received: () => received, told };
}

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('an answer', () => {
  it('of a length is written in one', async () => {
    const { answer, received, told } = open();
    answer.begin({ status: 200, headers: ['A', 'b', 'Set-Cookie', '\xe4'], length: 3 });
    answer.end(bytesOf('abc'));
    assert.deepEqual([answer.hasBegun, answer.isEnded, answer.isFinished], [true, true, false]);
    await quiet();
    assert.equal(
      received(),
      `HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie: \xe4\r\n${KEEPS}${DATE}Content-Length: 3\r\n\r\nabc`,
    );
    assert.deepEqual(told, ['finished', 'stays']);
  });

  it('without one is chunked, and says the date that it is given', async () => {
    const { answer, received } = open();
    answer.begin({ status: 299, headers: [], date: 'then' });
    answer.write(bytesOf('x'.repeat(26)));
    answer.write(Buffer.alloc(0));
    answer.end(bytesOf('abc'));
    await quiet();
    assert.equal(
      received(),
      `HTTP/1.1 299 Unknown\r\n${KEEPS}Date: then\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n${'x'.repeat(26)}\r\n3\r\nabc\r\n0\r\n\r\n`,
    );
  });

  for (const status of [204, 304])
    it(`of ${status} has no body and no length (RFC 9110 §8.6)`, async () => {
      const { answer, received } = open();
      answer.begin({ status, headers: [], length: 3 });
      answer.write(bytesOf('abc'));
      answer.end(bytesOf('abc'));
      await quiet();
      assert.match(received(), new RegExp(`^HTTP/1\\.1 ${status} [\\w ]+\r\n${KEEPS}${DATE}\r\n$`, 'u'));
    });

  it('that closes says only so', async () => {
    const { answer, received, told } = open();
    answer.begin({ status: 413, headers: ['connection', 'close'], length: 0 });
    answer.end();
    await quiet();
    assert.equal(
      received(),
      `HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\n${DATE}Content-Length: 0\r\n\r\n`,
    );
    assert.deepEqual(told, ['finished', 'closes']);
  });

  it('with headers that were used before has its own status', async () => {
    const headers = ['A', 'b'];
    for (const [status, text] of [
      [200, '200 OK'],
      [404, '404 Not Found'],
      [200, '200 OK'],
    ] as const) {
      const { answer, received } = open();
      answer.begin({ status, headers, length: 0 });
      answer.end();
      await quiet();
      assert.ok(received().startsWith(`HTTP/1.1 ${text}\r\nA: b\r\n`));
    }
  });

  it('has its head before the body where that is asked for', async () => {
    const { answer, received } = open();
    answer.begin({ status: 200, headers: [] });
    await quiet();
    assert.equal(received(), '');
    answer.flush();
    await quiet();
    assert.ok(received().endsWith('\r\n\r\n'));
  });

  it('is kept while it is corked', async () => {
    const { answer, received } = open();
    answer.begin({ status: 200, headers: [] });
    answer.cork();
    answer.write(bytesOf('ab'));
    answer.write(bytesOf('c'));
    await quiet();
    assert.equal(received(), '');
    answer.uncork();
    await quiet();
    assert.ok(received().endsWith('\r\n\r\n2\r\nab\r\n1\r\nc\r\n'));
    answer.cork();
    answer.end();
    await quiet();
    assert.ok(received().endsWith('0\r\n\r\n'));
  });

  it('begins and ends once', async () => {
    const { answer, received, told } = open();
    answer.begin({ status: 200, headers: [], length: 1 });
    answer.begin({ status: 500, headers: [], length: 9 });
    answer.end(bytesOf('a'));
    answer.end(bytesOf('b'));
    assert.equal(answer.write(bytesOf('c')), false);
    await quiet();
    assert.ok(received().startsWith('HTTP/1.1 200') && received().endsWith('\r\n\r\na'));
    assert.deepEqual(told, ['finished', 'stays']);
  });

  it('waits for a client that does not read', async () => {
    const { answer, socket, told } = open();
    answer.whenDrained(() => told.push('drained'));
    socket.on('drain', () => answer.drained());
    answer.begin({ status: 200, headers: [] });
    assert.equal(answer.write(Buffer.alloc(1_000_000)), false);
    await quiet();
    assert.deepEqual(told, ['drained']);
    assert.equal(answer.write(bytesOf('a')), true);
  });
});

describe('a client that leaves', () => {
  it('is told once, and nothing is written behind it', async () => {
    const { answer, socket, told } = open();
    answer.begin({ status: 200, headers: [] });
    socket.destroy();
    await quiet();
    assert.ok(answer.isGone);
    assert.equal(answer.write(bytesOf('a')), false);
    answer.end();
    answer.uncork();
    answer.destroy();
    await quiet();
    assert.deepEqual(told, ['gone']);
    assert.ok(!answer.isFinished);
  });

  it('may be left', async () => {
    const { answer, socket, told } = open();
    answer.begin({ status: 200, headers: [] });
    answer.destroy();
    assert.ok(socket.destroyed);
    await quiet();
    assert.deepEqual(told, ['gone']);
  });

  it('has not got what the system refused', async () => {
    const socket = new Duplex({
      read: () => undefined,
      write: (_bytes, _encoding, done) => setImmediate(() => done(new Error('EPIPE'))),
    });
    const { answer, told } = open(socket as unknown as Socket);
    answer.begin({ status: 200, headers: [], length: 0 });
    answer.end();
    await quiet();
    assert.ok(!answer.isFinished);
    assert.deepEqual(told, ['gone']);
  });

  it('does not leave by an answer that it has got', async () => {
    const { answer, socket, told } = open();
    answer.begin({ status: 200, headers: [], length: 0 });
    answer.end();
    await quiet();
    // The connection is the next answer's.
    answer.destroy();
    assert.ok(!socket.destroyed);
    assert.deepEqual(told, ['finished', 'stays']);
  });
});
