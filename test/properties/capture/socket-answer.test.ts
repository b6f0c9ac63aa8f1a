/** Whatever is written of an answer, in whatever steps, Node's client reads it as it was given, and the next one behind it. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, it } from 'node:test';
import fc from 'fast-check';
import { SocketAnswer } from '../../../services/capture/gate/wire/socket-answer.ts';

const RUNS = 200;
const NO_ANSWER_MS = 2_000;
const END_OF_HEAD = '\r\n\r\n';

type Step = 'flush' | 'cork' | 'uncork' | Buffer;

interface Given {
  readonly status: number;
  readonly headers: readonly string[];
  /** The length is said before the body. */
  readonly isMeasured: boolean;
  readonly date: string | undefined;
  readonly steps: readonly Step[];
  readonly last: Buffer | undefined;
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some)),
  fc.constantFrom(Buffer.from('0\r\n\r\n'), Buffer.from('\r\n'), Buffer.alloc(200_000, 'x')),
);

const given: fc.Arbitrary<Given> = fc.record({
  status: fc.constantFrom(200, 202, 204, 304, 404, 502, 799),
  headers: fc.constantFrom(
    [],
    ['A', 'b'],
    ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'],
    ['X', '\xe4', 'Empty', ''],
  ),
  isMeasured: fc.boolean(),
  date: fc.constantFrom(undefined, 'Sun, 06 Nov 1994 08:49:37 GMT'),
  steps: fc.array(fc.oneof(bytes, fc.constantFrom('flush', 'cork', 'uncork')), { maxLength: 8 }),
  last: fc.option(bytes, { nil: undefined }),
});

const bodyOf = ({ steps, last }: Given): Buffer =>
  Buffer.concat([...steps.filter((step) => typeof step !== 'string'), ...(last === undefined ? [] : [last])]);

function write(
  answer: SocketAnswer,
  { status, headers, isMeasured, date, steps, last }: Given,
  length: number,
): void {
  answer.begin({ status, headers, date, length: isMeasured ? length : undefined });
  for (const step of steps) {
    if (typeof step !== 'string') answer.write(step);
    else answer[step]();
  }
  answer.end(last);
}

let connections = 0;
let planned: Given[] = [];

function serve(socket: Socket): void {
  connections++;
  socket.setNoDelay(true);
  let head = '';
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => {
    head += data.toString('latin1');
    const next = head.endsWith(END_OF_HEAD) ? planned.shift() : undefined;
    if (next === undefined) return;
    head = '';
    const answer = new SocketAnswer({
      socket,
      keepAliveMs: 60_000,
      nowMs: () => 0,
      onFinished: () => undefined,
    });
    write(answer, next, bodyOf(next).length);
  });
}

const server = createServer(serve);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

before(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
after(() => {
  agent.destroy();
  server.close();
});

interface Read {
  readonly status: number | undefined;
  readonly raw: readonly string[];
  readonly body: Buffer;
}

function ask(): Promise<Read> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, agent });
    request.setTimeout(NO_ANSWER_MS, () => request.destroy(new Error('no answer')));
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode, raw: response.rawHeaders, body: Buffer.concat(chunks) }),
      );
    });
    request.end();
  });
}

const STAYS = ['Connection', 'keep-alive', 'Keep-Alive', 'timeout=60'];

function assertSame(read: Read, expected: Given): void {
  const hasBody = expected.status !== 204 && expected.status !== 304;
  const body = hasBody ? bodyOf(expected) : Buffer.alloc(0);
  const framing = expected.isMeasured
    ? ['Content-Length', String(body.length)]
    : ['Transfer-Encoding', 'chunked'];
  assert.equal(read.status, expected.status);
  assert.deepEqual(read.raw, [
    ...expected.headers,
    ...STAYS,
    'Date',
    expected.date ?? 'Thu, 01 Jan 1970 00:00:00 GMT',
    ...(hasBody ? framing : []),
  ]);
  assert.ok(read.body.equals(body));
}

it('two answers of one connection', async () => {
  const property = fc.asyncProperty(fc.tuple(given, given), async (answers) => {
    planned = [...answers];
    for (const expected of answers) assertSame(await ask(), expected);
  });
  await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  assert.equal(connections, 1);
});
