/** Gates that lose their service or their life: what they let go is on record later, once and whole. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callsServer, connectTo, gateBefore, outcomesByTool } from '../../support/mcp/gate.ts';
import { nodeArguments, ROOT, tapEnvironment } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';

const CLI = path.join(ROOT, 'services/cli/main.ts');

describe('faults of a gate', () => {
  it('streams that ended while the service was away are sent when it is back, by the same gate', async (context) => {
    const site = await openPlace(context);
    const server = await callsServer(context, site.place);
    const upstreams = [{ name: 'calls', url: server.url }];
    const gate = await gateBefore(context, site, { config: { upstreams } });
    const { receiver } = site;
    receiver.away = true;
    for (let n = 0; n < 3; n++) {
      const { client, transport } = await connectTo(context, `${gate.url}/calls`);
      await client.callTool({ name: 'echo', arguments: { text: String(n) } });
      await transport.terminateSession();
      await client.close();
    }
    while (gate.streams > 0) await sleep(20);
    await sleep(3_000);
    assert.equal(receiver.lines.length, 0);
    receiver.away = false;
    await receiver.until(() => receiver.of('stream.close').length === 3, 60_000);
    assert.equal(outcomesByTool(receiver).filter(([, outcome]) => outcome === 'ok').length, 3);
    for (const stream of new Set(receiver.of('call.intent').map((event) => event.stream))) {
      const seqs = receiver.events.filter((event) => event.stream === stream).map((event) => event.seq);
      assert.deepEqual(
        seqs,
        seqs.map((_, index) => index),
      );
    }
    await gate.stop();
    assert.deepEqual(readdirSync(path.join(site.place.dataDir, 'spool')), []);
  });

  it('a gate that is killed: the next one ends its calls and its streams on record', async (context) => {
    const site = await openPlace(context);
    const server = await callsServer(context, site.place);
    const { place, receiver } = site;
    const first = spawn(
      process.execPath,
      [...nodeArguments(CLI), 'gate', '--json', '--upstream', server.url, '--server', 'calls', '--port', '0'],
      { env: tapEnvironment({ place, url: receiver.url }), stdio: ['ignore', 'pipe', 'inherit'] },
    );
    context.after(() => first.kill('SIGKILL'));
    const [line] = (await once(createInterface({ input: first.stdout }), 'line')) as [string];
    const { url } = JSON.parse(line) as { url: string };
    receiver.away = true;
    const { client } = await connectTo(context, `${url}/calls`);
    await client.callTool({ name: 'echo', arguments: { text: 'done' } });
    client.callTool({ name: 'slow', arguments: { ms: 60_000 } }).catch(() => undefined);
    while (!place.reached().includes('slow')) await sleep(20);
    first.kill('SIGKILL');
    await once(first, 'exit');
    receiver.away = false;
    await gateBefore(context, site, { config: { upstreams: [{ name: 'calls', url: server.url }] } });
    await receiver.until(() => receiver.of('stream.close').length === 2, 60_000);
    assert.deepEqual(outcomesByTool(receiver), [
      ['echo', 'ok'],
      ['slow', 'abandoned'],
    ]);
  });
});
