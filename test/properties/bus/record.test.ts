/** Key, partition, lines and headers of a bus record. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import {
  encodeEventRecord,
  murmur2,
  partitionFor,
  readRecordHeaders,
  recordKey,
  splitLines,
  tickMessage,
} from '../../../schemas/bus/record.ts';
import { isTriplineError } from '../../../schemas/errors.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const STREAM = '00112233445566778899aabbccddeeff';

test('murmur2 equals the vectors of Kafka (UtilsTest.testMurmur2, org.apache.kafka.common.utils)', () => {
  const vectors: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [text, expected] of vectors) assert.equal(murmur2(utf8(text)), expected, text);
});

test('the partition equals that of kafkajs DefaultPartitioner for every key', () => {
  const theirs = kafkajs.Partitioners.DefaultPartitioner();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 4096 }), (key, count) => {
      fc.pre(key.length > 0);
      const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({
        partitionErrorCode: 0,
        partitionId,
        leader: 1,
        replicas: [1],
        isr: [1],
      }));
      const expected = theirs({
        topic: 't',
        partitionMetadata,
        message: { key: Buffer.from(key), value: null },
      });
      assert.equal(partitionFor(key, count), expected);
      // A view in the middle of a larger buffer hashes alike.
      const inside = new Uint8Array(key.length + 7);
      inside.set(key, 3);
      assert.equal(partitionFor(inside.subarray(3, 3 + key.length), count), expected);
    }),
    { numRuns: 500 },
  );
});

test('lines come back as they went in', () => {
  const line = fc.uint8Array({ minLength: 1, maxLength: 50 }).filter((bytes) => !bytes.includes(10));
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 64 }), (lines) => {
      const record = encodeEventRecord({
        tenant: 'acme',
        session: 's',
        stream: STREAM,
        firstSeq: 7,
        lines,
      });
      assert.deepEqual(
        splitLines(record.value).map((bytes) => Buffer.from(bytes)),
        lines.map((bytes) => Buffer.from(bytes)),
      );
    }),
  );
});

test('a final LF starts no line; an empty line keeps its number', () => {
  const text = (value: string): string[] =>
    splitLines(utf8(value)).map((bytes) => new TextDecoder().decode(bytes));
  assert.deepEqual(text(''), []);
  assert.deepEqual(text('a'), ['a']);
  assert.deepEqual(text('a\n'), ['a']);
  assert.deepEqual(text('a\n\nb\n'), ['a', '', 'b']);
  assert.deepEqual(text('\n'), ['']);
});

test('the key is tenant, NUL, entity', () => {
  assert.equal(Buffer.from(recordKey('acme', 'sé')).toString('hex'), '61636d650073c3a9');
});

test('a record over 64 lines or 768 KiB is refused, and so is a line that would read back as two', () => {
  const encode = (lines: Uint8Array[]): unknown =>
    encodeEventRecord({ tenant: 'acme', session: 's', stream: STREAM, firstSeq: 0, lines });
  const code = (wanted: 'bus_record_too_large' | 'event_invalid') => (error: unknown) =>
    isTriplineError(error, wanted);
  assert.throws(() => encode(Array.from({ length: 65 }, () => utf8('x'))), code('bus_record_too_large'));
  assert.throws(() => encode([new Uint8Array(786_433).fill(97)]), code('bus_record_too_large'));
  assert.doesNotThrow(() => encode([new Uint8Array(786_432).fill(97)]));
  // 393,216 + LF + 393,216 = one byte over.
  const half = new Uint8Array(393_216).fill(97);
  assert.throws(() => encode([half, half]), code('bus_record_too_large'));
  assert.throws(() => encode([]), code('event_invalid'));
  assert.throws(() => encode([utf8('')]), code('event_invalid'));
  assert.throws(() => encode([utf8('a\nb')]), code('event_invalid'));
});

test('headers are read into typed fields', () => {
  const prev = 'ab'.repeat(32);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const { headers } = encodeEventRecord({
    tenant: 'acme',
    session: 's',
    stream: STREAM,
    firstSeq: 12,
    prev,
    traceparent,
    lines: [utf8('{}')],
  });
  assert.deepEqual(readRecordHeaders(headers), {
    kind: 'events',
    tenant: 'acme',
    stream: STREAM,
    firstSeq: 12,
    prev,
    traceparent,
    batchSignature: undefined,
  });
  assert.deepEqual(readRecordHeaders(tickMessage().headers), { kind: 'tick' });
  assert.equal(tickMessage().value.length, 0);
});

test('headers that anybody wrote are unreadable with the name of the first wrong one', () => {
  const good = { format: 'events/1', tenant: 'acme', stream: STREAM, 'first-seq': '0' };
  const path = (change: Record<string, string>): string => {
    const read = readRecordHeaders({ ...good, ...change });
    return read.kind === 'unreadable' ? read.path : read.kind;
  };
  assert.equal(path({}), 'events');
  assert.equal(path({ format: 'events/2' }), 'headers.format');
  assert.equal(path({ tenant: 'a\nb' }), 'headers.tenant');
  assert.equal(path({ tenant: '' }), 'headers.tenant');
  assert.equal(path({ stream: STREAM.toUpperCase() }), 'headers.stream');
  assert.equal(path({ 'first-seq': '-1' }), 'headers.first-seq');
  assert.equal(path({ 'first-seq': '1e3' }), 'headers.first-seq');
  assert.equal(path({ 'first-seq': '9007199254740992' }), 'headers.first-seq');
  assert.equal(path({ prev: 'zz' }), 'headers.prev');
  assert.equal(path({ traceparent: 'nonsense' }), 'events');
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), (headers) => {
      readRecordHeaders(headers);
    }),
  );
});
