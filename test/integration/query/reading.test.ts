import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { splitLines } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { TOKENS, type Service } from '../http/service.ts';
import { startRecordedService } from './recorded.ts';

let service: Service;
before(async () => {
  service = await startRecordedService();
  await send(TOKENS.producerA, SESSION);
  await send(TOKENS.producerB, SESSION);
  await until(async () => (await events('adminAll', '')).items.length === 6);
});
after(() => service.stop());

const STREAM = 'ab'.repeat(16);
const SESSION = 'session-1';
const HOSTILE = "'; DROP TABLE events; -- <script>";
type Item = Readonly<Record<string, unknown>>;
interface Page {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

const line = (seq: number, fields: Item): string =>
  JSON.stringify({
    v: 1,
    stream: STREAM,
    seq,
    nonce: 'cd'.repeat(16),
    time: `2026-01-31T12:00:0${seq}.000Z`,
    agent: 'agent',
    session: SESSION,
    ...fields,
  });

async function send(token: string, session: string): Promise<void> {
  const call = { callId: 'c1', server: 'search', tool: HOSTILE, session };
  const lines = [
    line(0, { kind: 'call.intent', ...call, args: { q: HOSTILE } }),
    line(1, { kind: 'call.result', ...call, outcome: 'ok', durationMs: 7 }),
    line(2, { kind: 'decision', session, decision: { rationale: 'because' } }),
  ];
  const response = await service.http.inject({
    method: 'POST',
    url: '/v1/events',
    headers: { host: 'localhost', authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
    payload: lines.join('\n'),
  });
  assert.equal(response.statusCode, 202);
}

async function get<Answer>(who: keyof typeof TOKENS, url: string): Promise<Answer> {
  const headers = { host: 'localhost', authorization: `Bearer ${TOKENS[who]}` };
  const response = await service.http.inject({ method: 'GET', url, headers });
  assert.equal(response.statusCode, 200, response.body);
  return response.json<Answer>();
}
const events = (who: keyof typeof TOKENS, query: string): Promise<Page> =>
  get<Page>(who, `/v1/events${query}`);

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error('did not come about in 20 s');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('events: newest first, page by page without gap or repeat, one tenant only', async () => {
  const seen: unknown[] = [];
  let cursor = '';
  do {
    const page = await events('analystA', `?limit=1${cursor}`);
    seen.push(...page.items.map((item) => item['seq']));
    assert.ok(page.items.every((item) => item['tenant'] === 'a'));
    cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
  } while (cursor !== '');
  assert.deepEqual(seen, [2, 1, 0]);
});

test('events: a hostile value is a value, in filters as in rows', async () => {
  const found = await events('analystA', `?tool=${encodeURIComponent(HOSTILE)}&kind=call.intent`);
  assert.deepEqual(
    found.items.map((item) => item['tool']),
    [HOSTILE],
  );
  assert.equal((await events('analystB', '')).items.length, 3);
});

test('one event comes with its exact bytes and its place in the ledger', async () => {
  const item = await get<Item>('analystA', `/v1/events/${STREAM}-2`);
  assert.equal(
    Buffer.from(String(item['bytesBase64']), 'base64').toString('utf8'),
    line(2, { kind: 'decision', session: SESSION, decision: { rationale: 'because' } }),
  );
});

test('a session is a timeline: the intent with its result, decisions with their words', async () => {
  const { items } = await get<Page>('analystA', '/v1/sessions');
  assert.deepEqual(
    items.map(({ session, calls, refused, alerts }) => ({ session, calls, refused, alerts })),
    [{ session: SESSION, calls: 1, refused: 0, alerts: 0 }],
  );
  const session = await get<{ calls: readonly Item[]; decisions: readonly Item[] }>(
    'analystA',
    `/v1/sessions/${SESSION}`,
  );
  assert.equal(session.calls.length, 1);
  assert.deepEqual(
    { intent: session.calls[0]?.['intentId'], result: session.calls[0]?.['resultId'] },
    { intent: `${STREAM}-0`, result: `${STREAM}-1` },
  );
  assert.equal(session.calls[0]?.['durationMs'], 7);
  assert.deepEqual(session.decisions[0]?.['decision'], { rationale: 'because' });
});

const READS = [
  '/v1/events',
  `/v1/events/${STREAM}-2`,
  '/v1/sessions',
  `/v1/sessions/${SESSION}`,
  '/v1/ledger',
  '/v1/ledger/export',
];
for (const url of READS)
  test(`GET ${url}: rows of tenant a are there for its admin, none of them for that of tenant b`, async () => {
    const read = async (who: 'adminA' | 'adminB'): Promise<string> => {
      const headers = { host: 'localhost', authorization: `Bearer ${TOKENS[who]}` };
      const { statusCode, body } = await service.http.inject({ method: 'GET', url, headers });
      assert.equal(statusCode, 200, body);
      return body;
    };
    assert.match(await read('adminA'), /"tenant":"a"/);
    const shown = await read('adminB');
    assert.match(shown, /"tenant":"b"/);
    assert.doesNotMatch(shown, /"tenant":"a"/);
  });

test('each read makes exactly one audit event, in the tenant that was read', async () => {
  const earlier = await reads();
  await events('analystA', '');
  await get<Page>('analystA', '/v1/alerts');
  const now = await reads();
  assert.equal(now.length - earlier.length, 2);
  assert.deepEqual(
    now.slice(-2).map(({ audit }) => [audit['action'], audit['actor'], audit['target']]),
    [
      ['read', 'analystA', '/v1/events'],
      ['read', 'analystA', '/v1/alerts'],
    ],
  );
});

async function reads(): Promise<{ readonly audit: Item }[]> {
  const found: { audit: Item }[] = [];
  for (const { partition } of await service.context.bus.offsets(TOPICS.audit.name))
    for await (const records of service.context.bus.read({ topic: TOPICS.audit.name, partition, from: 0 }))
      for (const record of records)
        if (record.value !== null && record.headers['tenant'] === 'a')
          for (const bytes of splitLines(record.value))
            found.push(JSON.parse(Buffer.from(bytes).toString('utf8')) as { audit: Item });
  return found;
}

test('a tail that is not read is told how much it missed, and costs no other one an event', async () => {
  const address = service.http.server.address();
  assert.ok(address !== null && typeof address === 'object');
  const follow = async (onMessage: (message: TailMessage) => void): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${address.port}/v1/tail?session=flood`, {
      headers: { authorization: `Bearer ${TOKENS.analystA}` },
    });
    socket.on('message', (data: Buffer) => onMessage(JSON.parse(data.toString('utf8')) as TailMessage));
    await once(socket, 'open');
    return socket;
  };
  const count = (messages: readonly TailMessage[]): { events: number; dropped: number } => ({
    events: messages.filter(({ type }) => type === 'event').length,
    dropped: messages.reduce((sum, message) => sum + (message.count ?? 0), 0),
  });
  const [quick, slow]: [TailMessage[], TailMessage[]] = [[], []];
  const sockets = [
    await follow((message) => quick.push(message)),
    await follow((message) => slow.push(message)),
  ];
  sockets[1]?.pause();
  // Well over what the kernel and the service hold for one connection.
  const EVENTS = 600;
  for (let seq = 0; seq < EVENTS; seq += BURST) {
    await flood(seq, BURST);
    await until(() => Promise.resolve(quick.length === seq + BURST));
  }
  sockets[1]?.resume();
  await until(() => Promise.resolve(count(slow).events + count(slow).dropped === EVENTS));
  assert.deepEqual(count(quick), { events: EVENTS, dropped: 0 });
  assert.ok(count(slow).dropped > 0);
  for (const socket of sockets) socket.terminate();
});

/** Events of 32 kB in one request. */
const BURST = 30;

interface TailMessage {
  readonly type: 'event' | 'dropped';
  readonly count?: number;
}

async function flood(firstSeq: number, count: number): Promise<void> {
  const fields = { kind: 'call.intent', callId: 'c', server: 's', tool: 't', session: 'flood' };
  const args = 'x'.repeat(32 * 1024);
  const lines = Array.from({ length: count }, (_, index) => {
    const event = JSON.parse(line(0, { ...fields, args })) as Item;
    return JSON.stringify({ ...event, stream: 'f1'.repeat(16), seq: firstSeq + index });
  });
  const response = await service.http.inject({
    method: 'POST',
    url: '/v1/events',
    headers: {
      host: 'localhost',
      authorization: `Bearer ${TOKENS.producerA}`,
      'content-type': 'application/x-ndjson',
    },
    payload: lines.join('\n'),
  });
  assert.equal(response.statusCode, 202);
}

test('the live tail shows what is appended, of the own tenant only, and takes a token as a browser sends it', async () => {
  const address = service.http.server.address();
  assert.ok(address !== null && typeof address === 'object');
  const socket = new WebSocket(`ws://127.0.0.1:${address.port}/v1/tail`, [
    'tripline.v1',
    `bearer.${TOKENS.analystB}`,
  ]);
  const messages: { tenant: string; event: Item; derived: Item }[] = [];
  socket.on('message', (data: Buffer) =>
    messages.push(JSON.parse(data.toString('utf8')) as (typeof messages)[0]),
  );
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  assert.equal(socket.protocol, 'tripline.v1');
  await send(TOKENS.producerA, 'of-a').catch(() => undefined);
  const fresh = line(0, {
    kind: 'call.intent',
    callId: 'c',
    server: 'web',
    tool: 'web_search',
    session: 'of-b',
  });
  await service.http.inject({
    method: 'POST',
    url: '/v1/events',
    headers: {
      host: 'localhost',
      authorization: `Bearer ${TOKENS.producerB}`,
      'content-type': 'application/json',
    },
    payload: fresh.replaceAll('ab', 'ba'),
  });
  await until(() => Promise.resolve(messages.length > 0));
  socket.close();
  assert.deepEqual(
    messages.map(({ tenant, event }) => [tenant, event['session']]),
    [['b', 'of-b']],
  );
  assert.equal(messages[0]?.derived['class'], 'search');
});
