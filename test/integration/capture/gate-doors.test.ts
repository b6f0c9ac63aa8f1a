/** Who may come in and who is told of: tokens, certificates on both sides, OAuth that passes through. */
import { discoverOAuthProtectedResourceMetadata } from '@modelcontextprotocol/sdk/client/auth.js';
import { checkResourceAllowed } from '@modelcontextprotocol/sdk/shared/auth-utils.js';
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { TriplineError } from '../../../schemas/errors.ts';
import { callOf, gateBefore, JSON_HEADERS, plainServer, send, withBody } from '../../support/mcp/gate.ts';
import { ROOT } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';

const PEM = path.join(ROOT, 'test/support/mcp/certificates');
const pem = (name: string): string => path.join(PEM, `${name}.pem`);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const OK = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}';

/** Answers every call, and keeps the headers that it was sent. */
function keeping(headers: http.IncomingHttpHeaders[]): http.RequestListener {
  return withBody((_body, request, response) => {
    headers.push(request.headers);
    response.writeHead(200, { 'content-type': 'application/json' }).end(OK);
  });
}

const call = (url: string, headers: Readonly<Record<string, string>> = {}) =>
  send(url, { headers: { ...JSON_HEADERS, ...headers }, body: callOf(1) });

describe('clients of the gate', () => {
  it('need a token of theirs where there are clients; it is their name, and never goes on', async (context) => {
    const site = await openPlace(context);
    const headers: http.IncomingHttpHeaders[] = [];
    const upstream = await plainServer(context, keeping(headers));
    const secretFile = path.join(site.place.dataDir, 'upstream.token');
    writeFileSync(secretFile, 'from-file\n');
    const upstreams = [
      {
        name: 'raw',
        url: upstream,
        agent: 'any',
        headers: {
          'X-Team': 'blue',
          Authorization: { prefix: 'Bearer ', secret: { file: secretFile } },
          'X-Key': { secret: { env: 'GATE_TEST_KEY' } },
        },
      },
    ];
    const clients = [
      { id: 'laptop-1', token: { value: 'first-token' }, agent: 'coder' },
      { id: 'laptop-2', token: { value: 'second-token' } },
    ];
    const sessions = { sources: ['client'] };
    const gate = await gateBefore(context, site, {
      config: { upstreams, clients, sessions },
      env: { GATE_TEST_KEY: 'from-env' },
    });
    const url = `${gate.url}/raw`;
    assert.equal((await call(url)).status, 401);
    assert.equal((await call(url, { 'tripline-gate-token': 'wrong' })).status, 401);
    assert.equal(headers.length, 0);
    for (const token of ['first-token', 'second-token', 'first-token'])
      assert.equal(
        (await call(url, { 'tripline-gate-token': token, authorization: 'Bearer mine' })).status,
        200,
      );
    for (const sent of headers) {
      assert.equal(sent['tripline-gate-token'], undefined);
      assert.deepEqual(
        [sent.authorization, sent['x-team'], sent['x-key'], sent['accept-encoding']],
        ['Bearer from-file', 'blue', 'from-env', 'identity'],
      );
    }
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 3);
    const intents = receiver.of('call.intent');
    const who = new Set(intents.map(({ principal, agent, session }) => `${principal} ${agent} ${session}`));
    assert.equal(who.size, 2);
    assert.deepEqual(
      new Set(intents.map(({ principal, agent }) => `${principal} ${agent}`)),
      new Set(['laptop-1 coder', 'laptop-2 any']),
    );
  });

  it('a gate for others than loopback takes a setting and clients; faults come all at once', async (context) => {
    const site = await openPlace(context);
    const config = {
      listen: { host: '0.0.0.0', tls: { cert: '/nowhere.pem', key: pem('server.key') } },
      upstreams: [
        { name: 'a', url: 'http://user:pass@127.0.0.1:1/', headers: { X: { secret: { env: 'NOT_SET' } } } },
        { name: 'a', url: 'http://127.0.0.1:1/', tls: { cert: pem('client') } },
      ],
    };
    await assert.rejects(gateBefore(context, site, { config }), (error: unknown) => {
      assert.ok(error instanceof TriplineError && error.code === 'config_invalid');
      for (const fault of [
        'upstreams[0].url: holds a password; use headers',
        'upstreams[0].headers.X.secret.env: NOT_SET is not set',
        'upstreams[1].tls: cert and key belong together',
        'listen.tls.cert: /nowhere.pem cannot be read',
        'upstreams: a is the name of two',
        'upstreams: /a is the path of two',
        'listen.host: not loopback',
        'clients: needed',
      ])
        assert.ok(error.message.includes(fault), fault);
      return true;
    });
  });
});

