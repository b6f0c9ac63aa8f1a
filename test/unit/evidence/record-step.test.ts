import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { ENTRY_TYPES } from '../../../services/evidence/entry.ts';
import { classMappingVersion } from '../../../services/evidence/projection.ts';
import type { BusRecord } from '../../../services/platform/bus/port.ts';
import { ed25519Verify, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { prepareRecord } from '../../../services/record/prepare.ts';
import type { BatchOutcome } from '../../../services/record/outcome.ts';
import { recordStep } from '../../../services/record/step.ts';

const STREAM = 'ab'.repeat(16);
const SETTINGS = {
  deployment: 'test',
  mapping: classMappingVersion({ mappings: [], internalHosts: [] }, sha256),
  sha256,
  ed25519Verify,
};
const TOPIC = TOPICS.toolcalls.name;

const line = (seq: number, more: Record<string, unknown> = {}): string =>
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
    tool: 't',
    ...more,
  });

/** The stream's chain by its definition, with another hash function of Node than the product uses. */
function chain(seq: number, prev: string, text: string): string {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(seq));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return createHash('sha256')
    .update(Buffer.concat([Buffer.from('tripline/event/v1\0'), Buffer.from(STREAM, 'hex'), head]))
    .update(Buffer.concat([Buffer.from(prev, 'hex'), length, bytes]))
    .digest('hex');
}

const ZERO = '00'.repeat(32);

