/** Whatever is changed of a signed record (bytes, place, headers, certificate), no line of it counts as signed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { TOPICS } from '../../../schemas/topics.ts';
import {
  BatchSignatures,
  readBatchSignatureHeader,
  type BatchSignature,
} from '../../../services/evidence/batch-signature.ts';
import { ENTRY_FLAGS } from '../../../services/evidence/entry.ts';
import { classMappingVersion } from '../../../services/evidence/projection.ts';
import { ed25519Verify, nodeCrypto, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { prepareRecord } from '../../../services/record/prepare.ts';
import { recordStep } from '../../../services/record/step.ts';
import { SigningProducer } from '../../support/producers/signing.ts';

const TOPIC = TOPICS.toolcalls.name;
const STREAM = 'ab'.repeat(16);
const SETTINGS = {
  deployment: 'test',
  mapping: classMappingVersion({ mappings: [], internalHosts: [] }, sha256),
  sha256,
  ed25519Verify,
};

const line = (seq: number, tool: string): string =>
  JSON.stringify({
    v: 1,
    kind: 'call.intent',
    stream: STREAM,
    seq,
    nonce: 'cd'.repeat(16),
    time: '2026-11-23T12:00:00.000Z',
    session: 's',
    agent: 'a',
    callId: `c${seq}`,
    tool,
  });

interface Message {
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** How many entries count as signed, after the same stream's first record. */
function signedEntries(first: Message, then: Message): { signed: number; entries: number } {
  const records = [first, then].map((message, offset) => ({
    ...message,
    key: null,
    topic: TOPIC,
    partition: 0,
    offset,
    appendMs: 1_764_000_000_000,
  }));
  const heads = { topic: TOPIC, partition: 0, nextOffset: 0, watermarkMs: 0, heads: new Map() };
  const { counts } = recordStep(records.map(prepareRecord), heads, new Map(), SETTINGS);
  return { signed: counts.signed, entries: counts.entries };
}

const producer = new SigningProducer();
const WRITER = { tenant: 'acme', session: 's', stream: STREAM };
const first = producer.record(WRITER, 0, [line(0, 'open')]);

const flip = (bytes: Uint8Array, bit: number): Buffer => {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
};

type Mutation = (message: Message, bit: number) => Message;
const withHeader =
  (name: string, change: (text: string, bit: number) => string): Mutation =>
  (message, bit) => ({
    ...message,
    headers: { ...message.headers, [name]: change(message.headers[name] ?? '', bit) },
  });
const MUTATIONS: Readonly<Record<string, Mutation>> = {
  bytes: (message, bit) => ({ ...message, value: flip(message.value, bit) }),
  'a line less': (message) => ({
    ...message,
    value: message.value.slice(0, Buffer.from(message.value).lastIndexOf(10)),
  }),
  'a line twice': (message) => {
    const text = Buffer.from(message.value).toString();
    return { ...message, value: Buffer.from(`${text}\n${text.split('\n').at(-1) ?? ''}`) };
  },
  signature: withHeader('batch-sig', (text, bit) =>
    flip(Buffer.from(text, 'base64'), bit).toString('base64'),
  ),
  'signature in another writing': withHeader('batch-sig', (text) => text.replace(/.$/u, '')),
  prev: withHeader('prev', (text, bit) => flip(Buffer.from(text, 'hex'), bit).toString('hex')),
};

