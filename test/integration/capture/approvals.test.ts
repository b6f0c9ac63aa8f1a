/** Approvals end to end: a real host, the real service, a person in between. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { makeRedactionKey } from '../../../services/capture/redaction/key.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { workplace } from '../../support/mcp/host.ts';
import { ofKind, Service } from '../../support/mcp/service.ts';
import { tripline } from '../../support/scenario/tripline.ts';

const POLICY = `
v: 1
id: desk
version: 7
mode: enforce
allow:
  - { id: all-tools, tools: ['*'] }
approvals:
  - { id: deletes, classes: [delete] }
  - { id: payments, classes: [payment], fourEyes: true, waitMs: 60000 }
`;
const DIGESTS = `
v: 1
id: desk
version: 1
rules:
  - { id: names, tools: [delete_file], of: args, paths: ['$.what'], action: digest }
`;
const PRIVATE = 'home-of-mrs-Xk72qLw9';
const ANN = 'ann-token-0123456789abcdef';
const BOB = 'bob-token-0123456789abcdef';
const EVE = 'eve-token-0123456789abcdef';
const HOST = 'host-token-0123456789abcdef';
const TOKENS = [
  { id: 'ann', token: { value: ANN }, role: 'responder', tenant: 'default' },
  { id: 'bob', token: { value: BOB }, role: 'responder', tenant: 'default' },
  { id: 'eve', token: { value: EVE }, role: 'analyst', tenant: 'default' },
  { id: 'host', token: { value: HOST }, role: 'producer', tenant: 'default' },
];

interface Refusal {
  readonly code: number;
  readonly data: { readonly controlId: string; readonly approvalId?: string; readonly reason: string };
}
interface Page {
  readonly asker: { readonly id: string; readonly role: string; readonly mayAnswer: boolean };
  readonly items: readonly (Waiting & { readonly obstacle?: string })[];
  readonly nextCursor: string | null;
}
interface Waiting {
  readonly id: string;
  readonly args?: string;
  readonly argsHash: string;
  readonly tool: string;
}

describe('calls that need an approval', () => {
  const place = workplace();
  const service = new Service(place.dataDir, { auth: { keys: TOKENS } });
  const policyFile = path.join(place.dataDir, 'policy.yaml');
  before(async () => {
    writeFileSync(policyFile, POLICY);
    await service.start();
  });
  after(async () => {
    await service.stop();
    place.remove();
  });

  async function host(context: TestContext, session: string, env: Record<string, string> = {}) {
    const settings = readSettings({
      TRIPLINE_DATA_DIR: place.dataDir,
      TRIPLINE_SESSION_ID: session,
      TRIPLINE_AGENT: 'bot',
      TRIPLINE_PRINCIPAL: 'ann',
      TRIPLINE_POLICY: policyFile,
      ...env,
    });
    const server = new McpServer({ name: 'files', version: '1.0.0' });
    const reached: string[] = [];
    for (const name of ['delete_file', 'make_payment', 'get_weather'])
      server.registerTool(name, { inputSchema: { what: z.string() } }, ({ what }) => {
        reached.push(`${name} ${what}`);
        return { content: [{ type: 'text', text: name }] };
      });
    const [near, far] = InMemoryTransport.createLinkedPair();
    const client = new Client({ name: 'host', version: '1.0.0' });
    await server.connect(far);
    await client.connect(recordTransport(near, { settings, server: 'files', transport: 'in_memory' }));
    context.after(() => client.close());
    const call = (name: string, what: string) => client.callTool({ name, arguments: { what } });
    const refused = async (name: string, what: string): Promise<Refusal> => {
      const error: unknown = await call(name, what).then(
        () => assert.fail('the call was let go'),
        (thrown: unknown) => thrown,
      );
      return error as Refusal;
    };
    return { client, reached, call, refused };
  }

  async function ask(
    token: string,
    route: string,
    body?: object,
  ): Promise<{ status: number; json: unknown }> {
    const response = await fetch(new URL(route, service.url), {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, json: await response.json() };
  }

  async function waiting(id: string): Promise<Waiting> {
    for (;;) {
      const { json } = await ask(BOB, '/v1/approvals?state=all');
      const found = (json as { items: readonly Waiting[] }).items.find((one) => one.id === id);
      if (found !== undefined) return found;
      await sleep(50);
    }
  }

  async function until(done: () => Promise<boolean>): Promise<void> {
    while (!(await done())) await sleep(50);
  }

  it('is refused, shown, granted, let go once, and on record', async (context) => {
    const { reached, call, refused } = await host(context, 'flow');
    const first = await refused('delete_file', 'a');
    assert.deepEqual([first.code, first.data.controlId], [-32090, 'approval']);
    const id = first.data.approvalId ?? '';
    assert.match(id, /^apr-[0-9a-f]{32}$/);
    // Asking again raises no second request.
    assert.equal((await refused('delete_file', 'a')).data.approvalId, id);
    const shown = await waiting(id);
    assert.deepEqual([shown.tool, shown.args], ['delete_file', '{"what":"a"}']);
    const body = { argsHash: shown.argsHash, reason: 'it is old' };
    assert.equal((await ask(HOST, `/v1/approvals/${id}/grant`, body)).status, 403);
    assert.equal(
      (await ask(BOB, `/v1/approvals/${id}/grant`, { ...body, argsHash: '0'.repeat(64) })).status,
      409,
    );
    const granted = await tripline(['approve', id, '--grant', '--reason', 'it is old', '--json'], {
      TRIPLINE_DATA_DIR: place.dataDir,
      TRIPLINE_TOKEN: BOB,
    });
    assert.equal(granted.code, 0, granted.stderr);
    let other: Refusal | undefined;
    await until(async () => {
      // One byte less is another call.
      other ??= await refused('delete_file', '');
      return await call('delete_file', 'a').then(
        () => true,
        () => false,
      );
    });
    assert.notEqual(other?.data.approvalId, id);
    assert.deepEqual(reached, ['delete_file a']);
    assert.notEqual((await refused('delete_file', 'a')).data.approvalId, id);
    assert.deepEqual(reached, ['delete_file a']);
    const events = await service.eventsOnce('flow', (found) =>
      ofKind(found, 'call.result').some(({ outcome }) => outcome === 'ok'),
    );
    const used = events.findIndex(({ kind }) => kind === 'approval');
    assert.deepEqual(
      events.slice(used, used + 2).map(({ kind, verdict }) => [kind, verdict]),
      [
        ['approval', undefined],
        ['call.intent', 'allow'],
      ],
    );
  });

  it('outlives the host, and the service tells what came while it was away', async (context) => {
    const gone = await host(context, 'before-restart');
    const id = (await gone.refused('delete_file', 'restart')).data.approvalId ?? '';
    const shown = await waiting(id);
    await gone.client.close();
    const { status } = await ask(BOB, `/v1/approvals/${id}/grant`, {
      argsHash: shown.argsHash,
      reason: 'yes',
    });
    assert.equal(status, 200);
    const back = await host(context, 'after-restart');
    await until(() =>
      back.call('delete_file', 'restart').then(
        () => true,
        () => false,
      ),
    );
    assert.deepEqual(back.reached, ['delete_file restart']);
  });

  it('waits where the policy says so; who asked cannot grant; denied it stays refused', async (context) => {
    const { reached, call, refused } = await host(context, 'wait');
    const paid = call('make_payment', '10');
    const [asked] = await (async () => {
      for (;;) {
        const { json } = await ask(BOB, '/v1/approvals');
        const items = (json as { items: readonly Waiting[] }).items.filter(
          ({ tool }) => tool === 'make_payment',
        );
        if (items.length > 0) return items;
        await sleep(50);
      }
    })();
    const { id = '', argsHash = '' } = asked ?? {};
    assert.deepEqual(reached, []);
    // Each is told what stands in their way before they try.
    for (const [token, asker, obstacle] of [
      [ANN, { id: 'ann', role: 'responder', mayAnswer: true }, 'four_eyes'],
      [BOB, { id: 'bob', role: 'responder', mayAnswer: true }, undefined],
      [EVE, { id: 'eve', role: 'analyst', mayAnswer: false }, 'role'],
    ] as const) {
      const page = (await ask(token, `/v1/approvals?id=${id}`)).json as Page;
      assert.deepEqual([page.asker, page.items.map((one) => one.obstacle)], [asker, [obstacle]]);
    }
    assert.equal((await ask(EVE, `/v1/approvals/${id}/deny`, { reason: 'no' })).status, 403);
    assert.equal((await ask(ANN, `/v1/approvals/${id}/grant`, { argsHash, reason: 'mine' })).status, 403);
    assert.equal((await ask(BOB, `/v1/approvals/${id}/grant`, { argsHash, reason: 'fine' })).status, 200);
    await paid;
    assert.deepEqual(reached, ['make_payment 10']);
    const denied = (await refused('delete_file', 'keep')).data.approvalId ?? '';
    await waiting(denied);
    assert.equal((await ask(ANN, `/v1/approvals/${denied}/deny`, { reason: 'needed' })).status, 200);
    await until(async () => (await refused('delete_file', 'keep')).data.reason === 'ann denied it: needed');
    assert.deepEqual(reached, ['make_payment 10']);
    const token = readFileSync(path.join(place.dataDir, 'admin.token'), 'utf8').trim();
    assert.equal((await ask(token, `/v1/approvals/${denied}/grant`, { argsHash, reason: 'x' })).status, 409);
    // One a page: the cursor goes on where the page ended.
    const ids: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const route = `/v1/approvals?state=all&limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const page = (await ask(BOB, route)).json as Page;
      ids.push(...page.items.map((one) => one.id));
      cursor = page.nextCursor;
    }
    const all = (await ask(BOB, '/v1/approvals?state=all')).json as Page;
    assert.ok(ids.length >= 3);
    assert.deepEqual(
      ids,
      all.items.map((one) => one.id),
    );
    assert.equal((await ask(BOB, '/v1/approvals?cursor=bm9wZQ')).status, 400);
  });

  it('of arguments with digests: shown without their text, granted, let go once, and on no record as they were', async (context) => {
    const redaction = path.join(place.dataDir, 'redaction.yaml');
    writeFileSync(redaction, DIGESTS);
    makeRedactionKey(path.join(place.dataDir, 'redaction.key'));
    const { reached, call, refused } = await host(context, 'digest', { TRIPLINE_REDACTION: redaction });
    const id = (await refused('delete_file', PRIVATE)).data.approvalId ?? '';
    const shown = await waiting(id);
    assert.match(shown.args ?? '', /^\{"what":"\[#[^"]+\]"\}$/);
    const granted = await ask(BOB, `/v1/approvals/${id}/grant`, {
      argsHash: shown.argsHash,
      reason: 'the digest is that of the file that he named',
    });
    assert.equal(granted.status, 200);
    await until(async () => {
      // Another value has another digest, so what was granted does not let it go.
      assert.notEqual((await refused('delete_file', `${PRIVATE}.2`)).data.approvalId, id);
      return await call('delete_file', PRIVATE).then(
        () => true,
        () => false,
      );
    });
    assert.deepEqual(reached, [`delete_file ${PRIVATE}`]);
    assert.notEqual((await refused('delete_file', PRIVATE)).data.approvalId, id);
    const events = await service.eventsOnce(
      'digest',
      (found) =>
        ofKind(found, 'call.result').some(({ outcome }) => outcome === 'ok') &&
        ofKind(found, 'approval').length === 1,
    );
    assert.ok(!JSON.stringify(events).includes(PRIVATE));
  });
});
