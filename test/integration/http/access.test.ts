import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { routesOf } from '../../../services/platform/http/build.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { startService, TOKENS, type Service } from './service.ts';

let service: Service;
before(async () => {
  service = await startService();
});
after(async () => await service.stop());

type Who = keyof typeof TOKENS;
const EVERYBODY = Object.keys(TOKENS) as Who[];
const READERS: readonly Who[] = [
  ...(['analystA', 'responderA', 'auditorA', 'adminA'] as const),
  ...(['analystB', 'responderB', 'auditorB', 'adminB'] as const),
  ...(['auditorAll', 'adminAll'] as const),
];
const AUDITORS: readonly Who[] = ['auditorA', 'adminA', 'auditorB', 'adminB', 'auditorAll', 'adminAll'];
const RESPONDERS: readonly Who[] = ['responderA', 'adminA', 'responderB', 'adminB', 'adminAll'];
const ANALYSTS: readonly Who[] = ['analystA', 'analystB', ...RESPONDERS];
const ADMINS: readonly Who[] = ['adminA', 'adminB', 'adminAll'];
const PRODUCERS: readonly Who[] = ['producerA', 'adminA', 'producerB', 'adminB', 'adminAll'];

/** `asked`: the request says which tenant it is about. `own`: it is about the tenant of its token, nothing else can be said. */
interface Row {
  readonly allowed: readonly Who[];
  readonly tenant: 'asked' | 'own';
}

/** The role powers of the design, written down by hand: who gets past the door, route by route. */
const TABLE: Readonly<Record<string, Row>> = {
  'POST /v1/events': { allowed: PRODUCERS, tenant: 'own' },
  'POST /v1/traces': { allowed: PRODUCERS, tenant: 'own' },
  'POST /v1/logs': { allowed: PRODUCERS, tenant: 'own' },
  'GET /v1/events': { allowed: READERS, tenant: 'asked' },
  'GET /v1/events/:id': { allowed: READERS, tenant: 'asked' },
  'GET /v1/sessions': { allowed: READERS, tenant: 'asked' },
  'GET /v1/sessions/:id': { allowed: READERS, tenant: 'asked' },
  'GET /v1/alerts': { allowed: READERS, tenant: 'asked' },
  'POST /v1/alerts/:id/disposition': { allowed: ANALYSTS, tenant: 'asked' },
  'GET /v1/tail': { allowed: READERS, tenant: 'asked' },
  'GET /v1/ledger': { allowed: READERS, tenant: 'asked' },
  'GET /v1/ledger/export': { allowed: AUDITORS, tenant: 'asked' },
  // The root log shows no event, and is one for all tenants.
  'GET /v1/log/root/checkpoint': { allowed: READERS, tenant: 'own' },
  'GET /v1/log/root/latest': { allowed: READERS, tenant: 'own' },
  'GET /v1/log/root/vkey': { allowed: READERS, tenant: 'own' },
  'GET /v1/log/root/tile/*': { allowed: READERS, tenant: 'own' },
  'GET /v1/log/:log/checkpoint': { allowed: READERS, tenant: 'own' },
  'GET /v1/log/:log/tile/*': { allowed: READERS, tenant: 'own' },
  'POST /v1/ledger/calls': { allowed: AUDITORS, tenant: 'asked' },
  'GET /v1/controls': { allowed: EVERYBODY, tenant: 'asked' },
  'GET /v1/controls/stream': { allowed: EVERYBODY, tenant: 'own' },
  'POST /v1/controls': { allowed: RESPONDERS, tenant: 'asked' },
  'POST /v1/controls/:id/lift': { allowed: RESPONDERS, tenant: 'own' },
  'GET /v1/approvals': { allowed: READERS, tenant: 'asked' },
  'POST /v1/approvals/:id/grant': { allowed: RESPONDERS, tenant: 'asked' },
  'POST /v1/approvals/:id/deny': { allowed: RESPONDERS, tenant: 'asked' },
  'GET /v1/keys': { allowed: READERS, tenant: 'asked' },
  'POST /v1/keys': { allowed: ADMINS, tenant: 'asked' },
  'POST /v1/keys/:id/revoke': { allowed: ADMINS, tenant: 'asked' },
  'POST /v1/erasures': { allowed: ADMINS, tenant: 'asked' },
  'GET /v1/erasures/:id': { allowed: ADMINS, tenant: 'asked' },
  'GET /v1/holds': { allowed: AUDITORS, tenant: 'asked' },
  'POST /v1/holds': { allowed: ADMINS, tenant: 'asked' },
  'POST /v1/holds/:id/release': { allowed: ADMINS, tenant: 'asked' },
  // The tenant stands in the body.
  'POST /v1/ledger/verify': { allowed: AUDITORS, tenant: 'own' },
  // A partition holds records of many tenants.
  'POST /v1/ledger/losses': { allowed: ['adminAll'], tenant: 'own' },
  // Rules hold for all tenants.
  'POST /v1/rules/reload': { allowed: ['adminAll'], tenant: 'own' },
};
const PUBLIC =
  /^(GET \/($|healthz$|readyz$|metrics$|assets\/|tripline\.svg$|verify\.html$)|(GET|HEAD) \/docs(\/|$))/;

