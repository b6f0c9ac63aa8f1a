/** Service away, crashes of either side, a full spool, refused lines: nothing that was let go is missing from the record. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ROOT, connectThroughTap, tapCommand, tapEnvironment } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';
import { Receiver } from '../../support/mcp/receiver.ts';

/** The chain of a stream, walked as the specification of the event hash says, without the product's code. */
function chainHash(stream: string, lines: readonly string[]): readonly string[] {
  let prev = Buffer.alloc(32);
  return lines.map((line, seq) => {
    const before = prev.toString('hex');
    const head = Buffer.alloc(8);
    head.writeBigUInt64BE(BigInt(seq));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(line));
    prev = createHash('sha256')
      .update(Buffer.concat([Buffer.from('tripline/event/v1\0'), Buffer.from(stream, 'hex')]))
      .update(Buffer.concat([head, prev, length, Buffer.from(line)]))
      .digest();
    return before;
  });
}

describe('faults at the host', { concurrency: 2 }, () => {
  it('spools while the service is away and sends all of it in order when it is back', async (context) => {
    const { place, receiver } = await openPlace(context);
    receiver.away = true;
    const host = await connectThroughTap({ place, url: receiver.url });
    for (let n = 0; n < 5; n++) await host.client.callTool({ name: 'echo', arguments: { text: String(n) } });
    assert.equal(receiver.lines.length, 0);
    receiver.away = false;
    await receiver.until(() => receiver.of('call.result').length === 5);
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    const [stream = ''] = new Set(receiver.events.map((event) => event.stream));
    const prevs = chainHash(stream, receiver.lines);
    let first = 0;
    for (const batch of receiver.batches) {
      assert.equal(batch.prev, prevs[first]);
      first += batch.lines.length;
    }
    assert.deepEqual(readdirSync(path.join(place.dataDir, 'spool')), []);
  });

  it('a call that the server took to its death is abandoned, and its exit code is passed on', async (context) => {
    const { place, receiver } = await openPlace(context);
    const { command, args } = tapCommand({});
    const tap = spawn(command, args, {
      cwd: ROOT,
      env: tapEnvironment({ place, url: receiver.url }),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const send = (message: unknown): void => void tap.stdin.write(`${JSON.stringify(message)}\n`);
    const code = new Promise((resolve) => void tap.on('exit', resolve));
    tap.stdout.resume();
    send({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } },
    });
    send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'die', arguments: {} } });
    assert.equal(await code, 7);
    await receiver.until(() => receiver.of('stream.close').length === 1);
    assert.deepEqual(
      receiver.of('call.result').map((event) => [event.tool, event.outcome]),
      [['die', 'abandoned']],
    );
  });

  it('the next tap sends what a killed one left, with its open call as abandoned and the stream ended', async (context) => {
    const { place, receiver } = await openPlace(context);
    receiver.away = true;
    const first = await connectThroughTap({ place, url: receiver.url });
    await first.client.callTool({ name: 'echo', arguments: { text: 'done' } });
    const open = first.client.callTool({ name: 'slow', arguments: { ms: 30_000 } });
    open.catch(() => undefined);
    while (!place.reached().includes('slow')) await new Promise((resolve) => setTimeout(resolve, 20));
    process.kill(first.transport.pid ?? 0, 'SIGKILL');
    await assert.rejects(open);
    receiver.away = false;
    const second = await connectThroughTap({ place, url: receiver.url });
    context.after(() => second.close());
    await receiver.until(() => receiver.of('stream.close').length === 1);
    const ended = receiver.of('stream.close')[0];
    const left = receiver.events.filter((event) => event.stream === ended?.stream);
    assert.deepEqual(
      left.map((event) => event.seq),
      left.map((_, index) => index),
    );
    assert.equal(ended?.streamState?.count, left.length);
    assert.deepEqual(
      left.filter((event) => event.kind === 'call.result').map((event) => [event.tool, event.outcome]),
      [
        ['echo', 'ok'],
        ['slow', 'abandoned'],
      ],
    );
    assert.equal(new Set(receiver.events.map((event) => event.session)).size, 1, 'one host, one session');
  });

  it('a restart with the service away still refuses what was killed before', async (context) => {
    const { place, receiver } = await openPlace(context);
    const env = { TRIPLINE_CONTROL_KEYS: receiver.publicKey };
    receiver.push(receiver.sign({ id: 'k', scope: 'global', target: '*', tenant: '*' }), 'k');
    const first = await connectThroughTap({ place, url: receiver.url, env });
    await receiver.until(() => receiver.of('control.ack').length === 1);
    await assert.rejects(first.client.callTool({ name: 'echo', arguments: { text: 'a' } }), { code: -32090 });
    await first.close();
    const second = await connectThroughTap({ place, url: 'http://127.0.0.1:9', env });
    await assert.rejects(second.client.callTool({ name: 'echo', arguments: { text: 'b' } }), {
      code: -32090,
    });
    await second.close();
    assert.deepEqual(place.reached(), []);
  });

  it('a control of an unknown key or an older version changes nothing, and that is on record', async (context) => {
    const { place, receiver } = await openPlace(context);
    const stranger = new Receiver();
    const env = { TRIPLINE_CONTROL_KEYS: receiver.publicKey };
    const host = await connectThroughTap({ place, url: receiver.url, env });
    context.after(() => host.close());
    await receiver.until(() => receiver.hosts === 1);
    const old = receiver.sign({ id: 'k', version: 5, state: 'lifted' });
    receiver.push(receiver.sign({ id: 'k', version: 6, target: 'echo' }), 'k');
    receiver.push(old, 'k');
    receiver.push(stranger.sign({ id: 'forged', target: 'slow' }), 'forged');
    await receiver.until(() => receiver.of('control.ack').length === 3);
    assert.deepEqual(
      receiver.of('control.ack').map((event) => [event.ack?.state, event.ack?.code]),
      [
        ['applied', undefined],
        ['rejected', 'control_stale'],
        ['rejected', 'control_signature_invalid'],
      ],
    );
    await assert.rejects(host.client.callTool({ name: 'echo', arguments: { text: 'a' } }), { code: -32090 });
    await host.client.callTool({ name: 'slow', arguments: { ms: 1 } });
  });

  it('closed means closed: without the channel no call leaves', async (context) => {
    const { place } = await openPlace(context);
    const env = { TRIPLINE_ON_CHANNEL_LOST: 'closed' };
    const host = await connectThroughTap({ place, url: 'http://127.0.0.1:9', env });
    await assert.rejects(host.client.callTool({ name: 'echo', arguments: { text: 'a' } }), { code: -32090 });
    await host.close();
    assert.deepEqual(place.reached(), []);
  });

  it('a full spool gives events up and says how many', async (context) => {
    const { place, receiver } = await openPlace(context);
    receiver.away = true;
    const env = { TRIPLINE_SPOOL_MAX_BYTES: '65536' };
    const host = await connectThroughTap({ place, url: receiver.url, env });
    const text = 'x'.repeat(4_000);
    for (let n = 0; n < 20; n++) await host.client.callTool({ name: 'echo', arguments: { text } });
    receiver.away = false;
    await receiver.until(() => receiver.of('call.result').length > 0);
    await host.client.callTool({ name: 'echo', arguments: { text: 'after' } });
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    const dropped = receiver
      .of('stream.gap')
      .reduce((sum, event) => sum + (event.streamState?.dropped ?? 0), 0);
    const calls = receiver.of('call.intent').length + receiver.of('call.result').length;
    assert.ok(dropped > 0);
    assert.equal(calls + dropped, 42);
    assert.deepEqual(
      receiver.events.map((event) => event.seq),
      receiver.events.map((_, index) => index),
    );
  });

  it('lines that the service refuses are not sent for ever', async (context) => {
    const { place, receiver } = await openPlace(context);
    const rejected = [{ index: 0, code: 'event_invalid', path: 'x', message: 'no' }];
    receiver.answers.push({ status: 400, body: { accepted: 0, duplicates: 0, rejected } });
    const host = await connectThroughTap({ place, url: receiver.url });
    await host.client.callTool({ name: 'echo', arguments: { text: 'a' } });
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    assert.equal(receiver.events[0]?.seq !== 0, true);
    assert.match(host.stderr(), /"event":"events_rejected"/);
  });
});