describe('batch signatures', () => {
  it('count for every line of a sound record and for none of a changed one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('read', 'write', 'ü'), { minLength: 2, maxLength: 5 }),
        fc.constantFrom(...Object.keys(MUTATIONS)),
        fc.nat(20_000),
        (tools, name, bit) => {
          const lines = tools.map((tool, at) => line(at + 1, tool));
          const { message } = producer.record(WRITER, 1, lines, first.lastHash);
          const sound = signedEntries(first.message, message);
          assert.deepEqual(sound, { signed: lines.length + 1, entries: lines.length + 1 });
          const changed = (MUTATIONS[name] as Mutation)(message, bit);
          assert.equal(signedEntries(first.message, changed).signed, 1, name);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('of a stream are none of another, of another place, or under another time', () => {
    const signatures = new BatchSignatures(nodeCrypto);
    const lastHash = Buffer.alloc(32, 7);
    const text = producer.header({ stream: STREAM, firstSeq: 3, lastSeq: 9, lastHash });
    const signature = readBatchSignatureHeader(text) as BatchSignature;
    const range = { stream: Buffer.from(STREAM, 'hex'), firstSeq: 3, lastSeq: 9, lastEventHash: lastHash };
    const keyIdOf = (change: object, of: BatchSignature = signature) =>
      signatures.keyIdOf({ ...range, ...change }, of);
    assert.equal(Buffer.from(keyIdOf({}) ?? []).toString('hex'), producer.agent.keyId);
    for (const change of [
      { stream: Buffer.alloc(16, 1) },
      { firstSeq: 2 },
      { lastSeq: 10 },
      { lastEventHash: Buffer.alloc(32, 8) },
    ])
      assert.equal(keyIdOf(change), undefined, JSON.stringify(change));
    assert.equal(keyIdOf({}, { ...signature, sentMs: signature.sentMs + 1 }), undefined);
    const { certificate } = signature;
    const later = { ...signature, certificate: { ...certificate, issuedMs: certificate.issuedMs + 1 } };
    assert.equal(keyIdOf({}, later), undefined);
  });

  it('under a key of small order do not count, though OpenSSL takes them', () => {
    // R = A = the identity and S = 0 verify over every message (RFC 8032 §5.1.7 without a check of the key).
    const identity = Buffer.from(`01${'00'.repeat(31)}`, 'hex');
    const forged = Buffer.concat([identity, Buffer.alloc(32)]);
    assert.equal(ed25519Verify(identity, Buffer.from('anything'), forged), true);
    const certificate = { agentKey: identity, streamKey: identity, issuedMs: 0, signature: forged };
    const range = { stream: Buffer.alloc(16), firstSeq: 0, lastSeq: 0, lastEventHash: Buffer.alloc(32) };
    const found = new BatchSignatures(nodeCrypto).keyIdOf(range, {
      certificate,
      sentMs: 0,
      signature: forged,
    });
    assert.equal(found, undefined);
  });

  it('flags and key id of an entry follow from its record: bit 0 and the key id of the agent', () => {
    assert.equal(ENTRY_FLAGS.signed, 1);
    assert.equal(signedEntries(first.message, first.message).signed, 1);
  });

  const vectors = resolve(import.meta.dirname, '../../../../shared/data/vectors/ed25519vectors.json');
  it('judge keys as the vectors of C2SP/CCTV mark them', (context) => {
    let json: string;
    try {
      json = readFileSync(vectors, 'utf8');
    } catch {
      return context.skip('the vectors are not here');
    }
    const cases = JSON.parse(json) as readonly {
      readonly key: string;
      readonly flags: readonly string[] | null;
    }[];
    // Every signature holds here, so that the key alone decides.
    const signatures = new BatchSignatures({ ...nodeCrypto, ed25519Verify: () => true });
    let refused = 0;
    for (const { key: text, flags } of cases) {
      const key = Buffer.from(text, 'hex');
      const certificate = { agentKey: key, streamKey: key, issuedMs: 0, signature: Buffer.alloc(64) };
      const isBad = (flags ?? []).some((flag) => flag === 'low_order_A' || flag === 'non_canonical_A');
      assert.equal(signatures.certified(Buffer.alloc(16), certificate) === undefined, isBad, text);
      if (isBad) refused += 1;
    }
    assert.ok(cases.length === 914 && refused > 500, `${refused} of ${cases.length}`);
  });
});
