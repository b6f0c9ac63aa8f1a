/** `tripline gate` as a command against the real service: ready line, a kill that holds, signals, exit codes, the ledger. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callsServer, connectTo } from '../../support/mcp/gate.ts';
import { nodeArguments, ROOT, workplace } from '../../support/mcp/host.ts';
import { ofKind, Service } from '../../support/mcp/service.ts';
import { tripline } from '../../support/scenario/tripline.ts';

const CLI = path.join(ROOT, 'services/cli/main.ts');

describe('tripline gate', () => {
  const place = workplace();
  const service = new Service(place.dataDir);
  const SESSION = 'behind-the-gate';

  before(() => service.start());
  after(async () => {
    await service.stop();
    place.remove();
  });

  it('refuses under a kill of the running service, ends on SIGTERM, and leaves every call on the ledger', async (context) => {
    const server = await callsServer(context, place);
    const file = path.join(place.dataDir, 'gate.yaml');
    writeFileSync(file, `upstreams:\n  - { name: calls, url: '${server.url}', agent: tester }\n`);
    const gate = spawn(
      process.execPath,
      [...nodeArguments(CLI), 'gate', '--json', '--config', file, '--port', '0'],
      {
        cwd: ROOT,
        env: {
          PATH: process.env['PATH'] ?? '',
          TRIPLINE_DATA_DIR: place.dataDir,
          TRIPLINE_SESSION_ID: SESSION,
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    context.after(() => gate.kill('SIGKILL'));
    const exited = once(gate, 'exit');
    const [line] = (await once(createInterface({ input: gate.stdout }), 'line')) as [string];
    const ready = JSON.parse(line) as {
      ready: boolean;
      url: string;
      upstreams: { server: string; url: string }[];
    };
    assert.deepEqual(
      [ready.ready, ready.upstreams],
      [true, [{ server: 'calls', url: `${ready.url}/calls` }]],
    );
    const { client } = await connectTo(context, `${ready.url}/calls`);
    const echo = (text: string): Promise<unknown> => client.callTool({ name: 'echo', arguments: { text } });
    await echo('before');
    const control = await service.setControl({ scope: 'tool', target: 'calls/echo', reason: 'because' });
    await service.eventsOnce(SESSION, (events) =>
      ofKind(events, 'control.ack').some((event) => event.controlId === control.id),
    );
    const reached = place.reached().length;
    await assert.rejects(echo('killed'), { code: -32_090 });
    assert.equal(place.reached().length, reached);
    await service.liftControl(control.id);
    const deadlineMs = Date.now() + 60_000;
    while (
      await echo('lifted').then(
        () => false,
        () => true,
      )
    )
      assert.ok(Date.now() < deadlineMs);
    const slow = client.callTool({ name: 'slow', arguments: { ms: 60_000 } }, undefined, { timeout: 5_000 });
    slow.catch(() => undefined);
    while (!place.reached().includes('slow')) await sleep(20);
    gate.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    const events = await service.eventsOnce(SESSION, (found) => ofKind(found, 'stream.close').length === 2);
    const results = ofKind(events, 'call.result');
    assert.deepEqual(
      ofKind(events, 'call.intent').map(
        ({ callId }) => results.filter((one) => one.callId === callId).length,
      ),
      ofKind(events, 'call.intent').map(() => 1),
    );
    const outcomes = results.map((event) => event.outcome ?? '');
    assert.deepEqual([outcomes[0], outcomes.at(-2), outcomes.at(-1)], ['ok', 'ok', 'abandoned']);
    assert.ok(outcomes.filter((outcome) => outcome === 'refused').length >= 1);
    const verified = await tripline(['verify'], { TRIPLINE_DATA_DIR: place.dataDir });
    assert.deepEqual([verified.items[0]?.['firstFault'], verified.code], [null, 10]);
  });

  it('says what is in force with secrets masked, and exits 2 for faults', async () => {
    const env = { TRIPLINE_DATA_DIR: place.dataDir };
    const simple = [
      'gate',
      '--upstream',
      'http://127.0.0.1:9/mcp',
      '--server',
      'vault',
      '--agent',
      'a',
      '--check',
    ];
    const [shown] = (await tripline(simple, env)).items;
    assert.match(JSON.stringify(shown), /"upstreams":\[\{"name":"vault"/);
    const file = path.join(place.dataDir, 'bad.yaml');
    const secret = 'hunter2';
    writeFileSync(
      file,
      `upstreams: [{ name: a, url: 'http://h/', headers: { X: { secret: { value: ${secret} } } } }]\n`,
    );
    const masked = await tripline(['gate', '--config', file, '--check'], env);
    assert.equal(masked.code, 0);
    assert.ok(!JSON.stringify(masked.items).includes(secret));
    writeFileSync(file, 'upstreams: []\nlisten: { prot: 1 }\n');
    const bad = await tripline(['gate', '--config', file], env);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /listen\.prot: unknown key/);
    assert.match(bad.stderr, /upstreams: /);
    assert.equal((await tripline(['gate'], env)).code, 2);
  });
});
