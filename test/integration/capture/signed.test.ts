/** A host with an agent key, from the command that makes it to the verifier's count; killed and drained in between. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Service } from '../../../services/cli/service.ts';
import type { VerifyReport } from '../../../services/evidence/report.ts';
import { chainOfLines, SigningProducer } from '../../support/producers/signing.ts';
import { eventually, startIn, tripline } from '../cli/harness.ts';
import { connectThroughTap, workplace, type Host } from '../../support/mcp/host.ts';

describe('hosts that sign', () => {
  const place = workplace();
  const env = { TRIPLINE_DATA_DIR: place.dataDir };
  let service: Service;
  let keyId = '';
  let publicKey = '';
  let killed: Host;

  const connect = (session: string): Promise<Host> =>
    connectThroughTap({ place, env: { TRIPLINE_SESSION_ID: session } });
  const report = async (): Promise<VerifyReport> =>
    (await tripline(env, ['verify', '--json'])).items()[0] as unknown as VerifyReport;
  const settled = (accept: (found: VerifyReport) => boolean): Promise<VerifyReport> =>
    eventually(report, accept);
  async function callOnce(session: string): Promise<void> {
    const host = await connect(session);
    await host.client.callTool({ name: 'echo', arguments: { text: session } });
    await host.close();
  }

  before(async () => {
    const made = await tripline(env, ['keys', 'agent', 'create', '--json']);
    assert.equal(made.exitCode, 0, made.err);
    const [item] = made.items();
    keyId = String(item?.['keyId']);
    publicKey = String(item?.['publicKey']);
    // The service is away: what the host signs lies in its spool when it is killed.
    killed = await connect('killed');
    await killed.client.callTool({ name: 'echo', arguments: { text: 'a' } });
    const open = killed.client.callTool({ name: 'slow', arguments: { ms: 30_000 } });
    open.catch(() => undefined);
    while (!place.reached().includes('slow')) await sleep(20);
    await sleep(200);
    process.kill(killed.transport.pid ?? 0, 'SIGKILL');
    await assert.rejects(open);
    service = await startIn({ dir: place.dataDir, env, remove: async () => undefined });
  });
  after(async () => {
    await service.stop();
    place.remove();
  });

  it('the key is for its owner alone, and a tap refuses one that others can read', async () => {
    const file = path.join(place.dataDir, 'agent.key');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    chmodSync(file, 0o644);
    await assert.rejects(connect('open key'));
    chmodSync(file, 0o600);
  });

  it('refuses keys under which anybody can sign, and others than admins', async () => {
    // The identity, order 4, order 8, and y = p: RFC 8032, and the encodings that OpenSSL takes for them.
    const identity = Buffer.from(`01${'00'.repeat(31)}`, 'hex');
    const order4 = Buffer.alloc(32);
    const order8 = Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex');
    const nonCanonical = Buffer.from(`ee${'ff'.repeat(30)}7f`, 'hex');
    for (const bad of [identity, order4, order8, nonCanonical, Buffer.alloc(31, 7)]) {
      const refused = await tripline(env, [
        'keys',
        'register',
        bad.toString('base64'),
        '--name',
        'x',
        '--json',
      ]);
      assert.equal(refused.exitCode, 2, `${bad.toString('hex')} ${refused.err}`);
    }
    const token = 'not-a-token';
    const denied = await tripline({ ...env, TRIPLINE_TOKEN: token }, [
      'keys',
      'register',
      publicKey,
      '--name',
      'x',
    ]);
    assert.equal(denied.exitCode, 4);
  });

  it('what a killed host had signed counts when another process sends it; what is added for it is unsigned', async () => {
    const registered = await tripline(env, ['keys', 'register', publicKey, '--name', 'laptop', '--json']);
    assert.equal(registered.exitCode, 0, registered.err);
    await callOnce('second');
    const found = await settled(({ producers }) => producers.unsigned === 2 && producers.signed > 8);
    assert.equal(found.firstFault, null);
    // The abandoned call and the end of the stream, which the next tap wrote.
    assert.equal(found.producers.unsigned, 2);
    assert.deepEqual([found.producers.unregistered, found.producers.openEndCount], [0, 0]);
    assert.equal(found.producers.keys[0]?.keyId, keyId);
    assert.equal(found.producers.keys[0]?.name, 'laptop');
    assert.deepEqual(readdirSync(path.join(place.dataDir, 'spool')), []);
  });

  const token = (): string => readFileSync(path.join(place.dataDir, 'producer.token'), 'utf8').trim();
  async function post(lines: readonly string[], headers: Readonly<Record<string, string>>): Promise<number> {
    const response = await fetch(`${service.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/x-ndjson', ...headers },
      body: lines.join('\n'),
    });
    await response.arrayBuffer();
    return response.status;
  }
  const lineOf = (stream: string, seq: number, tool = 'read'): string =>
    JSON.stringify({
      v: 1,
      kind: 'call.intent',
      stream,
      seq,
      nonce: randomBytes(16).toString('hex'),
      time: new Date().toISOString(),
      session: `stranger ${stream}`,
      agent: 'a',
      callId: `c${seq}`,
      tool,
    });

  it('gaps, two accounts of one place, signatures that do not hold and unknown keys raise alerts', async () => {
    const stranger = new SigningProducer();
    const stream = randomBytes(16).toString('hex');
    const lines = Array.from({ length: 5 }, (_, seq) => lineOf(stream, seq));
    const hashes = chainOfLines(Buffer.from(stream, 'hex'), 0, lines);
    const element = (firstSeq: number, lastSeq: number, hash = hashes[lastSeq]): string =>
      `${firstSeq}-${lastSeq}:${stranger.header({ stream, firstSeq, lastSeq, lastHash: hash as Buffer })}`;
    const both = {
      'tripline-prev': '00'.repeat(32),
      'tripline-batch-sig': `${element(0, 1)},${element(2, 2)}`,
    };
    assert.equal(await post(lines.slice(0, 3), both), 202);
    // A part of the batch again, then with what follows: the batch as a whole is what counts.
    const prev = (hashes[2] as Buffer).toString('hex');
    assert.equal(await post(lines.slice(3, 4), { 'tripline-prev': prev }), 202);
    const rest = { 'tripline-prev': prev, 'tripline-batch-sig': element(3, 4) };
    assert.equal(await post(lines.slice(3), rest), 202);
    const bad = lineOf(stream, 7);
    const wrong = { 'tripline-batch-sig': element(7, 7, Buffer.alloc(32)), 'tripline-prev': '11'.repeat(32) };
    assert.equal(await post([bad], wrong), 202);
    assert.equal(await post([lineOf(stream, 7, 'other')], { 'tripline-prev': '11'.repeat(32) }), 202);
    assert.equal(await post([lineOf(stream, 9)], { 'tripline-batch-sig': '9-9:AAAA' }), 400);
    const raised = async (): Promise<readonly string[]> =>
      (await tripline(env, ['alerts', '--session', `stranger ${stream}`, '--json']))
        .items()
        .map((item) => String(item['ruleId']))
        .toSorted();
    const expected = [
      'tripline.evidence-equivocation',
      'tripline.evidence-gap',
      'tripline.signature-invalid',
      'tripline.unregistered-producer',
    ];
    assert.deepEqual(await eventually(raised, (found) => found.length >= 4), expected);
    const { producers } = await report();
    // Lines 0 to 2 and 4: line 3 stood already when its batch came.
    assert.equal(producers.keys.find((key) => key.keyId === stranger.agent.keyId)?.uncounted, 4);
  });

  it('lists the key, and after a revocation nothing more counts', async () => {
    const listed = await eventually(
      () => tripline(env, ['keys', 'list', '--json']),
      ({ out }) => out !== '',
    );
    assert.deepEqual(
      listed.items().map((item) => [item['keyId'], item['name'], item['status'], item['tenant']]),
      [[keyId, 'laptop', 'registered', 'default']],
    );
    const counted = (await report()).producers.signed;
    const revoked = await tripline(env, ['keys', 'revoke', keyId, '--reason', 'stolen', '--json']);
    assert.equal(revoked.exitCode, 0, revoked.err);
    await callOnce('third');
    const found = await settled(({ producers }) => producers.revoked >= 4);
    assert.equal(found.producers.signed, counted);
    assert.equal(found.producers.keys.find((key) => key.keyId === keyId)?.status, 'revoked');
    const [item] = (await tripline(env, ['keys', 'list', '--json'])).items();
    assert.equal(item?.['status'], 'revoked');
    assert.equal(item['reason'], 'stolen');
  });
});
