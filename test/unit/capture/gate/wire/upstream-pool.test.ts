/** Which connection a request goes out on (RFC 9112 §9.2, §9.3). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { quiet } from '../../../../support/capture/node-http.ts';
import { answerOf, IDLE_MS, PoolSite } from '../../../../support/capture/pool-site.ts';

describe('a connection to a server', () => {
  it('is used again, the last that was used first', async () => {
    const site = new PoolSite();
    const told = [site.ask(), site.ask()];
    await site.answered(answerOf('one'), site.servers[0]);
    await site.answered(answerOf('two'), site.servers[1]);
    told.push(site.ask());
    await site.answered(answerOf('three'), site.servers[1]);
    assert.deepEqual(
      told.map(({ log }) => log),
      [
        ['sent', '200', 'one', 'end'],
        ['sent', '200', 'two', 'end'],
        ['sent', '200', 'three', 'end'],
      ],
    );
    assert.equal(site.servers.length, 2);
  });

  it('has one request at a time', async () => {
    const site = new PoolSite();
    site.ask();
    site.ask();
    await quiet();
    assert.equal(site.servers.length, 2);
  });

  const USED_AGAIN: Readonly<Record<string, string>> = {
    'a length': answerOf('abc'),
    chunks: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    'no body': 'HTTP/1.1 204 No Content\r\n\r\n',
    'a length of many noughts': 'HTTP/1.1 200 OK\r\nContent-Length: 00\r\n\r\n',
    'interim answers before it': `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 A\r\nLink: b\r\n\r\n${answerOf('')}`,
    'HTTP/1.0 that stays': 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n',
  };
  for (const [name, text] of Object.entries(USED_AGAIN))
    it(`is used again behind an answer with ${name}, whole or byte by byte`, async () => {
      const site = new PoolSite();
      const [first] = [site.ask()];
      await site.answered(text);
      assert.equal(first.log.at(-1), 'end');
      const second = site.ask();
      await quiet();
      for (const byte of text) site.servers[0]?.write(Buffer.from(byte, 'latin1'));
      await quiet();
      assert.equal(second.log.at(-1), 'end');
      assert.equal(site.servers.length, 1);
      assert.ok(site.isOpen(0));
    });

  const NOT_AGAIN: Readonly<Record<string, string>> = {
    'says that it closes': 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    'is of HTTP/1.0': 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n',
    'has bytes behind it': `${answerOf('abc')}\r\n`,
    'has another answer behind it': answerOf('abc') + answerOf('evil'),
    'has a body where none is': 'HTTP/1.1 204 No Content\r\n\r\nabc',
    'announces a body where none is': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n',
    'has bytes behind its last chunk':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK',
  };
  for (const [name, text] of Object.entries(NOT_AGAIN))
    it(`is closed behind an answer that ${name}`, async () => {
      const site = new PoolSite();
      const first = site.ask();
      await site.answered(text);
      assert.equal(first.log.at(-1), 'end');
      assert.ok(!site.isOpen(0));
      const second = site.ask();
      await site.answered(answerOf('mine'));
      assert.deepEqual(second.log, ['sent', '200', 'mine', 'end']);
      assert.equal(site.servers.length, 2);
    });

  it('is closed for bytes that nobody asked for', async () => {
    const site = new PoolSite();
    site.ask();
    await site.answered(answerOf('abc'));
    await site.answered(answerOf('evil'));
    assert.ok(!site.isOpen(0));
    const second = site.ask();
    await site.answered(answerOf('mine'));
    assert.deepEqual(second.log, ['sent', '200', 'mine', 'end']);
  });

  it('is closed where its server closes it', async () => {
    const site = new PoolSite();
    site.ask();
    await site.answered(answerOf('abc'));
    site.servers[0]?.end();
    await quiet();
    assert.ok(!site.isOpen(0));
    site.ask();
    assert.equal(site.servers.length, 2);
  });

  it('is closed where it broke while it waited', async () => {
    const site = new PoolSite();
    site.ask();
    await site.answered(answerOf('abc'));
    await site.reset(0);
    site.ask();
    assert.equal(site.servers.length, 2);
  });

  it('is not used again where the answer came before the request was sent', async () => {
    const site = new PoolSite();
    // More than the connection takes while its server does not read.
    const told = site.ask([Buffer.alloc(1_000_000)]);
    site.servers[0]?.pause();
    await site.answered(answerOf('early'));
    assert.deepEqual(told.log, ['200', 'early', 'end']);
    assert.ok(!site.isOpen(0));
  });

  it('is closed when it has waited for too long', async () => {
    const site = new PoolSite();
    site.ask();
    await site.answered(answerOf('abc'));
    site.nowMs = IDLE_MS - 1;
    site.ask();
    assert.equal(site.servers.length, 1);
    await site.answered(answerOf('abc'), site.servers[0]);
    site.nowMs += IDLE_MS;
    site.ask();
    assert.equal(site.servers.length, 2);
    assert.ok(!site.isOpen(0));
  });

  it('is closed with all others', async () => {
    const site = new PoolSite();
    site.ask();
    await site.answered(answerOf('abc'));
    const under = [site.ask(), site.ask()];
    await quiet();
    site.pool.close();
    await quiet();
    assert.deepEqual([site.isOpen(0), site.isOpen(1)], [false, false]);
    for (const { log } of under) assert.deepEqual(log, ['sent', 'ECONNRESET']);
  });
});
