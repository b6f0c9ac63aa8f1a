/**
 * What follows a change that is durable: its audit event (the evidence) and its row in table `controls` (a view). The
 * audit event is awaited; the row is not, since a store that is slow or down must not hold up the next kill.
 */
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { AuditBody } from '../../../schemas/audit/v1.ts';
import type { Role } from '../../../schemas/config/v1.ts';
import type { AuditTrail } from '../step.ts';
import type { Store } from '../store/port.ts';
import type { HeldControl } from './board.ts';

export interface Change {
  readonly action: 'control.set' | 'control.lift';
  readonly held: HeldControl;
  readonly principal: { readonly id: string; readonly role: Role };
}

export interface Settlement {
  /** Resolves when the audit event is durable; the row is on its way. */
  settle(change: Change): Promise<void>;
  /** Finishes what an earlier call for this version could not. */
  settlePending(held: HeldControl): Promise<void>;
  /** Writes audit event and row for every version without a row; answers how many. Rejects with the store's errors. */
  reconcile(controls: readonly HeldControl[]): Promise<number>;
  /** Resolves when no row is being written. */
  drain(): Promise<void>;
}

interface SettlementOptions {
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly log: Logger;
}

interface Pending {
  readonly change: Change;
  isAudited: boolean;
}

export function createSettlement(options: SettlementOptions): Settlement {
  const pending = new Map<string, Pending>();

  const writing = new Set<Promise<void>>();

  async function finish(key: string, open: Pending): Promise<void> {
    if (!open.isAudited) {
      await options.audit.record(open.change.held.control.tenant, auditBody(open.change));
      open.isAudited = true;
    }
    const write = writeRow(key, open).finally(() => writing.delete(write));
    writing.add(write);
  }

  async function writeRow(key: string, { change: { held } }: Pending): Promise<void> {
    try {
      await insertRow(options.store, held);
      pending.delete(key);
    } catch (error) {
      options.log.warn({ err: error, controlId: held.control.id }, 'row of a control not written');
    }
  }

  async function settle(change: Change): Promise<void> {
    const key = versionKey(change.held);
    const open: Pending = { change, isAudited: false };
    pending.set(key, open);
    await finish(key, open);
  }

  return {
    settle,
    async settlePending(held) {
      const key = versionKey(held);
      const open = pending.get(key);
      if (open !== undefined) await finish(key, open);
    },
    async drain() {
      await Promise.all(writing);
    },
    async reconcile(controls) {
      await Promise.all(writing);
      for (const [key, open] of pending) await finish(key, open);
      await Promise.all(writing);
      const rows = await rowsOf(options.store);
      const missing = controls.filter(
        (held) => !rows.has(versionKey(held)) && !pending.has(versionKey(held)),
      );
      for (const held of missing.toReversed()) {
        const { control } = held;
        await settle({
          action: control.state === 'set' ? 'control.set' : 'control.lift',
          held,
          principal: { id: control.issuedBy, role: 'admin' },
        });
      }
      return missing.length;
    },
  };
}

/** Versions of which the table has a row. The set is bounded by the changes people and rules ever made. */
async function rowsOf(store: Store): Promise<ReadonlySet<string>> {
  const rows = await store.query<{ readonly control_id: string; readonly version: string }>(
    'SELECT control_id, version FROM controls',
  );
  return new Set(rows.map((row) => `${row.version}:${row.control_id}`));
}

function versionKey(held: HeldControl): string {
  return `${held.control.version}:${held.control.id}`;
}

async function insertRow(store: Store, held: HeldControl): Promise<void> {
  const row = controlRow(held);
  // The signature covers every column, so its hash names the content; a repeat by another process is one row.
  const content = createHash('sha256').update(held.signed.signature).digest('hex');
  await store.insertRows('controls', [row], `controls-${content}`);
}

/** The row of table `controls`; times as ClickHouse reads them (UTC by the column's type). */
export function controlRow(held: HeldControl): Readonly<Record<string, string | number>> {
  const { control, signed } = held;
  return {
    tenant: control.tenant,
    control_id: control.id,
    version: control.version,
    scope: control.scope,
    target: control.target,
    mode: control.mode,
    state: control.state,
    reason: control.reason,
    issued_by: control.issuedBy,
    issued_at: toDateTime64(control.issuedAt),
    expires_at: toDateTime64(control.expiresAt),
    alert_id: control.alertId ?? '',
    payload: signed.payload,
    key_id: signed.keyId,
    signature: signed.signature,
  };
}

function toDateTime64(time: string): string {
  return time.slice(0, -1).replace('T', ' ');
}

/** What an audit event of any change of a control tells of it. */
export function controlDetails({
  version,
  scope,
  target,
  mode,
  expiresAt,
}: HeldControl['control']): NonNullable<AuditBody['details']> {
  return { version, scope, target, mode, expiresAt };
}

function auditBody(change: Change): AuditBody {
  const { control } = change.held;
  return {
    action: change.action,
    actor: change.principal.id,
    role: change.principal.role,
    target: control.id,
    reason: control.reason,
    outcome: 'ok',
    details: {
      ...controlDetails(control),
      ...(control.alertId === undefined ? {} : { alertId: control.alertId }),
    },
  };
}