describe('certificates', () => {
  it('of the gate to the upstream, of the client to the gate: verified, and on record as principal', async (context) => {
    const site = await openPlace(context);
    const subjects: string[] = [];
    const server = https.createServer(
      {
        cert: readFileSync(pem('server')),
        key: readFileSync(pem('server.key')),
        ca: readFileSync(pem('ca')),
        requestCert: true,
      },
      (request, response) => {
        subjects.push(
          String((request.socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN),
        );
        request.resume();
        response.writeHead(200, { 'content-type': 'application/json' }).end(OK);
      },
    );
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    context.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const upstream = `https://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    const tls = { ca: pem('ca'), cert: pem('client'), key: pem('client.key') };
    const upstreams = [
      { name: 'secure', url: upstream, tls },
      { name: 'stranger', url: upstream, tls: { cert: tls.cert, key: tls.key } },
    ];
    const listen = { tls: { cert: pem('server'), key: pem('server.key'), clientCa: pem('ca') } };
    const gate = await gateBefore(context, site, { config: { upstreams, listen } });
    const options = {
      ca: readFileSync(pem('ca')),
      method: 'POST',
      headers: JSON_HEADERS,
      agent: false as const,
    };
    const certificate = { cert: readFileSync(pem('client')), key: readFileSync(pem('client.key')) };
    const ask = (name: string, own: object): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const request = https.request(`${gate.url}/${name}`, { ...options, ...own });
        request.on('error', reject);
        request.on('response', (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode));
        });
        request.end(callOf(1));
      });
    assert.match(gate.url, /^https:/);
    await assert.rejects(ask('secure', {}));
    assert.equal(await ask('secure', certificate), 200);
    assert.equal(await ask('stranger', certificate), 502, 'a server of an unknown authority is not asked');
    assert.deepEqual(subjects, ['client-1']);
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 2);
    assert.equal(receiver.of('call.intent')[0]?.principal, 'O=Tripline test,CN=client-1');
    const opened = receiver.of('stream.open').find((event) => event.server === 'secure');
    assert.match(opened?.connection?.certificateHash ?? '', /^[0-9a-f]{64}$/);
  });
});

describe('OAuth through the gate', () => {
  const SECRET = 'signing-secret';
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  function jwt(claims: object): string {
    const unsigned = `${part({ alg: 'HS256' })}.${part(claims)}`;
    return `${unsigned}.${createHmac('sha256', SECRET).update(unsigned).digest('base64url')}`;
  }

  /** A protected resource as RFC 9728 and RFC 6750 describe it. */
  async function resource(context: TestContext): Promise<string> {
    let base = '';
    base = await plainServer(context, (request, response) => {
      request.resume();
      const metadata = '/.well-known/oauth-protected-resource/mcp';
      if (request.url === metadata) {
        response.writeHead(200, { 'content-type': 'application/json' });
        const authorization = 'https://as.example';
        return void response.end(
          JSON.stringify({
            resource: `${base}/mcp`,
            authorization_servers: [authorization],
            scopes_supported: ['x'],
          }),
        );
      }
      const { authorization } = request.headers;
      if (authorization === undefined) {
        const challenge = `Bearer error="invalid_token", resource_metadata="${base}${metadata}"`;
        return void response.writeHead(401, { 'www-authenticate': challenge }).end('who are you?');
      }
      if (!authorization.includes('.')) return void response.writeHead(403).end('insufficient_scope');
      response.writeHead(200, { 'content-type': 'application/json' }).end(OK);
    });
    return base;
  }

  it('challenges point at the gate, its metadata names the gate, and an SDK client finds both right', async (context) => {
    const site = await openPlace(context);
    const base = await resource(context);
    const upstreams = [
      { name: 'vault', url: `${base}/mcp` },
      { name: 'as-is', url: `${base}/mcp`, oauthMetadata: 'pass' },
    ];
    const gate = await gateBefore(context, site, { config: { upstreams } });
    const url = `${gate.url}/vault`;
    const refused = await call(url);
    assert.deepEqual([refused.status, refused.body.toString()], [401, 'who are you?']);
    const own = `${gate.url}/.well-known/oauth-protected-resource/vault`;
    assert.equal(
      refused.headers['www-authenticate'],
      `Bearer error="invalid_token", resource_metadata="${own}"`,
    );
    const metadata = await discoverOAuthProtectedResourceMetadata(url, { resourceMetadataUrl: own });
    assert.equal(metadata.resource, url);
    assert.deepEqual(metadata.authorization_servers, ['https://as.example']);
    assert.ok(checkResourceAllowed({ requestedResource: url, configuredResource: metadata.resource }));
    const under = await send(`${url}/.well-known/oauth-protected-resource`, { method: 'GET' });
    assert.equal((JSON.parse(under.body.toString()) as { resource: string }).resource, url);
    const passed = await send(`${gate.url}/.well-known/oauth-protected-resource/as-is`, { method: 'GET' });
    assert.equal((JSON.parse(passed.body.toString()) as { resource: string }).resource, `${base}/mcp`);
    assert.match(
      String((await call(`${gate.url}/as-is`)).headers['www-authenticate']),
      new RegExp(`"${base}`),
    );
    assert.equal((await call(url, { authorization: 'Bearer opaque' })).status, 403);
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 3);
    const errors = receiver.of('call.result').map(({ outcome, error }) => `${outcome} ${error?.message}`);
    const said = (text: string): number => errors.filter((error) => error === text).length;
    assert.deepEqual([said('rpc_error HTTP 401'), said('rpc_error HTTP 403')], [2, 1]);
  });

  it('what a token claims is on record as unverified, when it changes; the token is nowhere', async (context) => {
    const site = await openPlace(context);
    const base = await resource(context);
    const gate = await gateBefore(context, site, {
      config: { upstreams: [{ name: 'vault', url: `${base}/mcp` }] },
    });
    const claims = {
      iss: 'https://as.example',
      sub: 'u1',
      client_id: 'c1',
      aud: 'r',
      scope: 'read',
      jti: 'j1',
    };
    const tokens = [claims, claims, { ...claims, scope: 'read write', aud: ['r', 's'], jti: 'j2' }].map(jwt);
    for (const token of tokens)
      assert.equal((await call(`${gate.url}/vault`, { authorization: `Bearer ${token}` })).status, 200);
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 3);
    const told = receiver.events.flatMap(({ connection }) => connection?.claims ?? []);
    const known = { iss: 'https://as.example', sub: 'u1', clientId: 'c1' };
    assert.deepEqual(told, [
      { ...known, aud: ['r'], scope: 'read', jtiHash: sha256('j1') },
      { ...known, aud: ['r', 's'], scope: 'read write', jtiHash: sha256('j2') },
    ]);
    const record = receiver.lines.join('\n');
    for (const token of tokens) assert.ok(!token.split('.').some((piece) => record.includes(piece)));
    assert.deepEqual(receiver.faults, []);
  });
});
