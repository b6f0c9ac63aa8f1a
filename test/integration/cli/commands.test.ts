/** Every command once over a real service: what --json prints, and the exit codes 0, 1, 2, 3, 4 of the README. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import type { Service } from '../../../services/cli/service.ts';
import { eventually, openPlace, startIn, tripline, type Place, type Ran } from './harness.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const CALL = { v: 1, time: '2026-01-31T12:00:00.000Z', session: 's-1', agent: 'bot', server: 'web' };
const LINES = [
  { ...CALL, kind: 'call.intent', callId: '1', tool: 'web_search', args: { q: 'x' } },
  { ...CALL, kind: 'call.result', callId: '1', tool: 'web_search', outcome: 'ok', durationMs: 120 },
  { ...CALL, kind: 'call.intent', callId: '2', tool: 'evil\u202egnp', args: {} },
];

suite('commands over a running service', () => {
  let place: Place;
  let service: Service;
  let events = '';
  const run = (...argv: readonly string[]): Promise<Ran> => tripline(place.env, argv);
  const json = (...argv: readonly string[]): Promise<Ran> => run(...argv, '--json');
  before(async () => {
    place = await openPlace();
    service = await startIn(place);
    events = join(place.dir, 'events.ndjson');
    writeFileSync(events, LINES.map((line) => `${JSON.stringify(line)}\n`).join(''));
  });
  after(async () => {
    await service.stop();
    await place.remove();
  });

  test('tail shows what replay sends; replay prints its totals last', async () => {
    const tail = json('tail', '--count', '3');
    const sent = await eventually(
      async () => await Promise.race([json('replay', events), tail]),
      (ran) => ran.out.includes('"sent"'),
    );
    assert.equal(sent.exitCode, 0);
    const totals = { sent: 3, accepted: 3, duplicates: 0, rejected: 0 };
    assert.deepEqual(sent.items().at(-1), totals);
    // The subscription may have come after the first request: what is sent again is appended again.
    const sending = setInterval(() => void json('replay', events), 500);
    const seen = await tail.finally(() => clearInterval(sending));
    assert.equal(seen.exitCode, 0);
    assert.equal(seen.items().length, 3);
    for (const item of seen.items()) assert.equal(item['type'], 'event');
  });
  test('sessions, one session, alerts', async () => {
    const sessions = await eventually(
      () => json('sessions', '--session', 's-1'),
      (ran) => ran.items().length > 0,
    );
    assert.deepEqual(sessions.items()[0]?.['agents'], ['bot']);
    const session = await eventually(
      () => json('session', 's-1'),
      (ran) => ran.exitCode === 0,
    );
    const calls = session.items()[0]?.['calls'] as readonly Record<string, unknown>[];
    assert.ok(calls.some((call) => call['outcome'] === 'ok' && call['durationMs'] === 120));
    // One of the tools hides its name behind a right-to-left mark; nothing else is wrong with this session.
    const alerts = await eventually(
      () => json('alerts'),
      (ran) => ran.items().length > 0,
    );
    assert.deepEqual(
      [alerts.exitCode, alerts.items().map((item) => item['ruleId'])],
      [0, ['registry.concealed-name']],
    );
  });
  test('disposition: on record and shown, whoever asks; an unknown alert is 1, wrong words are 2, no right is 4', async () => {
    const [alert] = (await json('alerts')).items();
    const id = String(alert?.['id']);
    const words = ['--as', 'false_positive', '--reason', 'a tool of ours\u202e'];
    const said = await json('disposition', id, ...words);
    assert.deepEqual([said.exitCode, said.err], [0, '']);
    assert.deepEqual(said.items(), [
      {
        id,
        tenant: 'default',
        ruleId: 'registry.concealed-name',
        disposition: { value: 'false_positive', reason: 'a tool of ours\u202e', actor: 'local-admin' },
      },
    ]);
    const shown = await eventually(
      () => json('alerts', '--disposition', 'false_positive'),
      (ran) => ran.items().length > 0,
    );
    const [found = {}] = shown.items();
    const { reason, actor } = found['disposition'] as Record<string, unknown>;
    assert.deepEqual([reason, actor], ['a tool of ours\u202e', 'local-admin']);
    assert.match((await run('alerts')).out, new RegExp(`false_positive +${id} `));
    assert.match(
      (await run('disposition', id, '--as', 'undetermined', '--reason', 'x')).out,
      new RegExp(`^alert ${id} of registry\\.concealed-name: undetermined\n$`),
    );
    for (const name of ['--as', '--reason', '--tenant', '--json'])
      assert.ok((await run('disposition', '--help')).out.includes(name), name);
    const exitCode = async (...argv: readonly string[]): Promise<number> =>
      (await run('disposition', ...argv)).exitCode;
    assert.equal(await exitCode('ab'.repeat(32), ...words), 1);
    assert.equal(await exitCode(id, ...words, '--tenant', 'nobody'), 1);
    const faulty = [
      ['--as', 'fine', '--reason', 'x'],
      ['--as', 'undetermined'],
      ['--as', 'undetermined', '--reason', ' '],
      ['--reason', 'x'],
    ];
    for (const argv of faulty) assert.deepEqual([argv, await exitCode(id, ...argv)], [argv, 2]);
    assert.equal(await exitCode(...words), 2);
    const denied = { ...place.env, TRIPLINE_TOKEN: 'wrong' };
    assert.equal((await tripline(denied, ['disposition', id, ...words])).exitCode, 4);
  });
  test('says its version; a fault of an option names it, for people and for programs', async () => {
    const shown = await run('--version');
    assert.equal(shown.exitCode, 0);
    assert.match(shown.out, /^\d+\.\d+\.\d+\n$/);
    const faulty = ['sessions', '--since', 'yesterday'];
    assert.match((await run(...faulty)).err, /^tripline: since: .*\[/);
    const { error } = JSON.parse((await run(...faulty, '--json')).err) as { error: { path: string } };
    assert.equal(error.path, 'since');
  });
  test('text of events cannot steer the terminal', async () => {
    const shown = await run('session', 's-1');
    assert.match(shown.out, /web_search .*120/);
    assert.ok(shown.out.includes('evil\\u{202e}gnp'));
    assert.ok(!shown.out.includes('\u202e'));
  });
  test('rules reload reads the rules again and says what changed', async () => {
    const ran = await json('rules', 'reload');
    assert.equal(ran.exitCode, 0, ran.err);
    const [{ added, removed, changed, faults, rules } = {}] = ran.items();
    assert.deepEqual([added, removed, changed, faults], [[], [], [], []]);
    assert.ok(Number(rules) > 3);
    assert.match((await run('rules', 'reload')).out, /^nothing has changed\n\d+ rules run\n$/);
  });
  test('kill, controls, lift; --wait fails where no host acknowledges', async () => {
    const kill = await json('kill', '--scope', 'tool', '--target', 'post', '--ttl', '1h', '--reason', 'x');
    assert.equal(kill.exitCode, 0);
    const id = String(kill.items()[0]?.['id']);
    const { items } = await json('controls');
    assert.ok(items().some((item) => (item['control'] as Record<string, unknown>)['id'] === id));
    assert.equal((await json('controls', '--tool', 'post')).items().length, 1);
    assert.deepEqual((await json('controls', '--tool', 'other')).items(), []);
    assert.deepEqual((await json('controls', '--until', '2026-01-01T00:00:00Z')).items(), []);
    const lifted = await json('lift', id, '--reason', 'mended');
    assert.deepEqual([lifted.exitCode, lifted.items().length], [0, 1]);
    assert.match((await run('controls')).out, /lifted/);
    assert.equal((await run('lift', 'nobody', '--reason', 'x')).exitCode, 1);
  });
  test('the ledger, its proof, and an export that verifies offline', async () => {
    const ledger = await json('ledger');
    assert.ok(Array.isArray(ledger.items()[0]?.['partitions']));
    assert.match((await run('ledger')).out, /TOPIC +PARTITION +ENTRIES +LAG/);
    assert.equal((await json('ledger', '--tenant', 'nobody')).items()[0]?.['coverage']?.toString(), '');
    const verdict = await json('verify');
    assert.deepEqual([verdict.exitCode, verdict.items()[0]?.['verdict']], [10, 'verified']);
    const out = join(place.dir, 'bundle');
    assert.equal((await json('export', '--out', out)).exitCode, 0);
    const offline = await tripline({}, ['verify', '--export', out, '--json']);
    assert.deepEqual([offline.exitCode, offline.items()[0]?.['firstFault']], [10, null]);
    assert.ok(Number(offline.items()[0]?.['entries']) >= LINES.length);
    assert.match((await tripline({}, ['verify', '--export', out])).out, /the key is the one that came along/);
    const key = join(place.dir, 'data', 'log.pub');
    const pinned = await tripline({}, ['verify', '--export', out, '--key', key, '--json']);
    assert.deepEqual([pinned.exitCode, pinned.items()[0]?.['keysPinned']], [10, true]);
    const other = join(place.dir, 'other.pub');
    writeFileSync(other, `${Buffer.alloc(32, 7).toString('base64')}\n`);
    const refused = await tripline({}, ['verify', '--export', out, '--key', other, '--json']);
    assert.equal(refused.exitCode, 40);
  });
  test('an export of a session or an event that is not there is 1, and leaves no bundle', async () => {
    const out = join(place.dir, 'none-of-it');
    for (const wanted of [
      ['--session', 'nobody'],
      ['--event', `${'0'.repeat(32)}-0`, '--format', 'binary'],
    ]) {
      const ran = await json('export', '--out', out, ...wanted);
      assert.deepEqual([ran.exitCode, ran.out], [1, '']);
      assert.match(ran.err, /^\{"error":\{"code":"not_found"/);
      assert.deepEqual(readdirSync(out), []);
    }
    const quiet = await json('export', '--out', out, '--until', '2001-01-01T00:00:00Z');
    assert.deepEqual([quiet.exitCode, quiet.items()[0]?.['entries']], [0, 0]);
    const one = await json('export', '--out', out, '--session', 's-1');
    assert.deepEqual([one.exitCode, Number(one.items()[0]?.['entries']) >= LINES.length], [0, true]);
  });
  test('an export to where nothing can be written is 2, and ends', async () => {
    for (const out of ['/proc/x', join(events, 'x'), events]) {
      const ran = await json('export', '--out', out);
      assert.deepEqual([ran.exitCode, ran.out], [2, ''], out);
      assert.match(ran.err, /^\{"error":\{"code":"usage".*"--out"/, out);
    }
  });
  test('doctor is content with this machine', async () => {
    const doctor = await json('doctor');
    assert.deepEqual(
      doctor.items().filter((check) => check['ok'] !== true),
      [],
    );
    assert.equal(doctor.exitCode, 0);
  });
  test('denied is 4: a token that is unknown, or whose role does not allow it', async () => {
    const unknown = await tripline({ ...place.env, TRIPLINE_TOKEN: 'wrong' }, ['alerts', '--json']);
    assert.deepEqual([unknown.exitCode, unknown.out], [4, '']);
    assert.match(unknown.err, /^\{"error":\{"code":"auth_invalid"/);
    const tail = await tripline({ ...place.env, TRIPLINE_TOKEN: 'wrong' }, ['tail']);
    assert.equal(tail.exitCode, 4);
  });
  test('wrong values are 2, whoever finds them', async () => {
    const noGzip = join(place.dir, 'none.ndjson.gz');
    writeFileSync(noGzip, 'no gzip');
    const wrong = [
      ['alerts', '--since', 'yesterday'],
      ['sessions', '--limit', '0'],
      ['tail', '--class', 'no class'],
      ['kill', '--scope', 'moon', '--ttl', '1h', '--reason', 'x'],
      ['kill', '--scope', 'tenant', '--ttl', 'soon', '--reason', 'x'],
      ['kill', '--scope', 'tool', '--ttl', '1h', '--reason', 'a tool without a name'],
      ['replay', join(place.dir, 'none.ndjson')],
      ['replay', noGzip],
      ['verify', '--export', events],
      ['verify', '--export', join(place.dir, 'none')],
      ['verify', '--key', join(place.dir, 'none')],
      ['destinations', 'test', 'nobody'],
      ['nonsense'],
      ['lift'],
    ];
    for (const argv of wrong) {
      const ran = await run(...argv);
      assert.deepEqual([argv, ran.exitCode, ran.out], [argv, 2, '']);
      assert.notEqual(ran.err, '');
    }
  });
});

suite('commands where nothing runs', () => {
  let place: Place;
  before(async () => {
    place = await openPlace();
  });
  after(() => place.remove());

  test('unreachable is 3', async () => {
    const env = { ...place.env, TRIPLINE_URL: 'http://127.0.0.1:9' };
    const said = ['disposition', 'x', '--as', 'undetermined', '--reason', 'y'];
    for (const argv of [['alerts'], ['tail'], ['lift', 'x', '--reason', 'y'], said])
      assert.deepEqual([argv, (await tripline(env, argv)).exitCode], [argv, 3]);
  });
  test('config print masks secrets; faults are listed all at once', async () => {
    const file = join(place.dir, 'tripline.yaml');
    const destination = {
      name: 'a',
      kind: 'webhook',
      url: 'https://hooks.example.com/',
      secret: { value: SECRET },
    };
    writeFileSync(file, JSON.stringify({ respond: { destinations: [destination] } }));
    const printed = await tripline(place.env, ['config', 'print', '--config', file, '--json']);
    assert.deepEqual([printed.exitCode, printed.items().length], [0, 1]);
    assert.ok(!printed.out.includes(SECRET.slice(6)));
    writeFileSync(file, JSON.stringify({ http: { port: -1 }, colour: 'red' }));
    const faulty = await tripline(place.env, ['config', 'print', '--config', file]);
    assert.equal(faulty.exitCode, 2);
    assert.match(faulty.err, /http\.port[^]*colour/);
  });
  test('destinations test: 0 where the webhook takes a signed alert, 3 where nobody does', async () => {
    let verified = 0;
    const server: Server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
        new Webhook(SECRET).verify(
          Buffer.concat(chunks).toString(),
          Object.fromEntries(headers) as Record<string, string>,
        );
        verified += 1;
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    const file = join(place.dir, 'destinations.yaml');
    const destination = { name: 'team', kind: 'webhook', url, secret: { value: SECRET }, allowPrivate: true };
    writeFileSync(file, JSON.stringify({ respond: { destinations: [destination] } }));
    const argv = ['destinations', 'test', 'team', '--config', file, '--json'];
    const taken = await tripline(place.env, argv);
    server.close();
    server.closeAllConnections();
    assert.deepEqual([taken.exitCode, taken.items()[0]?.['delivered'], verified], [0, true, 1]);
    assert.equal((await tripline(place.env, argv)).exitCode, 3);
  });
  test('rules test and lint pass over the shipped rules', async () => {
    const tested = await tripline(place.env, ['rules', 'test', '--json']);
    assert.equal(tested.exitCode, 0);
    assert.ok(tested.items().length > 10);
    assert.equal((await tripline(place.env, ['rules', 'lint', '--json'])).exitCode, 0);
    assert.equal((await tripline(place.env, ['rules', 'test', join(place.dir, 'none')])).exitCode, 2);
  });
  test('rules match prints one object of ids a match', async () => {
    const rule = 'detectors/rules/exfiltration/search-vault-post/rule.yaml';
    const file = join(place.dir, 'chain.ndjson');
    const call = (seq: number, tool: string, server: string, args: object): string =>
      JSON.stringify({
        ...CALL,
        time: `2026-01-31T12:00:0${seq}.000Z`,
        stream: '0'.repeat(32),
        seq,
        nonce: '0'.repeat(32),
        kind: 'call.intent',
        callId: String(seq),
        server,
        tool,
        args,
      });
    const chain = [
      call(0, 'web_search', 'search', { query: 'x' }),
      call(1, 'read_secret', 'vault', { path: 'a' }),
      call(2, 'http_post', 'poster', { url: 'https://out.example.com/' }),
    ];
    writeFileSync(file, `${chain.join('\n')}\n`);
    const matched = await tripline(place.env, ['rules', 'match', '--rule', rule, '--events', file, '--json']);
    const ids = [0, 1, 2].map((seq) => `${'0'.repeat(32)}-${seq}`);
    assert.deepEqual([matched.exitCode, matched.items()], [0, [{ ids }]]);
  });
});

test('a data directory that no service uses is read and verified all the same', async () => {
  const place = await openPlace();
  const service = await startIn(place);
  await service.stop();
  const verdict = await tripline(place.env, ['verify', '--json']);
  assert.equal(verdict.exitCode, 10);
  assert.equal((await tripline(place.env, ['controls', '--json'])).exitCode, 0);
  await place.remove();
});
