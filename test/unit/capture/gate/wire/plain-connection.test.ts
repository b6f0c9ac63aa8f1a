/** Which bytes of a connection are served here, and that Node's server gets all others, whole and once. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlainConnections } from '../../../../../services/capture/gate/wire/plain-connection.ts';
import type { SocketAnswer } from '../../../../../services/capture/gate/wire/socket-answer.ts';
import { connectionPair, quiet, writePieces } from '../../../../support/capture/node-http.ts';

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
const UNUSUAL = 'OPTIONS /unusual HTTP/1.1\r\nHost: a\r\n\r\n';
const PATIENCE_MS = 1_000;

interface Site {
  readonly client: Socket;
  readonly write: (...pieces: readonly string[]) => Promise<void>;
  /** Targets of requests that were served here. */
  readonly served: string[];
  readonly answers: SocketAnswer[];
  /** Bytes that were left to Node's server; undefined where the connection was not. */
  readonly left: () => string | undefined;
}

/** Serves all but `/no`, which it leaves; answers when it is told to. */
function open(): Site {
  const [socket, client] = connectionPair();
  client.resume();
  client.on('error', () => undefined);
  const served: string[] = [];
  const answers: SocketAnswer[] = [];
  let left: string | undefined;
  const connections = new PlainConnections({
    serve: ({ target }, answer) => {
      if (target === '/no') return false;
      served.push(target);
      answers.push(answer);
      return true;
    },
    handOver: (given) => {
      left = '';
      given.on('data', (bytes: Buffer) => (left += bytes.toString('latin1')));
    },
    keepAliveMs: 65_000,
    nowMs: () => 0,
  });
  connections.take(socket);
  const write = async (...pieces: readonly string[]): Promise<void> => {
    await writePieces(
      client,
      pieces.map((piece) => Buffer.from(piece, 'latin1')),
    );
    await quiet();
  };
  return { client, write, served, answers, left: () => left };
}

async function finish(answer: SocketAnswer | undefined, headers: readonly string[] = []): Promise<void> {
  answer?.begin({ status: 200, headers, length: 0 });
  answer?.end();
  await quiet();
}

describe('a connection', () => {
  it('has its requests served in their order, each when the one before is answered', async () => {
    const { write, served, answers, left } = open();
    await write(get('/1') + get('/2') + get('/3').slice(0, 9), get('/3').slice(9));
    assert.deepEqual(served, ['/1']);
    await finish(answers[0]);
    assert.deepEqual(served, ['/1', '/2']);
    await finish(answers[1]);
    assert.deepEqual(served, ['/1', '/2', '/3']);
    assert.equal(left(), undefined);
  });

  it('is left at the first request that is unusual, when those before it are answered', async () => {
    const { write, served, answers, left } = open();
    await write(get('/1') + UNUSUAL + get('/2'));
    assert.equal(left(), undefined);
    await finish(answers[0]);
    assert.equal(left(), UNUSUAL + get('/2'));
    await write(get('/3'));
    assert.equal(left(), UNUSUAL + get('/2') + get('/3'));
    assert.deepEqual(served, ['/1']);
  });

  it('is left at the first request that is not served here', async () => {
    const { write, served, left } = open();
    await write(get('/no') + get('/1'), get('/2'));
    assert.equal(left(), get('/no') + get('/1') + get('/2'));
    assert.deepEqual(served, []);
  });

  it('is left with a request that comes in too many pieces', async () => {
    const { write, left } = open();
    const bytes = get(`/${'x'.repeat(100)}`).split('');
    await write(...bytes.slice(0, 16));
    assert.equal(left(), undefined);
    await write(...bytes.slice(16));
    assert.equal(left(), bytes.join(''));
  });

  it('is left with a request that is unfinished for long, and not for one that was finished', async () => {
    const unfinished = open();
    await unfinished.write(get('/1'));
    await finish(unfinished.answers[0]);
    await unfinished.write(get('/2').slice(0, 9));
    const finished = open();
    await finished.write(get('/1').slice(0, 9), get('/1').slice(9));
    await sleep(PATIENCE_MS + 200);
    assert.equal(unfinished.left(), get('/2').slice(0, 9));
    await unfinished.write(get('/2').slice(9));
    assert.equal(unfinished.left(), get('/2'));
    assert.equal(finished.left(), undefined);
    await finish(finished.answers[0]);
    assert.ok(finished.answers[0]?.isFinished);
  });

  it('that is said to close has nothing more served or left (RFC 9112 §9.6)', async () => {
    const { write, served, answers, left } = open();
    await write(get('/1') + get('/2'));
    await finish(answers[0], ['Connection', 'close']);
    await write(get('/3'), UNUSUAL);
    assert.deepEqual(served, ['/1']);
    assert.equal(left(), undefined);
  });

  it('is not read without end while an answer takes its time', async () => {
    const { client, write, served, answers } = open();
    await write(get('/1'));
    const many = Array.from({ length: 3_000 }, (_, index) => get(`/pipelined/${index}`));
    for (const part of many) client.write(part);
    await quiet();
    assert.ok(client.writableLength > 0, 'the client waits');
    for (let at = 0; at <= many.length; at++) await finish(answers[at]);
    assert.equal(served.length, many.length + 1);
  });
});
