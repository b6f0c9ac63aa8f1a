/** What is told of one request, and that it never touches another (RFC 9112 §8). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { quiet } from '../../../../support/capture/node-http.ts';
import { answerOf, PoolSite, REQUEST } from '../../../../support/capture/pool-site.ts';

describe('an asking', () => {
  it('that is broken off is told nothing more, and the next has a connection of its own', async () => {
    const site = new PoolSite();
    const first = site.ask();
    await site.answered('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    first.asked.destroy();
    const second = site.ask();
    await site.answered('defghij', site.servers[0]);
    await site.answered(answerOf('mine'), site.servers[1]);
    first.asked.destroy();
    await quiet();
    assert.deepEqual(first.log, ['sent', '200', 'abc']);
    assert.deepEqual(second.log, ['sent', '200', 'mine', 'end']);
    assert.ok(site.isOpen(1));
  });

  it('that is over does not touch the connection that it had', async () => {
    const site = new PoolSite();
    const first = site.ask();
    await site.answered(answerOf('one'));
    const second = site.ask();
    first.asked.destroy();
    first.answers[0]?.pause();
    await site.answered(answerOf('two'));
    assert.deepEqual(second.log, ['sent', '200', 'two', 'end']);
    second.answers[0]?.pause();
    assert.ok(second.answers[0]?.isPaused === false);
    assert.equal(site.servers.length, 1);
  });

  it('that breaks off while it is told has nothing of the rest', async () => {
    const site = new PoolSite();
    const told = site.ask(REQUEST, () => told.asked.destroy());
    await site.answered(answerOf('abc'));
    assert.deepEqual(told.log, ['sent', '200']);
    assert.ok(!site.isOpen(0));
  });

  it('that breaks off at a head without a body is not told that more is to come', async () => {
    const site = new PoolSite();
    const log: string[] = [];
    const asked = site.pool.ask(REQUEST, {
      onFailed: (code) => log.push(code),
      onAnswer: (answer) => {
        answer.readTo({
          onPiece: () => log.push('piece'),
          onMore: () => log.push('more'),
          onEnd: () => log.push('end'),
          onBrokenOff: () => log.push('broken off'),
        });
        asked.destroy();
      },
    });
    await site.answered('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n');
    assert.deepEqual(log, []);
  });

  it('that paused leaves a connection that is read again', async () => {
    const site = new PoolSite();
    const first = site.ask(REQUEST, () => first.answers[0]?.pause());
    await site.answered(answerOf('abc'));
    assert.equal(first.log.at(-1), 'end');
    const second = site.ask();
    await site.answered(answerOf('two'));
    assert.equal(second.log.at(-1), 'end');
    assert.equal(site.servers.length, 1);
  });

  const ENDS: Readonly<Record<string, readonly [text: string, log: readonly string[]]>> = {
    'before an answer': ['', ['ECONNRESET']],
    'in a head': ['HTTP/1.1 200 OK\r\nA', ['ECONNRESET']],
    'behind an interim answer': ['HTTP/1.1 100 Continue\r\n\r\n', ['ECONNRESET']],
    'in a body of a length': [
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc',
      ['200', 'abc', 'broken off'],
    ],
    'in a chunk': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc',
      ['200', 'abc', 'broken off'],
    ],
    'before the last chunk': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
      ['200', 'abc', 'broken off'],
    ],
    'before the end of the trailers': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n',
      ['200', 'abc', 'broken off'],
    ],
    'where that is the end of the body': ['HTTP/1.1 200 OK\r\n\r\nabc', ['200', 'abc', 'end']],
  };
  for (const [name, [text, log]] of Object.entries(ENDS))
    it(`is told where the server ends ${name}`, async () => {
      const site = new PoolSite();
      const told = site.ask();
      await site.answered(text);
      site.servers[0]?.end();
      await quiet();
      assert.deepEqual(told.log, ['sent', ...log]);
      assert.ok(!site.isOpen(0));
    });

  it('is told where the connection breaks, also where its end would be that of the body', async () => {
    const site = new PoolSite();
    const told = site.ask();
    await site.answered('HTTP/1.1 200 OK\r\n\r\nabc');
    await site.reset(0);
    assert.deepEqual(told.log, ['sent', '200', 'abc', 'broken off']);
  });

  const MALFORMED: Readonly<Record<string, readonly [text: string, log: readonly string[]]>> = {
    'no HTTP': ['SSH-2.0-x\r\n\r\n', ['http_malformed']],
    'another protocol': ['HTTP/1.1 101 Switching Protocols\r\n\r\n', ['http_malformed']],
    'both framings': [
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      ['http_malformed'],
    ],
    'a chunk without a size': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n',
      ['200', 'a', 'broken off'],
    ],
  };
  for (const [name, [text, log]] of Object.entries(MALFORMED))
    it(`breaks off where the server answers ${name}`, async () => {
      const site = new PoolSite();
      const told = site.ask();
      await site.answered(text);
      assert.deepEqual(told.log, ['sent', ...log]);
      assert.ok(!site.isOpen(0));
    });
});
