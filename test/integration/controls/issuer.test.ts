import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import type { ControlScope } from '../../../schemas/alert/v1.ts';
import { decideCall } from '../../../schemas/control/decide.ts';
import { isTriplineError, type ErrorCode } from '../../../schemas/errors.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import {
  openControlBoard,
  type BoardChange,
  type HeldControl,
} from '../../../services/platform/controls/board.ts';
import { createControlIssuer, type SetControl } from '../../../services/platform/controls/issuer.ts';
import { openControlKey } from '../../../services/platform/controls/key.ts';
import { encodeControlMessage, signControl } from '../../../services/platform/controls/message.ts';
import { openControls, type Controls } from '../../../services/platform/controls/open.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { eventually, openHarness, openTestStore, temporaryDir, type Harness } from '../respond/harness.ts';

const ADMIN = { id: 'root', tenant: '*', role: 'admin' } as const;
const ALICE = { id: 'alice', tenant: 'acme', role: 'responder' } as const;
const MALLORY = { id: 'mallory', tenant: 'other', role: 'responder' } as const;
const REQUEST: SetControl = {
  scope: 'tool',
  target: 'post',
  mode: 'enforce',
  ttlMs: 60_000,
  reason: 'incident',
};
const hasCode = (code: ErrorCode) => (error: unknown) => isTriplineError(error, code);

