import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { WebSocket } from 'ws';
import type { ControlStreamMessage, SignedControl } from '../../../schemas/control/v1.ts';
import { verifySignedControl } from '../../../schemas/control/verify.ts';
import { FORMAT_VERDICT, HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { verifyEd25519 } from '../../../services/platform/controls/key.ts';
import { openControls, type Controls } from '../../../services/platform/controls/open.ts';
import {
  registerControlReadRoutes,
  registerControlWriteRoutes,
  type ControlItem,
} from '../../../services/platform/controls/routes.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import {
  ADMIN,
  ALICE,
  bearer,
  eventually,
  HOST,
  MALLORY,
  OTHER_HOST as OTHER,
  openHarness,
  openTestStore,
  temporaryDir,
  type Harness,
  type TestPrincipal as Principal,
} from '../respond/harness.ts';

const KILL = { scope: 'tool', target: 'post', ttlMs: 60_000, reason: 'incident' };

interface Answer {
  readonly status: number;
  readonly body: ControlItem & {
    readonly items: readonly ControlItem[];
    readonly nextCursor: string | null;
    readonly error: { readonly code: string; readonly path: string | null };
  };
}

suite('routes of the kill switch', () => {
  let place: Awaited<ReturnType<typeof temporaryDir>>;
  let store: Store;
  let harness: Harness;
  let controls: Controls;
  let port = 0;
  before(async () => {
    place = await temporaryDir();
    store = await openTestStore(place.dir);
    harness = await openHarness({ dir: place.dir, store });
    controls = await openControls(harness.context);
    registerControlReadRoutes(harness.context, controls);
    registerControlReadRoutes(harness.context, controls);
    registerControlWriteRoutes(harness.context, controls.issuer);
    await harness.context.http.listen({ host: '127.0.0.1', port: 0 });
    port = (harness.context.http.server.address() as AddressInfo).port;
  });
  after(async () => {
    await controls.close();
    await harness.close();
    await store.close();
    await place.remove();
  });

  async function call(
    principal: Principal,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const response = await harness.context.http.inject({
      method: body === undefined ? 'GET' : 'POST',
      url: path,
      headers: { ...bearer(principal), ...headers },
      ...(body === undefined ? {} : { payload: body as object }),
    });
    return { status: response.statusCode, body: response.json<Answer['body']>() };
  }
  const verified = (signed: SignedControl) =>
    verifySignedControl(signed, [controls.pinnedKey], verifyEd25519).kind;

  interface Stream {
    readonly messages: ControlStreamMessage[];
    readonly atMs: number[];
    readonly socket: WebSocket;
  }
  async function openStream(principal: Principal, watched?: string): Promise<Stream> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/controls/stream`, {
      headers: bearer(principal),
    });
    const stream: Stream = { messages: [], atMs: [], socket };
    socket.on('message', (data: Buffer) => {
      stream.atMs.push(performance.now());
      stream.messages.push(JSON.parse(data.toString('utf8')) as ControlStreamMessage);
    });
    await eventually('snapshot', () => stream.messages.length > 0);
    if (watched !== undefined) socket.send(JSON.stringify({ type: 'watch', stream: watched }));
    return stream;
  }

  test('a control that is set is listed, verifies, and is lifted', async () => {
    const set = await call(ALICE, '/v1/controls', KILL);
    assert.equal(set.status, 201);
    assert.equal(set.body.inForce, true);
    assert.equal(verified(set.body.signed), 'valid');
    const { id } = set.body.control;
    const listed = await call(HOST, '/v1/controls');
    assert.deepEqual(listed.body.items.find(({ control }) => control.id === id)?.signed, set.body.signed);
    const lifted = await call(ALICE, `/v1/controls/${id}/lift`, { reason: 'over' });
    assert.equal(lifted.status, 200);
    assert.equal(lifted.body.control.state, 'lifted');
    assert.equal(lifted.body.inForce, false);
    assert.equal((await call(HOST, '/v1/controls?state=inForce')).body.items.length, 0);
  });

  test('a POST whose answer was lost is repeated with its Idempotency-Key: one control', async () => {
    const first = await call(ALICE, '/v1/controls', KILL, { 'idempotency-key': 'k1' });
    const second = await call(ALICE, '/v1/controls', KILL, { 'idempotency-key': 'k1' });
    const other = await call(ALICE, '/v1/controls', KILL, { 'idempotency-key': 'k2' });
    assert.equal(second.body.control.id, first.body.control.id);
    assert.notEqual(other.body.control.id, first.body.control.id);
    for (const { control } of [first.body, other.body])
      await call(ALICE, `/v1/controls/${control.id}/lift`, { reason: 'over' });
  });

  const refused: readonly (readonly [string, Principal, unknown, number, string])[] = [
    ['no reason', ALICE, { ...KILL, reason: '' }, 400, 'request_invalid'],
    ['an unknown field', ALICE, { ...KILL, extra: 1 }, 400, 'request_invalid'],
    ['a time under a second', ALICE, { ...KILL, ttlMs: 10 }, 400, 'request_invalid'],
    ['an unknown scope', ALICE, { ...KILL, scope: 'planet' }, 400, 'request_invalid'],
    ['no target', ALICE, { ...KILL, target: undefined }, 400, 'control_invalid'],
    ['global by a responder', ALICE, { ...KILL, scope: 'global', target: undefined }, 403, 'auth_forbidden'],
  ];
  for (const [name, principal, body, status, code] of refused)
    test(`${name}: ${status} ${code}`, async () => {
      const answer = await call(principal, '/v1/controls', body);
      assert.equal(answer.status, status);
      assert.equal(answer.body.error.code, code);
    });

  test('a denied global kill is on record', () => {
    const denied = harness.audited.filter(({ outcome }) => outcome === 'denied');
    assert.deepEqual(
      denied.map(({ action, actor, tenant, target }) => ({ action, actor, tenant, target })),
      [{ action: 'control.set', actor: 'alice', tenant: 'acme', target: 'global' }],
    );
  });

  test('another tenant neither lists, nor lifts, nor is told', async () => {
    const theirs = await openStream(OTHER);
    const set = await call(ALICE, '/v1/controls', KILL);
    const { id } = set.body.control;
    assert.equal((await call(OTHER, '/v1/controls?state=all')).body.items.length, 0);
    assert.equal((await call(OTHER, '/v1/controls?tenant=acme')).status, 403);
    const lift = await call(MALLORY, `/v1/controls/${id}/lift`, { reason: 'x' });
    assert.equal(lift.status, 404);
    const global = await call(ADMIN, '/v1/controls', { ...KILL, scope: 'global', target: undefined });
    await eventually('the global control', () => theirs.messages.length === 2);
    assert.deepEqual(theirs.messages[1], { type: 'control', control: global.body.signed });
    theirs.socket.close();
    await call(ALICE, `/v1/controls/${id}/lift`, { reason: 'over' });
    await call(ADMIN, `/v1/controls/${global.body.control.id}/lift`, { reason: 'over' });
  });

  test('an admin of all tenants sets for the tenant that is named, else for default', async () => {
    const named = await call(ADMIN, '/v1/controls?tenant=acme', KILL);
    const unnamed = await call(ADMIN, '/v1/controls', KILL);
    assert.equal(named.body.control.tenant, 'acme');
    assert.equal(unnamed.body.control.tenant, 'default');
    const acme = (await call(ADMIN, '/v1/controls?tenant=acme&state=inForce')).body.items;
    assert.deepEqual(
      acme.map(({ control }) => control.id),
      [named.body.control.id],
    );
  });

  test('pages hold every control once, newest version first', async () => {
    const whole = (await call(ADMIN, '/v1/controls?state=all')).body.items;
    const paged: ControlItem[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const { body } = await call(ADMIN, `/v1/controls?state=all&limit=2${query}`);
      paged.push(...body.items);
      cursor = body.nextCursor;
    }
    assert.ok(whole.length > 4);
    assert.deepEqual(paged, whole);
    const versions = whole.map(({ control }) => control.version);
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => b - a),
    );
  });

  test('the stream brings what is set, then each change', async () => {
    const stream = await openStream(HOST);
    const [snapshot] = stream.messages;
    assert.equal(snapshot?.type, 'snapshot');
    const listed = (await call(HOST, '/v1/controls')).body.items.map(({ signed }) => signed);
    assert.deepEqual(snapshot.controls, listed);
    for (let round = 0; round < 5; round += 1) {
      const count = stream.messages.length;
      const { control } = await controls.issuer.set(
        { ...KILL, scope: 'tool', mode: 'enforce' },
        { id: 'alice', tenant: 'acme', role: 'responder' },
      );
      await eventually('change', () => stream.messages.length > count);
      await call(ALICE, `/v1/controls/${control.id}/lift`, { reason: 'over' });
      await eventually('lift', () => stream.messages.length > count + 1);
      // One message a change, and none beside.
      assert.deepEqual(
        stream.messages.slice(count).map(({ type }) => type),
        ['control', 'control'],
      );
    }
    stream.socket.close();
  });

  test('verdicts on held calls go to the host that names their stream, and to no other tenant', async () => {
    const [own, other] = ['a'.repeat(32), 'b'.repeat(32)];
    const streams = await Promise.all([
      openStream(HOST, own),
      openStream(HOST, other),
      openStream(OTHER, own),
      openStream(HOST),
    ]);
    const verdict = { v: 1, stream: own, seq: 7, verdict: 'refuse', ruleId: 'a.b' };
    const send = (value: object): Promise<unknown> =>
      harness.context.producer.send(TOPICS.verdicts.name, 0, [
        {
          key: null,
          value: new TextEncoder().encode(JSON.stringify(value)),
          headers: { [HEADERS.format]: FORMAT_VERDICT, [HEADERS.tenant]: 'acme' },
        },
      ]);
    // One of another form is passed over.
    await send({ ...verdict, verdict: 'maybe' });
    await send(verdict);
    await send({ ...verdict, stream: other, verdict: 'clear' });
    await eventually('both', () => streams.filter(({ messages }) => messages.length > 1).length === 2);
    assert.deepEqual(
      streams.map(({ messages }) =>
        messages.slice(1).map((message) => message.type === 'verdict' && message.verdict.verdict),
      ),
      [['refuse'], ['clear'], [], []],
    );
    for (const { socket } of streams) socket.close();
  });

  test('each read and subscription is audited once', async () => {
    const count = harness.audited.length;
    await call(HOST, '/v1/controls');
    const stream = await openStream(HOST);
    stream.socket.close();
    assert.deepEqual(
      harness.audited.slice(count).map(({ action, actor, tenant }) => `${action} ${actor} ${tenant}`),
      ['read tap acme', 'subscribe tap acme'],
    );
  });
});
