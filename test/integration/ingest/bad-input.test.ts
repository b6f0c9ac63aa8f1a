import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { splitLines } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { startService, TOKENS, type Service } from '../http/service.ts';

let service: Service;
before(async () => {
  service = await startService();
});
after(async () => await service.stop());

const hex = (text: string): string => Buffer.from(text).toString('hex').padEnd(32, '0').slice(0, 32);
const base = (stream: string, seq = 0) => ({
  v: 1,
  kind: 'call.intent',
  stream: hex(stream),
  seq,
  nonce: hex('nonce'),
  time: '2026-01-31T12:00:00.000Z',
  session: 's',
  agent: 'agent',
  callId: `c${seq}`,
  server: 'search',
  tool: 'web_search',
});

interface Answer {
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejected: readonly { index: number; code: string; path: string }[];
  readonly error?: { code: string };
}

async function post(body: string | Buffer, headers: Record<string, string> = {}) {
  const response = await service.http.inject({
    method: 'POST',
    url: '/v1/events',
    headers: {
      host: 'localhost',
      authorization: `Bearer ${TOKENS.producerA}`,
      'content-type': 'application/x-ndjson',
      ...headers,
    },
    payload: body,
  });
  return { status: response.statusCode, headers: response.headers, answer: response.json<Answer>() };
}

async function linesOf(topic: string): Promise<string[]> {
  const lines: string[] = [];
  for (const { partition } of await service.context.bus.offsets(topic))
    for await (const records of service.context.bus.read({ topic, partition, from: 0 }))
      for (const record of records)
        if (record.value !== null)
          lines.push(...splitLines(record.value).map((line) => Buffer.from(line).toString('utf8')));
  return lines;
}

const good = JSON.stringify(base('refusals'));
const REFUSED: readonly (readonly [name: string, line: string, code: string, path: string])[] = [
  ['malformed JSON', '{"v":1,', 'event_malformed_json', ''],
  ['not an object', '[1]', 'event_not_object', ''],
  ['10,000 deep', `{"args":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'event_too_deep', ''],
  ['a key twice', good.replace('"v":1', '"v":1,"v":1'), 'event_duplicate_key', ''],
  ['a key twice, escaped', good.replace('"v":1', '"v":1,"\\u0076":1'), 'event_duplicate_key', ''],
  ['tenant in the line', good.replace('"v":1', '"v":1,"tenant":"b"'), 'event_forbidden_field', 'tenant'],
  ['wrong type', good.replace('"seq":0', '"seq":"0"'), 'event_invalid', 'seq'],
  [
    'line over the limit',
    good.replace('"v":1', `"v":1,"args":"${'x'.repeat(600_000)}"`),
    'event_too_large',
    '',
  ],
];
for (const [name, line, code, path] of REFUSED) {
  test(`${name}: refused with ${code}, the bytes are in the dead letters`, async () => {
    const earlier = (await linesOf(TOPICS.deadletters.name)).length;
    const { status, answer } = await post(line);
    assert.equal(status, 400);
    assert.deepEqual(
      answer.rejected.map((item) => [item.index, item.code, item.path]),
      [[0, code, path]],
    );
    const letters = await linesOf(TOPICS.deadletters.name);
    assert.equal(letters.length, earlier + 1);
    const kept = letters
      .map(
        (letter) =>
          JSON.parse(letter) as { deadLetter: { code: string; rawBase64: string; rawBytes: number } },
      )
      .find(({ deadLetter }) => deadLetter.rawBytes === Buffer.byteLength(line) && deadLetter.code === code);
    assert.ok(kept);
    const raw = Buffer.from(kept.deadLetter.rawBase64, 'base64');
    assert.deepEqual(raw, Buffer.from(line).subarray(0, raw.length));
  });
}

test('whole bodies: each wrong one has its own answer', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20));
  assert.equal((await post(bomb, { 'content-encoding': 'gzip' })).status, 413);
  assert.equal((await post(Buffer.alloc(10 * 1024 * 1024, 0x20))).status, 413);
  assert.equal((await post('not gzip', { 'content-encoding': 'gzip' })).answer.error?.code, 'body_malformed');
  assert.equal((await post(good, { 'content-encoding': 'br' })).status, 415);
  assert.equal((await post(good, { 'content-type': 'text/plain' })).status, 415);
  const empty = await post('\n\n \n');
  assert.equal(empty.status, 400);
  assert.equal(empty.answer.error?.code, 'body_empty');
});

test('one wrong line does not cost the others, and a blank one is nothing', async () => {
  const lines = [JSON.stringify(base('mixed', 0)), '', '{', JSON.stringify(base('mixed', 1))];
  const { status, answer } = await post(lines.join('\n'));
  assert.equal(status, 202);
  assert.equal(answer.accepted, 2);
  assert.equal(answer.rejected.length, 1);
});

test('a delivery repeated byte for byte is a duplicate; other bytes at its place are sent on', async () => {
  const line = JSON.stringify(base('twice'));
  assert.deepEqual((await post(line)).answer, { accepted: 1, duplicates: 0, rejected: [] });
  assert.deepEqual((await post(line)).answer, { accepted: 0, duplicates: 1, rejected: [] });
  assert.equal((await post(line.replace('web_search', 'other_tool'))).answer.accepted, 1);
  const sent = (await linesOf(TOPICS.toolcalls.name)).filter((found) => found.includes(hex('twice')));
  assert.equal(sent.length, 2);
});

test('lines with a stream stay byte for byte; a raw line break in an array element becomes a blank', async () => {
  const odd = JSON.stringify(base('bytes')).replace('"v":1', '"v" : 1.0e0').replace('agent"', '\\u0061gent"');
  const other = JSON.stringify(base('breaks')).replace('"v":1,', '"v":1,\n');
  assert.equal((await post(`${odd}\n`)).status, 202);
  assert.equal((await post(`[ ${other} ]`, { 'content-type': 'application/json' })).status, 202);
  const sent = await linesOf(TOPICS.toolcalls.name);
  assert.ok(sent.includes(odd));
  assert.ok(sent.includes(other.replace('\n', ' ')));
});

test('without a stream: it is spliced in front of the own bytes; the same Idempotency-Key is a duplicate', async () => {
  const { stream: _stream, seq: _seq, nonce: _nonce, ...rest } = base('none');
  const line = JSON.stringify({ ...rest, args: { sql: "'; DROP TABLE events; --" } });
  const key = { 'idempotency-key': 'order-1' };
  assert.equal((await post(line, key)).answer.accepted, 1);
  assert.equal((await post(line, key)).answer.duplicates, 1);
  const sent = (await linesOf(TOPICS.toolcalls.name)).filter((found) => found.endsWith(line.slice(1)));
  assert.equal(sent.length, 1);
  assert.match(sent[0] ?? '', /^\{"stream":"[0-9a-f]{32}","seq":0,"nonce":"[0-9a-f]{32}",/);
});
