/** POST /v1/alerts/:id/disposition: who may, what it leaves behind, and what it answers to what is no good. */
import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { alertLine } from '../../../detectors/engine/alert.ts';
import { encodeEventRecord, splitLines } from '../../../schemas/bus/record.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { TOKENS, type Service } from '../http/service.ts';
import { startRecordedService } from './recorded.ts';

type Who = keyof typeof TOKENS;
type Item = Readonly<Record<string, unknown>>;

const ALERT_OF = { a: 'a1'.repeat(32), b: 'b1'.repeat(32) } as const;
const RULE = 'chain.test';

let service: Service;
before(async () => {
  service = await startRecordedService();
  await tell('a');
  await tell('b');
  await until(async () => (await alerts('adminAll')).length === 2);
});
after(() => service.stop());

async function tell(tenant: keyof typeof ALERT_OF): Promise<void> {
  const call = { step: 'post', topic: TOPICS.toolcalls.name, partition: 0, offset: 0, line: 0 };
  const line = alertLine({
    id: ALERT_OF[tenant],
    ruleId: RULE,
    ruleHash: '12'.repeat(32),
    title: 'A chain',
    level: 'high',
    mode: 'alert',
    tags: [],
    scope: 'session',
    key: { session: 's' },
    timeBasis: 'event',
    calls: [{ ...call, eventId: 'e', time: '2026-01-31T12:00:00.000Z', session: 's', agent: 'bot' }],
    summary: 'A chain was seen.',
  });
  const lines = [Buffer.from(JSON.stringify(line))];
  const record = encodeEventRecord({ tenant, session: 's', stream: line.stream, firstSeq: 0, lines });
  await service.context.producer.send(TOPICS.alerts.name, 0, [record]);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error('did not come about in 20 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function alerts(who: Who, query = ''): Promise<readonly Item[]> {
  const headers = { host: 'localhost', authorization: `Bearer ${TOKENS[who]}` };
  const response = await service.http.inject({ method: 'GET', url: `/v1/alerts${query}`, headers });
  assert.equal(response.statusCode, 200, response.body);
  return response.json<{ items: readonly Item[] }>().items;
}

const GOOD = { disposition: 'false_positive', reason: 'the host is our own mirror' };

async function say(
  who: Who,
  id: string,
  { body = GOOD, query = '' }: { body?: unknown; query?: string } = {},
) {
  const headers = {
    host: 'localhost',
    authorization: `Bearer ${TOKENS[who]}`,
    'content-type': 'application/json',
  };
  const url = `/v1/alerts/${id}/disposition${query}`;
  return await service.http.inject({ method: 'POST', url, headers, payload: JSON.stringify(body) });
}

interface Audited {
  readonly tenant: string;
  readonly audit: Item;
}

/** All audit events of the action, in order. */
async function audited(): Promise<readonly Audited[]> {
  const found: Audited[] = [];
  const { bus } = service.context;
  for (const { partition } of await bus.offsets(TOPICS.audit.name))
    for await (const records of bus.read({ topic: TOPICS.audit.name, partition, from: 0 }))
      for (const { value, headers } of records)
        for (const bytes of value === null ? [] : splitLines(value)) {
          const { audit } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { audit: Item };
          if (audit['action'] === 'alert.disposition')
            found.push({ tenant: String(headers['tenant']), audit });
        }
  return found;
}

/** Events that `act` adds. */
async function added(act: () => Promise<unknown>): Promise<readonly Audited[]> {
  const earlier = (await audited()).length;
  await act();
  return (await audited()).slice(earlier);
}

const VALUES = ['true_positive', 'benign_true_positive', 'false_positive', 'undetermined'];

test('each value is one audit event, is listed, and the latest one counts', async () => {
  for (const value of VALUES) {
    const events = await added(async () => {
      const response = await say('analystA', ALERT_OF.a, {
        body: { disposition: value, reason: ` ${value} ` },
      });
      assert.equal(response.statusCode, 200, response.body);
      assert.deepEqual(response.json(), {
        id: ALERT_OF.a,
        tenant: 'a',
        ruleId: RULE,
        disposition: { value, reason: value, actor: 'analystA' },
      });
    });
    assert.deepEqual(events, [
      {
        tenant: 'a',
        audit: {
          action: 'alert.disposition',
          actor: 'analystA',
          role: 'analyst',
          target: ALERT_OF.a,
          reason: value,
          outcome: 'ok',
          details: { disposition: value, rule: RULE },
        },
      },
    ]);
    await until(async () => (await alerts('analystA', `?disposition=${value}`)).length === 1);
  }
  const [item = {}] = await alerts('auditorA');
  const { time, ...rest } = item['disposition'] as Item;
  assert.deepEqual(rest, { value: 'undetermined', reason: 'undetermined', actor: 'analystA' });
  assert.ok(Math.abs(Date.now() - Date.parse(String(time))) < 60_000, String(time));
  assert.deepEqual(await alerts('analystA', '?disposition=none'), []);
});

test('each change was recorded as one row', async () => {
  const rows = await service.context.store.query('SELECT count() AS n FROM dispositions');
  assert.deepEqual(rows, [{ n: '4' }]);
});

test('an alert of another tenant does not exist, and nothing is on record of it', async () => {
  const events = await added(async () => {
    for (const [who, id] of [
      ['analystB', ALERT_OF.a],
      ['adminB', ALERT_OF.a],
      ['responderA', ALERT_OF.b],
      ['adminAll', 'c1'.repeat(32)],
      ['analystA', "' OR 1=1 --"],
    ] as const) {
      const response = await say(who, encodeURIComponent(id));
      assert.deepEqual([who, response.statusCode], [who, 404]);
      assert.equal(response.json<{ error: { code: string } }>().error.code, 'not_found');
    }
  });
  assert.deepEqual(events, []);
  assert.deepEqual(
    (await alerts('analystB')).map((item) => item['disposition']),
    [null],
  );
});

test('who reaches into another tenant is refused, and that is on record in the own one', async () => {
  const events = await added(async () => {
    assert.equal((await say('responderB', ALERT_OF.a, { query: '?tenant=a' })).statusCode, 403);
  });
  assert.deepEqual(
    events.map(({ tenant, audit }) => [tenant, audit['actor'], audit['outcome'], audit['target']]),
    [['b', 'responderB', 'denied', ALERT_OF.a]],
  );
});

test('who sees all tenants writes to the one of the alert', async () => {
  const events = await added(async () => {
    assert.equal((await say('adminAll', ALERT_OF.b)).statusCode, 200);
    assert.equal((await say('adminAll', ALERT_OF.b, { query: '?tenant=a' })).statusCode, 404);
  });
  assert.deepEqual(
    events.map(({ tenant, audit }) => [tenant, audit['actor']]),
    [['b', 'adminAll']],
  );
  await until(async () => (await alerts('analystB', '?disposition=false_positive')).length === 1);
});

/** Body, and the field that the answer names. */
const FAULTY: readonly (readonly [unknown, string])[] = [
  [{ reason: 'x' }, 'disposition'],
  [{ disposition: 'fine', reason: 'x' }, 'disposition'],
  [{ disposition: 'true_positive' }, 'reason'],
  [{ disposition: 'true_positive', reason: '' }, 'reason'],
  [{ disposition: 'true_positive', reason: '   ' }, 'reason'],
  [{ disposition: 'true_positive', reason: 'x'.repeat(1025) }, 'reason'],
  [{ disposition: 'true_positive', reason: 7 }, 'reason'],
  [{ ...GOOD, tenant: 'b' }, 'tenant'],
  [[GOOD], ''],
];

test('a body that is no good is refused by the name of its field, and nothing is on record', async () => {
  const events = await added(async () => {
    for (const [body, path] of FAULTY) {
      const response = await say('analystA', ALERT_OF.a, { body });
      const { error } = response.json<{ error: { code: string; path: string } }>();
      assert.deepEqual([response.statusCode, error.code, error.path], [400, 'request_invalid', path]);
    }
    const limit = { disposition: 'undetermined', reason: 'x'.repeat(1024) };
    assert.equal((await say('analystA', ALERT_OF.a, { body: limit })).statusCode, 200);
  });
  assert.equal(events.length, 1);
  const headers = { host: 'localhost', authorization: `Bearer ${TOKENS.analystA}` };
  const filtered = await service.http.inject({ url: '/v1/alerts?disposition=maybe', headers });
  assert.deepEqual(
    [filtered.statusCode, filtered.json<{ error: { path: string } }>().error.path],
    [400, 'disposition'],
  );
});

test('a change that cannot be put on record is not answered as done', async () => {
  mock.method(service.context.audit, 'record', () => Promise.reject(new TriplineError('bus_unavailable')), {
    times: 1,
  });
  const refused = await say('analystA', ALERT_OF.a);
  assert.deepEqual([refused.statusCode, refused.headers['retry-after']], [503, '1']);
});