interface Sent {
  readonly lines: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

function bus(sent: readonly Sent[]): BusRecord[] {
  return sent.map(({ lines, headers }, offset) => ({
    topic: TOPIC,
    partition: 0,
    offset,
    appendMs: Date.parse('2026-11-23T12:00:00.000Z'),
    key: null,
    value: Buffer.from(lines.join('\n')),
    headers: { [HEADERS.format]: 'events/1', [HEADERS.tenant]: 'acme', [HEADERS.stream]: STREAM, ...headers },
  }));
}

function enter(sent: readonly Sent[]): BatchOutcome {
  const before = { topic: TOPIC, partition: 0, nextOffset: 0, watermarkMs: 0, heads: new Map() };
  return recordStep(bus(sent).map(prepareRecord), before, new Map(), SETTINGS);
}

/** (type, seq, ev_hash) of each ledger row, read from the RowBinary by the widths of its columns. */
function entries(outcome: BatchOutcome): [number, number, string][] {
  const bytes = Buffer.from(outcome.tables.ledger.bytes());
  const found: [number, number, string][] = [];
  let at = 0;
  const text = (): number => (at += 1 + bytes.readUInt8(at));
  while (at < bytes.length) {
    const type = bytes.readUInt8(at + 40);
    at += 32 + 8 + 1 + 32 + 32;
    text();
    at += 4 + 8 + 2 + 8 + 16;
    const seq = Number(bytes.readBigUInt64LE(at));
    const hash = bytes.subarray(at + 8, at + 40).toString('hex');
    at += 8 + 32 + 32 + 1;
    text();
    text();
    found.push([type, seq, hash]);
  }
  return found;
}

const h0 = chain(0, ZERO, line(0));
const h1 = chain(1, h0, line(1));
const h2 = chain(2, h1, line(2));

test('lines of a record follow each other in the chain of their stream', () => {
  assert.deepEqual(entries(enter([{ lines: [line(0), line(1), line(2)] }])), [
    [ENTRY_TYPES.event, 0, h0],
    [ENTRY_TYPES.event, 1, h1],
    [ENTRY_TYPES.event, 2, h2],
  ]);
});

test('without a prev header the hash of seq - 1 is taken from the ledger', () => {
  assert.deepEqual(entries(enter([{ lines: [line(0)] }, { lines: [line(1)] }]))[1], [
    ENTRY_TYPES.event,
    1,
    h1,
  ]);
});

test('the same line again is counted and not entered, with and without its prev', () => {
  const outcome = enter([
    { lines: [line(0), line(1)] },
    { lines: [line(1)] },
    { lines: [line(1)], headers: { [HEADERS.prev]: h0 } },
    { lines: [line(1)], headers: { [HEADERS.prev]: ZERO } },
  ]);
  assert.equal(outcome.counts.entries, 2);
  assert.equal(outcome.counts.duplicates, 3);
});

test('a hole is a GAP at its first seq, and what fills it is LATE', () => {
  const h3 = chain(3, h2, line(3));
  const outcome = enter([
    { lines: [line(0)] },
    { lines: [line(3)], headers: { [HEADERS.prev]: h2 } },
    { lines: [line(2)], headers: { [HEADERS.prev]: h1 } },
    { lines: [line(1)] },
  ]);
  assert.deepEqual(entries(outcome), [
    [ENTRY_TYPES.event, 0, h0],
    [ENTRY_TYPES.gap, 1, ZERO],
    [ENTRY_TYPES.event, 3, h3],
    [ENTRY_TYPES.late, 2, h2],
    [ENTRY_TYPES.late, 1, h1],
  ]);
});

test('a stream that starts beyond 0 starts with a GAP at 0', () => {
  assert.deepEqual(
    entries(enter([{ lines: [line(5)] }])).map(([type, seq]) => [type, seq]),
    [
      [ENTRY_TYPES.gap, 0],
      [ENTRY_TYPES.event, 5],
    ],
  );
});

test('other bytes for a seq are an EQUIVOCATION with the second hash, once', () => {
  const other = line(1, { tool: 'other' });
  const outcome = enter([{ lines: [line(0), line(1)] }, { lines: [other] }, { lines: [other] }]);
  assert.deepEqual(entries(outcome)[2], [ENTRY_TYPES.equivocation, 1, chain(1, h0, other)]);
  assert.equal(outcome.counts.entries, 3);
  assert.equal(outcome.counts.duplicates, 1);
  assert.equal(outcome.tables.payloads.rows, 3);
});

test('a prev that contradicts the ledger is an EQUIVOCATION of seq - 1 without bytes, then the line over the claim', () => {
  const claimed = 'ee'.repeat(32);
  const sent = { lines: [line(2)], headers: { [HEADERS.prev]: claimed } };
  const outcome = enter([{ lines: [line(0), line(1)] }, sent, sent]);
  assert.deepEqual(entries(outcome).slice(2), [
    [ENTRY_TYPES.equivocation, 1, claimed],
    [ENTRY_TYPES.event, 2, chain(2, claimed, line(2))],
  ]);
  assert.equal(outcome.tables.payloads.rows, 3);
  assert.equal(outcome.counts.duplicates, 1);
});

test('open, heartbeat and close are types of their own', () => {
  const kinds = ['stream.open', 'stream.heartbeat', 'stream.close'].map((kind, seq) =>
    JSON.stringify({ ...JSON.parse(line(seq)), kind }),
  );
  assert.deepEqual(
    entries(enter([{ lines: kinds }])).map(([type]) => type),
    [ENTRY_TYPES.streamOpen, ENTRY_TYPES.streamHeartbeat, ENTRY_TYPES.streamClose],
  );
});

test('an unreadable line is a DEAD_LETTER in its place, and the chain goes on over it', () => {
  const broken = '{"v":1,';
  const outcome = enter([{ lines: [line(0), broken, line(2)], headers: { [HEADERS.firstSeq]: '0' } }]);
  const hb = chain(1, h0, broken);
  assert.deepEqual(entries(outcome), [
    [ENTRY_TYPES.event, 0, h0],
    [ENTRY_TYPES.deadLetter, 1, hb],
    [ENTRY_TYPES.event, 2, chain(2, hb, line(2))],
  ]);
  assert.equal(outcome.tables.dead_letters.rows, 1);
});

test('a record without tenant, of another format or without lines is one DEAD_LETTER', () => {
  for (const headers of [{ [HEADERS.tenant]: '' }, { [HEADERS.format]: 'events/9' }]) {
    const outcome = enter([{ lines: [line(0), line(1)], headers }]);
    assert.deepEqual(
      entries(outcome).map(([type]) => type),
      [ENTRY_TYPES.deadLetter],
    );
  }
  assert.equal(enter([{ lines: ['', '', ''] }]).counts.deadLetters, 1);
});

test('a line of another stream and lines beyond 64 are dead letters, not losses', () => {
  const foreign = line(1).replace(STREAM, '12'.repeat(16));
  assert.deepEqual(
    entries(enter([{ lines: [line(0), foreign] }])).map(([type]) => type),
    [ENTRY_TYPES.event, ENTRY_TYPES.deadLetter],
  );
  const many = Array.from({ length: 70 }, (_, seq) => line(seq));
  const outcome = enter([{ lines: many }]);
  assert.equal(outcome.counts.entries, 65);
  assert.equal(outcome.counts.deadLetters, 1);
});

test('a TICK moves watermark and offset and leaves no entry', () => {
  const [record] = bus([{ lines: [], headers: { [HEADERS.format]: 'tick' } }]);
  const before = { topic: TOPIC, partition: 0, nextOffset: 0, watermarkMs: 5, heads: new Map() };
  const outcome = recordStep([prepareRecord(record!)], before, new Map(), SETTINGS);
  assert.equal(outcome.counts.entries, 0);
  assert.equal(outcome.manifest.logs.length, 0);
  assert.deepEqual([outcome.state.nextOffset, outcome.state.watermarkMs], [1, record!.appendMs]);
});
