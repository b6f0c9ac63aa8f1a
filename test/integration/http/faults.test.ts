/** What the door answers to requests that are no good, whoever finds that out: the parser, the router, the store. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { storeFault } from '../../../services/platform/store/faults.ts';
import { startService, TOKENS, type Service } from './service.ts';

let service: Service;
before(async () => {
  service = await startService();
});
after(async () => await service.stop());

interface Fault {
  readonly error: { readonly code: string; readonly message: string; readonly path: string | null };
}

const get = async (url: string) =>
  await service.http.inject({
    method: 'GET',
    url,
    headers: { host: 'localhost', authorization: `Bearer ${TOKENS.analystA}` },
  });

/** All that the door says to these bytes. */
async function speak(bytes: string): Promise<{ readonly status: string; readonly body: string }> {
  const address = service.http.server.address();
  assert.ok(address !== null && typeof address === 'object');
  const socket = connect(address.port, '127.0.0.1');
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  socket.on('error', () => undefined); // A reset behind the answer is no matter.
  socket.write(bytes);
  await once(socket, 'close');
  const [head = '', body = ''] = said.split('\r\n\r\n');
  return { status: head.split('\r\n')[0] ?? '', body };
}

const BROKEN: readonly (readonly [name: string, bytes: string, status: RegExp])[] = [
  ['no HTTP at all', 'hello\r\n\r\n', /^HTTP\/1.1 400 /],
  ['a header of 20 kB', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, / 431 /],
  [
    'two lengths of one body',
    'POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    / 400 /,
  ],
];
for (const [name, bytes, status] of BROKEN) {
  test(`${name}: refused in the shape of all errors`, async () => {
    const answer = await speak(bytes);
    assert.match(answer.status, status);
    assert.deepEqual(JSON.parse(answer.body), {
      error: {
        code: 'request_invalid',
        message: 'A parameter or field of the request is wrong.',
        path: null,
        retryable: false,
      },
    });
  });
}

test('a session whose name is as long as names may be is looked up, a longer one is refused', async () => {
  assert.equal((await get(`/v1/sessions/${'%2F'.repeat(256)}`)).statusCode, 404);
  const longer = await get(`/v1/sessions/${'x'.repeat(257)}`);
  assert.equal(longer.statusCode, 400);
  assert.equal(longer.json<Fault>().error.path, 'id');
});

test('a made-up cursor is refused, whatever numbers it holds', async () => {
  for (const key of [
    [0, 'x', -1, 0, 0],
    [0, 'x', 2 ** 32, 0, 0],
    [0, 'x', 0, -1, 0],
    [0, 'x', 0, 0, 70_000],
  ]) {
    const cursor = Buffer.from(JSON.stringify(key)).toString('base64url');
    const answer = await get(`/v1/events?cursor=${cursor}`);
    assert.equal(answer.statusCode, 400);
    assert.equal(answer.json<Fault>().error.path, 'cursor');
  }
});

for (const url of ['/v1/events', '/v1/sessions', '/v1/alerts', '/v1/controls', '/v1/ledger'])
  test(`${url}: a filter that does not exist is refused, not passed over`, async () => {
    const answer = await get(`${url}?tenat=b`);
    assert.equal(answer.statusCode, 400);
    assert.equal(answer.json<Fault>().error.code, 'request_invalid');
  });

test('what the store says of a query stays inside', async (context) => {
  context.mock.method(service.context.store, 'query', () => {
    throw storeFault(62, 'Syntax error: SELECT secret FROM tripline.payloads');
  });
  const answer = await get('/v1/events');
  assert.equal(answer.statusCode, 500);
  const { error } = answer.json<Fault>();
  assert.equal(error.code, 'store_query_failed');
  assert.doesNotMatch(error.message, /SELECT|payloads/);
});
