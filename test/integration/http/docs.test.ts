/** OpenAPI at /docs: made of the routes' own schemas, so that what is not described there is a route without one. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { routesOf } from '../../../services/platform/http/build.ts';
import { startService, type Service } from './service.ts';

let service: Service;
before(async () => {
  service = await startService();
});
after(async () => await service.stop());

interface Operation {
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> };
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

/** OpenAPI has no words for a WebSocket. */
const WEBSOCKETS: ReadonlySet<string> = new Set(['/v1/tail', '/v1/controls/stream']);

async function paths(): Promise<Paths> {
  const answer = await service.http.inject({ url: '/docs/json', headers: { host: 'localhost' } });
  assert.equal(answer.statusCode, 200);
  return answer.json<{ paths: Paths }>().paths;
}

test('every route under /v1 is described: what it does, its parameters, its body', async () => {
  const described = await paths();
  const routes = routesOf(service.http).filter(({ url }) => url.startsWith('/v1/') && !WEBSOCKETS.has(url));
  assert.ok(routes.length > 10);
  for (const { method, url } of routes) {
    const path = url.replaceAll(/:(\w+)|\*/g, (_, name: string | undefined) => `{${name ?? '*'}}`);
    const operation = described[path]?.[method.toLowerCase()];
    assert.ok(operation?.summary, `${method} ${url}`);
    const named = operation.parameters?.map(({ name }) => name) ?? [];
    // Paths of a log are those of C2SP tlog-tiles: they have no parameters beside.
    if (url.startsWith('/v1/log/')) continue;
    if (method === 'GET') assert.ok(named.includes('tenant'), `${method} ${url}`);
    else assert.ok(operation.requestBody, `${method} ${url}`);
  }
});

test('events are taken as NDJSON and as JSON, and listed by the filters of the contract', async () => {
  const described = await paths();
  const { get, post } = described['/v1/events'] ?? {};
  assert.deepEqual(Object.keys(post?.requestBody?.content ?? {}), [
    'application/x-ndjson',
    'application/json',
  ]);
  const named = new Set(get?.parameters?.map(({ name }) => name));
  for (const filter of 'tenant session agent server tool class since until limit cursor'.split(' '))
    assert.ok(named.has(filter), filter);
});

/** Who is meant by the words of the table, as the roles of a route; admin comes with all of them. */
const ROLES: Readonly<Record<string, readonly string[]>> = {
  readers: ['analyst', 'auditor', 'responder'],
  everybody: ['analyst', 'auditor', 'producer', 'responder'],
  admin: [],
  'admin of all tenants': [],
};

test('schemas/README.md lists every route with its roles, and no other', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../schemas/README.md'), 'utf8');
  const listed = [...text.matchAll(/^\| `((?:GET|POST) \/v1\/\S+)` +\| (.+?) +\|/gm)].map(
    ([, route = '', words = '']): [string, readonly string[]] => [
      route,
      ROLES[words] ?? words.split(', ').toSorted(),
    ],
  );
  const served = routesOf(service.http)
    .filter(({ url, method }) => url.startsWith('/v1/') && method !== 'HEAD')
    .map(({ method, url, roles }): [string, readonly string[]] => [
      `${method} ${url}`,
      roles.filter((role) => role !== 'admin').toSorted(),
    ]);
  const byName = (a: [string, unknown], b: [string, unknown]): number => (a[0] < b[0] ? -1 : 1);
  assert.ok(served.length > 30);
  assert.deepEqual(listed.toSorted(byName), served.toSorted(byName));
});
