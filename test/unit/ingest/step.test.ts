import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { HEADERS } from '../../../schemas/topics.ts';
import { ingest, type IngestTools } from '../../../services/ingest/step.ts';
import { StreamMemories } from '../../../services/ingest/stream-memory.ts';

const STREAM = 'ab'.repeat(16);
const ZERO = '00'.repeat(32);

const line = (seq: number): string =>
  `{"v":1,"kind":"call.intent","stream":"${STREAM}","seq":${seq},"nonce":"${'cd'.repeat(16)}","time":"2026-11-23T12:00:00.000Z","session":"s","agent":"a","callId":"c${seq}","tool":"t"}`;

/** The chain of tamper-evident streams by its definition. */
function chain(seq: number, prev: string, text: string): string {
  const numbers = Buffer.alloc(12);
  numbers.writeBigUInt64BE(BigInt(seq));
  numbers.writeUInt32BE(Buffer.byteLength(text), 8);
  return createHash('sha256')
    .update('tripline/event/v1\0')
    .update(Buffer.from(STREAM, 'hex'))
    .update(numbers.subarray(0, 8))
    .update(Buffer.from(prev, 'hex'))
    .update(numbers.subarray(8))
    .update(text)
    .digest('hex');
}

function hashAfter(lines: readonly string[]): string {
  return lines.reduce((prev, text, seq) => chain(seq, prev, text), ZERO);
}

const tools = (): IngestTools => ({
  memories: new StreamMemories(),
  sha256: (bytes) => createHash('sha256').update(bytes).digest(),
  randomBytes: () => new Uint8Array(16),
  partitionCount: 4,
});
const lines = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => line(from + at));
const send = (tool: IngestTools, texts: readonly string[], more: { tenant?: string; prev?: string } = {}) =>
  ingest(
    { tenant: 'acme', body: Buffer.from(texts.join('\n')), form: 'ndjson', strict: false, ...more },
    tool,
  );
const headers = (outcome: ReturnType<typeof ingest>) =>
  outcome.records.map(({ message }) => [message.headers[HEADERS.firstSeq], message.headers[HEADERS.prev]]);

test('records hold at most 64 lines; each names the event hash before it, also over requests', () => {
  const tool = tools();
  const all = lines(0, 140);
  assert.deepEqual(headers(send(tool, all.slice(0, 130))), [
    ['0', ZERO],
    ['64', hashAfter(all.slice(0, 64))],
    ['128', hashAfter(all.slice(0, 128))],
  ]);
  assert.deepEqual(headers(send(tool, all.slice(130))), [['130', hashAfter(all.slice(0, 130))]]);
});

test('the middle of an unknown stream has no hash before it, unless the producer names it', () => {
  assert.deepEqual(headers(send(tools(), lines(5, 7))), [['5', undefined]]);
  const prev = 'ef'.repeat(32);
  assert.deepEqual(headers(send(tools(), lines(5, 7), { prev })), [['5', prev]]);
});

test('only what is durable is a duplicate, and only of the same tenant', () => {
  const tool = tools();
  const first = send(tool, lines(0, 3));
  assert.equal(send(tool, lines(0, 3)).accepted, 3);
  for (const { stream, firstSeq, fingerprints } of first.records)
    tool.memories.of('acme', stream).markDurable(firstSeq, fingerprints);
  const again = send(tool, lines(0, 4));
  assert.deepEqual([again.accepted, again.duplicates], [1, 3]);
  assert.equal(send(tool, lines(0, 3), { tenant: 'other' }).duplicates, 0);
});
