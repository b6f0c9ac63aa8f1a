/** Signed records through the real bus, store and signer to the verifier: what counts as signed, and what it is worth. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { TOPICS } from '../../../schemas/topics.ts';
import { createAuditTrail } from '../../../services/platform/audit/trail.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { newKeyPair, SigningProducer } from '../../support/producers/signing.ts';
import {
  append,
  callLine,
  openBench,
  readAll,
  recordOf,
  runWriter,
  streamOf,
  TOPIC,
  verified,
  type Bench,
} from '../record/harness.ts';

interface Row {
  readonly seq: string;
  readonly type: number;
  readonly flags: number;
  readonly key_id: string;
}

describe('batch signatures in the ledger', () => {
  let bench: Bench;
  let partition = 0;
  before(async () => {
    bench = await openBench();
  });
  after(() => bench.close());

  const of = (name: string, tenant = 'acme') => ({
    tenant,
    session: `session ${name}`,
    stream: streamOf(name),
  });
  const lines = (name: string, from: number, count: number, more: Record<string, unknown> = {}): string[] =>
    Array.from({ length: count }, (_, at) => callLine(name, from + at, more));
  const rows = (name: string): Promise<Row[]> =>
    bench.store.query<Row>(
      `SELECT seq, type, flags, lower(hex(key_id)) AS key_id FROM ledger
       WHERE stream_id = unhex({stream:String}) ORDER BY idx`,
      { params: { stream: streamOf(name) } },
    );
  const signedSeqs = async (name: string): Promise<number[]> =>
    (await rows(name)).filter(({ flags }) => (flags & 1) !== 0).map(({ seq }) => Number(seq));
  /** Sends to a partition of the case's own and records it. */
  async function record(messages: Parameters<typeof append>[1]): Promise<void> {
    const at = { topic: TOPIC, partition: partition++ };
    await append(bench, messages, at.partition);
    await runWriter(bench, bench, at);
  }

  async function changeKey(
    action: 'key.register' | 'key.revoke',
    keyId: string,
    raw?: Buffer,
  ): Promise<void> {
    const producer = await bench.bus.producer();
    const { bus } = bench;
    const randomBytes = (length: number): Uint8Array =>
      createHash('sha512').update(randomUUID()).digest().subarray(0, length);
    const trail = createAuditTrail({ bus, producer, clock: systemClock, randomBytes });
    const details = raw === undefined ? {} : { details: { publicKey: raw.toString('base64'), name: 'host' } };
    const who = { actor: 'admin', role: 'admin', target: keyId, outcome: 'ok' } as const;
    await trail.record('acme', { action, ...who, ...details });
    for (let at = 0; at < bus.partitionCount(TOPICS.audit.name); at += 1) {
      const found = await readAll(bus, at, 0, TOPICS.audit.name);
      if (found.length > 0) await runWriter(bench, bench, { topic: TOPICS.audit.name, partition: at });
    }
  }

  it('a signed record sets bit 0 and the key id of its agent on every line, and an unsigned one neither', async () => {
    const producer = new SigningProducer();
    const first = producer.record(of('plain'), 0, lines('plain', 0, 3));
    const second = producer.record(of('plain'), 3, lines('plain', 3, 2), first.lastHash);
    const unsigned = recordOf('plain', 5, lines('plain', 5, 1), { prev: second.lastHash });
    await record([first.message, second.message, unsigned]);
    const found = await rows('plain');
    assert.deepEqual(
      found.map(({ flags, key_id }) => [flags & 3, key_id === producer.agent.keyId]),
      [
        [1, true],
        [1, true],
        [3, true],
        [1, true],
        [3, true],
        [2, false],
      ],
    );
    assert.equal(found[5]?.key_id, '00'.repeat(32));
    const report = await verified(bench);
    assert.equal(report.firstFault, null);
    assert.deepEqual([report.producers.unregistered, report.producers.unsigned], [5, 1]);
  });

  it('a record that comes again adds nothing; its new end after known lines is signed from there on', async () => {
    const producer = new SigningProducer();
    const all = lines('again', 0, 4);
    const start = producer.record(of('again'), 0, all.slice(0, 2));
    const whole = producer.record(of('again'), 0, all);
    await record([start.message, start.message, whole.message]);
    assert.deepEqual(await signedSeqs('again'), [0, 1, 2, 3]);
    assert.equal((await rows('again')).length, 4);
    assert.equal((await verified(bench)).firstFault, null);
  });

  it('lines before one that is known already are unsigned: no one could follow the chain to the signature', async () => {
    const producer = new SigningProducer();
    const all = lines('hole', 0, 3);
    const whole = producer.record(of('hole'), 0, all);
    const hashes = producer.record(of('hole'), 0, all.slice(0, 2));
    const last = recordOf('hole', 2, all.slice(2), { prev: hashes.lastHash });
    await record([last, whole.message]);
    assert.deepEqual(await signedSeqs('hole'), []);
    assert.equal((await verified(bench)).firstFault, null);
  });

  it('forged: another stream key, a foreign certificate, a moved or altered batch, a broken header are unsigned', async () => {
    const producer = new SigningProducer();
    const name = 'forged';
    const honest = producer.record(of(name), 0, lines(name, 0, 2));
    const { headers } = honest.message;
    const signature = Buffer.from(headers['batch-sig'] ?? '', 'base64');
    const altered = (at: number): string => {
      const bytes = Buffer.from(signature);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes.toString('base64');
    };
    // One place in each part: version, agent key, stream key, issued, certificate, sent, signature; and other texts.
    const broken = [0, 1, 33, 72, 73, 144, 145, 208].map(altered);
    const others = ['', 'x', `${headers['batch-sig']}AAAA`, signature.subarray(1).toString('base64')];
    const otherName = 'forged elsewhere';
    const moved = producer.record(of(otherName), 0, lines(otherName, 0, 2)).message.headers['batch-sig'];
    const texts = [...broken, ...others, moved ?? ''];
    const messages = texts.map((text, at) => {
      const stream = `${name} ${at}`;
      // The same lines under a stream of their own would be other bytes: only what the signature says is forged.
      const mine = producer.record(of(stream), 0, lines(stream, 0, 2)).message;
      return { ...mine, headers: { ...mine.headers, 'batch-sig': text } };
    });
    await record(messages);
    for (const at of texts.keys()) assert.deepEqual(await signedSeqs(`${name} ${at}`), [], `text ${at}`);
    const line = lines('edited', 0, 1);
    const edited = producer.record(of('edited'), 0, line).message;
    const value = Buffer.from(Buffer.from(edited.value).toString().replace('fetch', 'fetcH'));
    await record([{ ...edited, value }]);
    assert.deepEqual(await signedSeqs('edited'), []);
    assert.equal((await verified(bench)).firstFault, null);
  });

  it('a signed line that says other than what is known is an equivocation under its key', async () => {
    const producer = new SigningProducer();
    const first = producer.record(of('twice'), 0, lines('twice', 0, 1));
    const other = producer.record(of('twice'), 0, lines('twice', 0, 1, { tool: 'other' }));
    await record([first.message, other.message]);
    const found = await rows('twice');
    assert.deepEqual(
      found.map(({ type, key_id }) => [type, key_id]),
      [
        [0, producer.agent.keyId],
        [18, producer.agent.keyId],
      ],
    );
    assert.equal((await verified(bench)).firstFault, null);
  });

  it('counts by key: registered, revoked since, never registered; a caller may name the keys that count', async () => {
    const [known, stranger] = [new SigningProducer(), new SigningProducer(newKeyPair())];
    const base = (await verified(bench)).producers;
    const early = known.record(of('early'), 0, lines('early', 0, 1));
    await record([early.message]);
    await changeKey('key.register', known.agent.keyId, known.agent.raw);
    const during = known.record(of('during'), 0, lines('during', 0, 2));
    await record([during.message, stranger.record(of('stranger'), 0, lines('stranger', 0, 1)).message]);
    await changeKey('key.revoke', known.agent.keyId);
    await record([known.record(of('after'), 0, lines('after', 0, 3)).message]);
    const { producers, firstFault } = await verified(bench);
    assert.equal(firstFault, null);
    assert.equal(producers.signed, 2);
    assert.equal(producers.revoked, 3);
    assert.equal(producers.unregistered - base.unregistered, 2);
    const mine = producers.keys.find(({ keyId }) => keyId === known.agent.keyId);
    assert.deepEqual([mine?.status, mine?.counted, mine?.uncounted, mine?.name], ['revoked', 2, 4, 'host']);
    const trusted = new Map([[stranger.agent.keyId, { name: 'mine', tenant: 'acme', revokedMs: undefined }]]);
    const byPolicy = await verified(bench, {}, { trustedProducers: trusted });
    assert.equal(byPolicy.producers.signed, 1);
    assert.equal(byPolicy.producers.revoked, 0);
    const keys = await bench.store.query<{ n: string }>('SELECT count() AS n FROM ledger WHERE type = 33');
    assert.equal(Number(keys[0]?.n), 2);
  });

  it('a bundle of one session is checked with its signatures, and does not say which keys were registered', async () => {
    const report = await verified(bench, { session: 'session plain' });
    assert.equal(report.firstFault, null);
    assert.deepEqual([report.producers.unjudged, report.producers.unsigned], [5, 1]);
  });
});
