/** Each write of a change fails in turn: not persisted, and persisted but reported failed. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import { isTriplineError, TriplineError } from '../../../schemas/errors.ts';
import { openControlBoard, type ControlBoard } from '../../../services/platform/controls/board.ts';
import { createControlIssuer, type ControlIssuer } from '../../../services/platform/controls/issuer.ts';
import { openControlKey, type ControlKey } from '../../../services/platform/controls/key.ts';
import type { AuditTrail, StepContext } from '../../../services/platform/step.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import {
  eventually,
  openHarness,
  openTestStore,
  temporaryDir,
  type Harness,
} from '../../integration/respond/harness.ts';

const ADMIN = { id: 'root', tenant: '*', role: 'admin' } as const;
const REQUEST = {
  scope: 'tool',
  target: 'post',
  mode: 'enforce',
  ttlMs: 60_000,
  reason: 'r',
  tenant: 'acme',
} as const;
type Fault = 'none' | 'not_persisted' | 'persisted_but_failed';

/** Lets the real thing do its work or not, and answers a fault. */
function faulty<Arguments extends readonly unknown[], Result>(
  real: (...call: Arguments) => Promise<Result>,
  next: () => Fault,
): (...call: Arguments) => Promise<Result> {
  return async (...call) => {
    const fault = next();
    if (fault === 'not_persisted') throw new TriplineError('bus_unavailable');
    const result = await real(...call);
    if (fault === 'persisted_but_failed') throw new TriplineError('bus_unavailable');
    return result;
  };
}

suite('a change whose writes fail', () => {
  let place: Awaited<ReturnType<typeof temporaryDir>>;
  let store: Store;
  let harness: Harness;
  let key: ControlKey;
  const faults: Record<'send' | 'audit' | 'row', Fault[]> = { send: [], audit: [], row: [] };

  before(async () => {
    place = await temporaryDir();
    store = await openTestStore(place.dir);
    harness = await openHarness({ dir: place.dir, store });
    key = await openControlKey(place.dir, harness.context.randomBytes);
  });
  after(async () => {
    await harness.close();
    await store.close();
    await place.remove();
  });
  beforeEach(() => {
    for (const list of Object.values(faults)) list.length = 0;
    harness.audited.length = 0;
  });

  async function open(): Promise<{ board: ControlBoard; issuer: ControlIssuer; close(): Promise<void> }> {
    const { context } = harness;
    const board = await openControlBoard({ ...context, pinnedKeys: [key] });
    const producer: StepContext['producer'] = {
      oldestPendingMs: () => 0,
      close: () => Promise.resolve(),
      send: faulty(context.producer.send.bind(context.producer), () => faults.send.shift() ?? 'none'),
    };
    const audit: AuditTrail = {
      record: faulty(context.audit.record.bind(context.audit), () => faults.audit.shift() ?? 'none'),
    };
    const insertRows = faulty(store.insertRows.bind(store), () => faults.row.shift() ?? 'none');
    const failing: Store = {
      kind: store.kind,
      query: (sql, options) => store.query(sql, options),
      queryBlock: (sql, options) => store.queryBlock(sql, options),
      queryStream: (sql, options) => store.queryStream(sql, options),
      queryBinary: (sql, options) => store.queryBinary(sql, options),
      command: (sql, options) => store.command(sql, options),
      insertBinary: (insert) => store.insertBinary(insert),
      insertRows,
      ping: () => store.ping(),
      close: () => Promise.resolve(),
    };
    const issuer = createControlIssuer({ ...context, board, key, producer, audit, store: failing });
    return {
      board,
      issuer,
      close: async () => {
        await issuer.drain();
        await board.close();
      },
    };
  }
  const rows = async (id: string) =>
    (await store.query('SELECT version FROM controls WHERE control_id = {id:String}', { params: { id } }))
      .length;
  const audits = (id: string) => harness.audited.filter(({ target }) => target === id).length;

  const cases: readonly (readonly [keyof typeof faults, Fault, number])[] = [
    ['send', 'not_persisted', 1],
    ['send', 'persisted_but_failed', 1],
    ['audit', 'not_persisted', 1],
    // Durable, but nobody told us: the event is repeated rather than missed.
    ['audit', 'persisted_but_failed', 2],
  ];
  for (const [write, fault, expectedAudits] of cases)
    test(`${write} ${fault}: the caller repeats with its id and there is one control`, async () => {
      const id = `ctl-${write}-${fault}`;
      const one = await open();
      faults[write].push(fault);
      await assert.rejects(one.issuer.set({ ...REQUEST, id }, ADMIN), (error) =>
        isTriplineError(error, 'bus_unavailable'),
      );
      const held = await one.issuer.set({ ...REQUEST, id }, ADMIN);
      assert.equal(held.control.id, id);
      await one.issuer.drain();
      assert.equal(await one.issuer.reconcile(0), 0, 'nothing was left to make good');
      const other = await openControlBoard({ ...harness.context, pinnedKeys: [key] });
      assert.deepEqual(other.get(id), held);
      await other.close();
      assert.equal(audits(id), expectedAudits);
      assert.equal(await rows(id), 1);
      await one.close();
    });

  for (const fault of ['not_persisted', 'persisted_but_failed'] as const)
    test(`row ${fault}: the control is in force all the same, and the row is made good, once`, async () => {
      const id = `ctl-row-${fault}`;
      const one = await open();
      faults.row.push(fault);
      await one.issuer.set({ ...REQUEST, id }, ADMIN);
      assert.ok(one.board.inForce().some((control) => control.id === id));
      await one.issuer.drain();
      await one.issuer.reconcile(0);
      assert.equal(await rows(id), 1);
      assert.equal(audits(id), 1);
      await one.close();
    });

  test('a crash after the append: the next start makes audit event and row good, once', async () => {
    const id = 'ctl-crash';
    const crashed = await open();
    // The process ends here: neither audit event nor row is ever tried again by it.
    faults.audit.push('not_persisted');
    await assert.rejects(crashed.issuer.set({ ...REQUEST, id }, ADMIN));
    await crashed.board.close();
    const next = await open();
    assert.equal(next.board.get(id)?.control.state, 'set');
    assert.equal(await next.issuer.reconcile(60_000), 0, 'too young: its writer may still be at it');
    assert.equal(await next.issuer.reconcile(0), 1);
    await next.issuer.drain();
    assert.equal(await next.issuer.reconcile(0), 0);
    assert.equal(audits(id), 1);
    assert.equal(await rows(id), 1);
    await next.close();
  });

  test('a store that hangs does not hold up the next kill', async () => {
    const { context } = harness;
    const board = await openControlBoard({ ...context, pinnedKeys: [key] });
    let release = (): void => undefined;
    const hanging = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow: Pick<Store, 'insertRows' | 'query'> = {
      insertRows: () => hanging,
      query: () => Promise.resolve([]),
    };
    const issuer = createControlIssuer({ ...context, board, key, store: slow as Store });
    for (let count = 0; count < 3; count += 1) await issuer.set(REQUEST, ADMIN);
    assert.ok(board.inForce().length >= 3);
    release();
    await issuer.drain();
    await board.close();
  });

  test('versions go on growing after a restart', async () => {
    const first = await open();
    const { control } = await first.issuer.set(REQUEST, ADMIN);
    await first.close();
    const second = await open();
    const later = await second.issuer.set(REQUEST, ADMIN);
    assert.ok(later.control.version > control.version);
    await eventually('row', async () => (await rows(later.control.id)) === 1);
    await second.close();
  });
});
