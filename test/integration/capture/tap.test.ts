/** The tap between real SDK clients and real SDK servers over stdio. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { connectThroughTap, workplace, type Host } from '../../support/mcp/host.ts';
import { Receiver } from '../../support/mcp/receiver.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('tap', () => {
  const place = workplace();
  const receiver = new Receiver();
  let host: Host;

  before(async () => {
    await receiver.start();
    host = await connectThroughTap({ place, url: receiver.url });
  });
  after(async () => {
    await host.close();
    await receiver.stop();
    place.remove();
  });

  const resultOf = (callId: string | undefined) =>
    receiver.of('call.result').find((event) => event.callId === callId);

  it('puts an answered call on record: intent, result, hashes of the exact bytes, session and trace', async () => {
    const answer = await host.client.callTool({ name: 'echo', arguments: { text: 'hällo' } });
    assert.match(JSON.stringify(answer), /hällo/);
    await receiver.until(() => receiver.of('call.result').length === 1);
    const [intent] = receiver.of('call.intent');
    const result = resultOf(intent?.callId);
    assert.equal(intent?.tool, 'echo');
    assert.equal(intent.server, 'calls');
    assert.equal(intent.agent, 'tester');
    assert.deepEqual(intent.args, { text: 'hällo' });
    assert.equal(intent.argsHash, sha256('{"text":"hällo"}'));
    assert.equal(intent.verdict, 'allow');
    assert.match(intent.traceId ?? '', /^[0-9a-f]{32}$/);
    assert.equal(result?.outcome, 'ok');
    assert.equal(result.traceId, intent.traceId);
    assert.equal(result.resultHash, sha256(JSON.stringify(result.result)));
    assert.deepEqual(receiver.faults, []);
    assert.equal(receiver.batches[0]?.authorization, 'Bearer test-token');
  });

  it('keeps the outcomes apart', async () => {
    await host.client.callTool({ name: 'fail', arguments: {} });
    await host.client.callTool({ name: 'nothing-like-it', arguments: {} });
    await assert.rejects(
      host.client.callTool({ name: 'slow', arguments: { ms: 60_000 } }, undefined, { timeout: 100 }),
    );
    await receiver.until(() => receiver.of('call.result').length === 4);
    const outcomes = receiver.of('call.result').map((event) => [event.tool, event.outcome]);
    assert.deepEqual(outcomes.slice(1), [
      ['fail', 'tool_error'],
      ['nothing-like-it', 'tool_error'],
      ['slow', 'cancelled'],
    ]);
  });

  it('takes a snapshot of the tools, and names their definition in later calls', async () => {
    await host.client.listTools();
    await host.client.callTool({ name: 'echo', arguments: { text: 'x' } });
    await receiver.until(() => receiver.of('call.result').length === 5);
    const [snapshot] = receiver.of('registry.snapshot');
    const listed = snapshot?.registry?.tools.find((tool) => tool.name === 'echo');
    assert.deepEqual(
      snapshot?.registry?.tools.map((tool) => tool.name),
      ['big', 'die', 'echo', 'fail', 'slow'],
    );
    assert.equal(receiver.of('call.intent').at(-1)?.definitionHash, listed?.definitionHash);
  });

  it('ends the stream with its count, every sequence there once', async () => {
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    const seqs = receiver.events.map((event) => event.seq);
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index),
    );
    assert.equal(receiver.of('stream.close')[0]?.streamState?.count, seqs.length);
    assert.equal(receiver.of('stream.open').length, 1);
    assert.deepEqual(receiver.faults, []);
  });
});
