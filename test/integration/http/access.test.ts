import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { routesOf } from '../../../services/platform/http/build.ts';
import { startService, TOKENS, type Service } from './service.ts';

let service: Service;
before(async () => {
  service = await startService();
});
after(async () => await service.stop());

type Who = keyof typeof TOKENS;
const EVERYBODY = Object.keys(TOKENS) as Who[];
const ANALYSTS: readonly Who[] = [
  'analystA',
  'responderA',
  'auditorA',
  'adminA',
  'analystB',
  'adminAll',
  'auditorAll',
];

/** The role powers of the design, written down by hand: who gets past the door, route by route. */
const TABLE: Readonly<Record<string, readonly Who[]>> = {
  'POST /v1/events': ['producerA', 'producerB', 'adminA', 'adminAll'],
  'GET /v1/events': ANALYSTS,
  'GET /v1/events/:id': ANALYSTS,
  'GET /v1/sessions': ANALYSTS,
  'GET /v1/sessions/:id': ANALYSTS,
  'GET /v1/alerts': ANALYSTS,
  'GET /v1/tail': ANALYSTS,
  'GET /v1/ledger': ANALYSTS,
  'GET /v1/ledger/export': ['auditorA', 'adminA', 'adminAll', 'auditorAll'],
  'GET /v1/controls': EVERYBODY,
  'GET /v1/controls/stream': EVERYBODY,
  'POST /v1/controls': ['responderA', 'adminA', 'adminAll'],
  'POST /v1/controls/:id/lift': ['responderA', 'adminA', 'adminAll'],
};
const PUBLIC = /^(GET \/($|healthz$|readyz$|metrics$|assets\/|tripline\.svg$)|(GET|HEAD) \/docs(\/|$))/;

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

async function ask(name: string, headers: Record<string, string>, query = '') {
  const [method, url] = name.split(' ') as [string, string];
  const isPost = method === 'POST';
  const path = url.replace(':id', 'none') + query;
  return await service.http.inject({
    method: method as 'GET',
    url: path,
    headers: { host: 'localhost', ...(isPost ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(isPost ? { payload: '{}' } : {}),
  });
}

for (const [name, allowed] of Object.entries(TABLE)) {
  test(`${name}: only the roles of the table get in`, async () => {
    assert.equal((await ask(name, {})).statusCode, 401);
    assert.equal((await ask(name, { authorization: 'Bearer wrong' })).statusCode, 401);
    for (const who of EVERYBODY) {
      // A WebSocket route is asked without an upgrade: whoever gets in is told that there is no plain GET.
      const { statusCode, body } = await ask(name, { authorization: `Bearer ${TOKENS[who]}` });
      if (allowed.includes(who))
        assert.ok(![401, 403, 500].includes(statusCode), `${who}: ${statusCode} ${body}`);
      else assert.equal(statusCode, 403, `${who}: ${body}`);
    }
  });
}

const LISTINGS = ['GET /v1/events', 'GET /v1/sessions', 'GET /v1/alerts', 'GET /v1/controls'] as const;
for (const name of LISTINGS) {
  test(`${name}: another tenant is refused, and named freely by who sees all`, async () => {
    const status = async (who: Who) =>
      (await ask(name, { authorization: `Bearer ${TOKENS[who]}` }, '?tenant=a')).statusCode;
    assert.equal(await status('analystA'), 200);
    assert.equal(await status('analystB'), 403);
    assert.equal(await status('adminAll'), 200);
    assert.equal(await status('auditorAll'), 200);
  });
}