const nameOf = (route: { method: string; url: string }): string => `${route.method} ${route.url}`;

test('every route that the server knows is in the table', () => {
  const routes = routesOf(service.http);
  assert.ok(routes.length > 15);
  for (const route of routes) {
    if (route.public) assert.match(nameOf(route), PUBLIC);
    else assert.ok(TABLE[nameOf(route)], nameOf(route));
  }
  const known = new Set(routes.map(nameOf));
  for (const name of Object.keys(TABLE)) assert.ok(known.has(name), name);
});

/** Bodies that are good, so that a refusal is one of the door. */
const BODIES: Readonly<Record<string, object>> = {
  'POST /v1/controls': { scope: 'tool', target: 't', mode: 'shadow', ttlMs: 60_000, reason: 'the table' },
  'POST /v1/controls/:id/lift': { reason: 'the table' },
  'POST /v1/ledger/calls': {
    of: [{ kinds: ['call.intent'], classes: null }],
    columns: [],
    lines: false,
    mapping: '0'.repeat(64),
  },
  'POST /v1/alerts/:id/disposition': { disposition: 'undetermined', reason: 'the table' },
  'POST /v1/approvals/:id/grant': { argsHash: '0'.repeat(64), reason: 'the table' },
  'POST /v1/approvals/:id/deny': { reason: 'the table' },
  // RFC 8032, 7.1, test 1.
  'POST /v1/keys': { publicKey: '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=', name: 'the table' },
  'POST /v1/keys/:id/revoke': { reason: 'the table' },
  'POST /v1/erasures': { session: 'not held', reason: 'the table' },
  'POST /v1/holds': { session: 'none', reason: 'the table' },
  'POST /v1/holds/:id/release': { reason: 'the table' },
  'POST /v1/ledger/losses': {
    topic: TOPICS.toolcalls.name,
    partition: 0,
    fromOffset: 0,
    toOffset: 1,
    reason: 'the table',
  },
};

/** An id in the form of the route, of nothing that is there. */
function idOf(url: string): string {
  if (url.startsWith('/v1/approvals')) return `apr-${'0'.repeat(32)}`;
  if (url.startsWith('/v1/keys')) return '0'.repeat(64);
  return /^\/v1\/(erasures|holds)/.test(url) ? '0'.repeat(32) : 'none';
}

