/** Kills and lifts at the URL that hosts and analysts use, while step respond runs in another process. */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { registerControlForwarding } from '../../../services/platform/controls/forward.ts';
import { openControls, type Controls } from '../../../services/platform/controls/open.ts';
import {
  registerControlReadRoutes,
  registerControlWriteRoutes,
} from '../../../services/platform/controls/routes.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import {
  ADMIN,
  ALICE,
  bearer,
  HOST,
  MALLORY,
  openHarness,
  openTestStore,
  temporaryDir,
  type Harness,
  type TestPrincipal,
} from '../respond/harness.ts';

const KILL = { scope: 'tool', target: 'post', ttlMs: 60_000, reason: 'incident' };

interface Answer {
  readonly status: number;
  readonly body: {
    readonly control?: { readonly id: string; readonly tenant: string; readonly state: string };
    readonly error?: { readonly code: string; readonly path: string | null };
  };
}

suite('controls passed on to step respond', () => {
  const places: Awaited<ReturnType<typeof temporaryDir>>[] = [];
  const harnesses: Harness[] = [];
  let store: Store;
  let controls: Controls;
  let front: Harness;
  before(async () => {
    const open = async (): Promise<Harness> => {
      const place = await temporaryDir();
      places.push(place);
      store ??= await openTestStore(place.dir);
      const harness = await openHarness({ dir: place.dir, store });
      harnesses.push(harness);
      return harness;
    };
    const respond = await open();
    controls = await openControls(respond.context);
    registerControlReadRoutes(respond.context, controls);
    registerControlWriteRoutes(respond.context, controls.issuer);
    await respond.context.http.listen({ host: '127.0.0.1', port: 0 });
    const { port } = respond.context.http.server.address() as AddressInfo;
    front = await open();
    registerControlForwarding(front.context, `http://127.0.0.1:${port}`);
  });
  after(async () => {
    await controls.close();
    for (const harness of harnesses) await harness.close();
    await store.close();
    for (const place of places) await place.remove();
  });

  async function post(
    path: string,
    who: TestPrincipal,
    body: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const answer = await front.context.http.inject({
      method: 'POST',
      url: path,
      payload: body,
      headers: { host: '127.0.0.1', ...bearer(who), ...headers },
    });
    return { status: answer.statusCode, body: answer.json() };
  }

  test('a kill and its lift reach the board of the process that holds the key', async () => {
    const set = await post('/v1/controls', ALICE, KILL);
    assert.equal(set.status, 201);
    const id = set.body.control?.id ?? '';
    assert.ok(controls.board.list().some(({ control }) => control.id === id && control.state === 'set'));
    const lifted = await post(`/v1/controls/${id}/lift`, ALICE, { reason: 'mended' });
    assert.equal(lifted.status, 200);
    assert.equal(lifted.body.control?.state, 'lifted');
  });
  test('the tenant asked for and the Idempotency-Key go with it', async () => {
    const key = { 'idempotency-key': 'once' };
    const first = await post('/v1/controls?tenant=other', ADMIN, KILL, key);
    const second = await post('/v1/controls?tenant=other', ADMIN, KILL, key);
    assert.equal(first.body.control?.tenant, 'other');
    assert.equal(first.body.control?.id, second.body.control?.id);
  });
  test('refusals are those of the process that decides, and a producer gets none through', async () => {
    assert.equal((await post('/v1/controls', HOST, KILL)).status, 403);
    assert.equal((await post('/v1/controls', MALLORY, { ...KILL, scope: 'global' })).status, 403);
    const wrong = await post('/v1/controls', ALICE, { ...KILL, scope: 'moon' });
    assert.deepEqual([wrong.status, wrong.body.error?.code], [400, 'request_invalid']);
  });
  test('an id that is a path of its own reaches no other route', async () => {
    const answer = await post('/v1/controls/..%2F..%2Fevents%3F/lift', ALICE, { reason: 'x' });
    assert.equal(answer.body.error?.code, 'not_found');
  });
});

test('without respond.url the answer says what to set', async () => {
  const place = await temporaryDir();
  const store = await openTestStore(place.dir);
  const harness = await openHarness({ dir: place.dir, store });
  registerControlForwarding(harness.context, undefined);
  const answer = await harness.context.http.inject({
    method: 'POST',
    url: '/v1/controls',
    payload: KILL,
    headers: { host: '127.0.0.1', ...bearer(ALICE) },
  });
  assert.deepEqual([answer.statusCode, answer.json<Answer['body']>().error?.path], [500, 'respond.url']);
  await harness.close();
  await store.close();
  await place.remove();
});