suite('setting and lifting controls', () => {
  let place: Awaited<ReturnType<typeof temporaryDir>>;
  let store: Store;
  let harness: Harness;
  let controls: Controls;
  before(async () => {
    place = await temporaryDir();
    store = await openTestStore(place.dir);
    harness = await openHarness({ dir: place.dir, store });
    controls = await openControls(harness.context);
  });
  after(async () => {
    await controls.close();
    await harness.close();
    await store.close();
    await place.remove();
  });
  const rowsOf = (id: string) =>
    store.query<Record<string, string>>(
      'SELECT * FROM controls WHERE control_id = {id:String} ORDER BY version',
      { params: { id } },
    );
  const auditOf = (id: string) => harness.audited.filter(({ target }) => target === id);

  test('a set control is on the board, on the topic, in the table, and audited once', async () => {
    const changes: BoardChange[] = [];
    const unsubscribe = controls.board.subscribe((change) => changes.push(change));
    const held = await controls.issuer.set(REQUEST, ALICE);
    unsubscribe();
    const { control } = held;
    assert.equal(control.tenant, 'acme');
    assert.equal(Date.parse(control.expiresAt) - Date.parse(control.issuedAt), 60_000);
    assert.deepEqual(changes, [{ kind: 'set', held }]);
    const fresh = await openControlBoard({
      ...harness.context,
      pinnedKeys: [controls.pinnedKey],
    });
    assert.deepEqual(fresh.get(control.id), held);
    await fresh.close();
    await controls.issuer.drain();
    const [row, ...others] = await rowsOf(control.id);
    assert.equal(others.length, 0);
    assert.equal(row?.['state'], 'set');
    assert.equal(row['expires_at'], control.expiresAt.replace('T', ' ').replace('Z', ''));
    assert.equal(row['payload'], held.signed.payload);
    assert.deepEqual(
      auditOf(control.id).map(({ action, actor, tenant, outcome }) => ({ action, actor, tenant, outcome })),
      [{ action: 'control.set', actor: 'alice', tenant: 'acme', outcome: 'ok' }],
    );
  });

  test('versions grow strictly over concurrent sets and lifts', async () => {
    const set = await Promise.all(Array.from({ length: 20 }, () => controls.issuer.set(REQUEST, ALICE)));
    const lifted = await Promise.all(
      set.map(({ control }) => controls.issuer.lift(control.id, 'over', ALICE)),
    );
    const versions = [...set, ...lifted].map(({ control }) => control.version);
    assert.equal(new Set(versions).size, 40);
    for (const [index, { control }] of lifted.entries()) {
      assert.ok(control.version > (set[index]?.control.version ?? 0));
      assert.equal(control.expiresAt, set[index]?.control.expiresAt);
      assert.equal(controls.board.get(control.id)?.control.state, 'lifted');
    }
  });

  test('a repeated request with the same id changes nothing and is audited once', async () => {
    const first = await controls.issuer.set({ ...REQUEST, id: 'ctl-repeat' }, ALICE);
    const second = await controls.issuer.set({ ...REQUEST, id: 'ctl-repeat', ttlMs: 90_000 }, ALICE);
    assert.deepEqual(second, first);
    await controls.issuer.lift('ctl-repeat', 'over', ALICE);
    const third = await controls.issuer.set({ ...REQUEST, id: 'ctl-repeat' }, ALICE);
    assert.equal(third.control.state, 'lifted');
    assert.deepEqual(await controls.issuer.lift('ctl-repeat', 'again', ALICE), third);
    assert.deepEqual(
      auditOf('ctl-repeat').map(({ action }) => action),
      ['control.set', 'control.lift'],
    );
    await assert.rejects(
      controls.issuer.set({ ...REQUEST, id: 'ctl-repeat', target: 'another' }, ALICE),
      hasCode('conflict'),
    );
  });

  test('another tenant neither lifts nor sets for us, and learns nothing', async () => {
    const { control } = await controls.issuer.set(REQUEST, ALICE);
    await assert.rejects(controls.issuer.lift(control.id, 'mine', MALLORY), hasCode('not_found'));
    await assert.rejects(controls.issuer.lift('ctl-unknown', 'x', MALLORY), hasCode('not_found'));
    await assert.rejects(
      controls.issuer.set({ ...REQUEST, tenant: 'acme' }, MALLORY),
      hasCode('auth_forbidden'),
    );
    assert.equal(controls.board.get(control.id)?.control.state, 'set');
  });

  test('only an admin of all tenants changes a global control', async () => {
    const request = { ...REQUEST, scope: 'global', target: undefined } as const;
    for (const principal of [ALICE, { ...ADMIN, tenant: 'acme' }, { ...ADMIN, role: 'responder' as const }])
      await assert.rejects(controls.issuer.set(request, principal), hasCode('auth_forbidden'));
    const { control } = await controls.issuer.set(request, ADMIN);
    assert.equal(control.tenant, '*');
    await assert.rejects(controls.issuer.lift(control.id, 'x', ALICE), hasCode('not_found'));
    assert.equal((await controls.issuer.lift(control.id, 'x', ADMIN)).control.state, 'lifted');
  });

  const malformed: readonly (readonly [string, Partial<SetControl>, string])[] = [
    ['no target', { target: undefined }, 'target'],
    ['a tool class that does not exist', { scope: 'class', target: 'serch' }, 'target'],
    ['a target with a line break', { target: 'a\nb' }, 'target'],
    ['a target for a tenant', { scope: 'tenant', target: 'post' }, 'target'],
    ['no time', { ttlMs: 0 }, 'ttlMs'],
    ['more than a year', { ttlMs: 366 * 86_400_000 }, 'ttlMs'],
  ];
  for (const [name, change, path] of malformed)
    test(`${name}: refused, nothing is signed`, async () => {
      const version = controls.board.newestVersion();
      await assert.rejects(
        controls.issuer.set({ ...REQUEST, ...change }, ALICE),
        (error) => isTriplineError(error, 'control_invalid') && error.path === path,
      );
      assert.equal(controls.board.newestVersion(), version);
    });

  test('every scope that can be set stops the call that it names', async () => {
    const call = { tenant: 'acme', agent: 'a', session: 's', server: 'v', tool: 't', class: 'search' };
    const targets: readonly (readonly [ControlScope, string | undefined])[] = [
      ['tool', 't'],
      ['tool', 'v/t'],
      ['class', 'search'],
      ['server', 'v'],
      ['agent', 'a'],
      ['session', 's'],
      ['tenant', undefined],
    ];
    for (const [scope, target] of targets) {
      const { control } = await controls.issuer.set({ ...REQUEST, scope, target }, ALICE);
      assert.equal(decideCall([control], call, Date.now()).kind, 'refuse', scope);
    }
  });

  test('two issuers over one topic never give one control two meanings', async () => {
    const key = await openControlKey(place.dir, randomBytes);
    const boards = await Promise.all(
      [0, 1].map(() => openControlBoard({ ...harness.context, pinnedKeys: [key] })),
    );
    const issuers = boards.map((board) => createControlIssuer({ ...harness.context, board, key }));
    const [first, second] = issuers;
    assert.ok(first !== undefined && second !== undefined);
    for (let round = 0; round < 10; round += 1) {
      const held: HeldControl = await first.set(REQUEST, ALICE);
      const { control } = held;
      const outcomes = await Promise.allSettled(
        [first, second].map((issuer, index) => issuer.lift(control.id, `reason ${index}`, ALICE)),
      );
      assert.ok(outcomes.some(({ status }) => status === 'fulfilled'));
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') assert.ok(hasCode('conflict')(outcome.reason));
      for (const board of boards) await board.catchUp();
      assert.deepEqual(boards[0]?.get(control.id), boards[1]?.get(control.id));
      assert.equal(auditOf(control.id).filter(({ action }) => action === 'control.lift').length, 1);
    }
    await Promise.all(issuers.map((issuer) => issuer.drain()));
    await Promise.all(boards.map((board) => board.close()));
  });

  test('what is on the topic and not ours changes nothing: no signature, another key, an older version', async () => {
    const { control, signed } = await controls.issuer.set(REQUEST, ALICE);
    const lifted = await controls.issuer.lift(control.id, 'over', ALICE);
    const stranger = await openControlKey((await temporaryDir()).dir, randomBytes);
    const forged = { ...control, version: 9_000_000_000 };
    const send = (value: Uint8Array) =>
      harness.context.producer.send(TOPICS.controls.name, 0, [
        { key: Buffer.from(control.id), value, headers: {} },
      ]);
    await send(Buffer.from('no json'));
    await send(Buffer.from(JSON.stringify({ ...signed, signature: 'A'.repeat(86) + '==' })));
    const foreign = encodeControlMessage(forged, signControl(forged, stranger)).value;
    await send(foreign ?? new Uint8Array());
    await send(Buffer.from(JSON.stringify(signed)));
    for (const pinned of [
      controls.board,
      await openControlBoard({ ...harness.context, pinnedKeys: [controls.pinnedKey] }),
    ]) {
      await pinned.catchUp();
      assert.deepEqual(pinned.get(control.id)?.control.state ?? 'lifted', 'lifted');
      assert.ok(pinned.newestVersion() < 9_000_000_000);
      if (pinned !== controls.board) await pinned.close();
    }
    assert.deepEqual(controls.board.get(control.id), lifted);
  });

  test('a control runs out on the board at its expiry, and a lifted one is no expiry', async () => {
    const changes: BoardChange[] = [];
    const unsubscribe = controls.board.subscribe((change) => changes.push(change));
    const { control } = await controls.issuer.set({ ...REQUEST, ttlMs: 1000 }, ALICE);
    const other = await controls.issuer.set({ ...REQUEST, ttlMs: 1000 }, ALICE);
    await controls.issuer.lift(other.control.id, 'over', ALICE);
    assert.ok(controls.board.inForce().some(({ id }) => id === control.id));
    const expired = await eventually('expiry', () => changes.find(({ kind }) => kind === 'expired'));
    assert.ok(Date.now() >= Date.parse(control.expiresAt));
    assert.equal(expired.held.control.id, control.id);
    assert.ok(!controls.board.inForce().some(({ id }) => id === control.id));
    await assert.rejects(controls.issuer.lift(control.id, 'late', ALICE), hasCode('conflict'));
    unsubscribe();
    assert.equal(changes.filter(({ kind }) => kind === 'expired').length, 1);
  });
});