async function ask(name: string, headers: Record<string, string>, query = '') {
  const [method, url] = name.split(' ') as [string, string];
  const isPost = method === 'POST';
  const path = url.replace(':id', idOf(url)) + query;
  return await service.http.inject({
    method: method as 'GET',
    url: path,
    headers: { host: 'localhost', ...(isPost ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(isPost
      ? { payload: JSON.stringify(BODIES[name.replace(/\/[^/]+\/(lift|release)$/, '/:id/$1')] ?? {}) }
      : {}),
  });
}

const bearer = (who: Who) => ({ authorization: `Bearer ${TOKENS[who]}` });
// A WebSocket route is asked without an upgrade: whoever gets in is told that there is no plain GET.
const isIn = (status: number): boolean => ![401, 403, 500].includes(status);

for (const [name, { allowed, tenant }] of Object.entries(TABLE)) {
  test(`${name}: only the roles of the table get in`, async () => {
    assert.equal((await ask(name, {})).statusCode, 401);
    assert.equal((await ask(name, { authorization: 'Bearer wrong' })).statusCode, 401);
    for (const who of EVERYBODY) {
      const { statusCode, body } = await ask(name, bearer(who));
      if (allowed.includes(who)) assert.ok(isIn(statusCode), `${who}: ${statusCode} ${body}`);
      else assert.equal(statusCode, 403, `${who}: ${body}`);
    }
  });
  if (tenant === 'own') continue;
  test(`${name}: only tenant a and who sees all tenants get at tenant a`, async () => {
    for (const who of EVERYBODY) {
      const { statusCode, body } = await ask(name, bearer(who), '?tenant=a');
      const mayAsk = allowed.includes(who) && !who.endsWith('B');
      if (mayAsk) assert.ok(isIn(statusCode), `${who}: ${statusCode} ${body}`);
      else assert.equal(statusCode, 403, `${who}: ${statusCode} ${body}`);
    }
  });
}

test('a control of tenant a does not exist for tenant b: neither in the list nor to be lifted', async () => {
  const set = await ask('POST /v1/controls', bearer('responderA'));
  const { id } = set.json<{ control: { id: string } }>().control;
  const seen = async (who: Who): Promise<boolean> =>
    (await ask('GET /v1/controls', bearer(who))).body.includes(id);
  for (const who of EVERYBODY) assert.equal(await seen(who), !who.endsWith('B'), who);
  const lift = async (who: Who): Promise<number> =>
    (await ask(`POST /v1/controls/${id}/lift`, bearer(who))).statusCode;
  assert.equal(await lift('responderB'), 404);
  assert.equal(await lift('adminB'), 404);
  assert.equal(await lift('responderA'), 200);
});

test('a legal hold of tenant a does not exist for tenant b: neither in the list nor to be released', async () => {
  const { id } = (await ask('POST /v1/holds', bearer('adminA'))).json<{ id: string }>();
  const seen = async (who: Who): Promise<boolean> =>
    (await ask('GET /v1/holds', bearer(who))).body.includes(id);
  assert.deepEqual(
    [await seen('adminA'), await seen('auditorAll'), await seen('adminB'), await seen('auditorB')],
    [true, true, false, false],
  );
  const release = async (who: Who): Promise<number> =>
    (await ask(`POST /v1/holds/${id}/release`, bearer(who))).statusCode;
  assert.equal(await release('adminB'), 404);
  assert.equal(await release('adminA'), 200);
});

test('an erasure of tenant a does not exist for tenant b', async () => {
  const asked = await ask('POST /v1/erasures', bearer('adminA'));
  assert.equal(asked.statusCode, 202, asked.body);
  const { id } = asked.json<{ id: string }>();
  const status = async (who: Who): Promise<number> =>
    (await ask(`GET /v1/erasures/${id}`, bearer(who))).statusCode;
  assert.deepEqual(
    [await status('adminA'), await status('adminAll'), await status('adminB')],
    [200, 200, 404],
  );
});

test('a bundle for a verifier is of no tenant but the own', async () => {
  const asked = async (who: Who): Promise<number> => {
    const headers = { host: 'localhost', 'content-type': 'application/json', ...bearer(who) };
    const body = { method: 'POST', url: '/v1/ledger/verify', headers, payload: '{"tenant":"a"}' } as const;
    return (await service.http.inject(body)).statusCode;
  };
  assert.deepEqual(
    [await asked('auditorA'), await asked('auditorB'), await asked('auditorAll')],
    [200, 403, 200],
  );
});
