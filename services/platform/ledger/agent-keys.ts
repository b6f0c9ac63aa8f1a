/** Agent keys as the KEY entries of the audit logs have them: folded in the order of each tenant's log. */
import { TOPICS } from '../../../schemas/topics.ts';
import { fromBase64, toHex } from '../../evidence/bytes.ts';
import { ENTRY_TYPES } from '../../evidence/entry.ts';
import { readLedgerLine } from '../../evidence/lines.ts';
import { keyChangeOf, type KeyChange } from '../../evidence/producer-keys.ts';
import type { Store } from '../store/port.ts';
import { sha256 } from './crypto.ts';

export interface AgentKeyState {
  readonly tenant: string;
  readonly keyId: string;
  readonly name: string;
  /** Raw 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly registeredMs: number;
  readonly revokedMs: number | undefined;
  /** Why it was revoked. */
  readonly reason: string | undefined;
}

const MAX_CHANGES = 10_000;

interface ChangeRow {
  readonly tenant: string;
  readonly append_ms: string;
  readonly bytes: string;
}

/** Keys of a tenant, or of all where it is undefined. The oldest 10,000 changes of a store. */
export async function readAgentKeys(store: Store, tenant: string | undefined): Promise<AgentKeyState[]> {
  const keys = new Map<string, AgentKeyState>();
  for (const row of await changesOf(store, tenant)) {
    const bytes = fromBase64(row.bytes);
    const read = bytes === undefined ? undefined : readLedgerLine(TOPICS.audit.name, bytes);
    const change = read?.kind === 'audit' ? keyChangeOf(read.event) : undefined;
    if (change !== undefined) apply(keys, change, row);
  }
  return [...keys.values()];
}

function apply(keys: Map<string, AgentKeyState>, change: KeyChange, { tenant, append_ms }: ChangeRow): void {
  const atMs = Number(append_ms);
  if (change.kind === 'register') {
    const keyId = toHex(sha256(change.publicKey));
    const { name, publicKey } = change;
    const times = { registeredMs: atMs, revokedMs: undefined, reason: undefined };
    keys.set(`${keyId}${tenant}`, { tenant, keyId, name, publicKey, ...times });
    return;
  }
  const known = keys.get(`${change.keyId}${tenant}`);
  if (known === undefined || known.revokedMs !== undefined) return;
  keys.set(`${change.keyId}${tenant}`, { ...known, revokedMs: atMs, reason: change.reason });
}

async function changesOf(store: Store, tenant: string | undefined): Promise<ChangeRow[]> {
  const ofTenant = tenant === undefined ? '' : ' AND tenant = {tenant:String}';
  const entries = `ledger WHERE topic = {topic:String} AND type = {key:UInt8}${ofTenant}`;
  return await store.query<ChangeRow>(
    `SELECT entry.tenant AS tenant, toString(entry.append_ms) AS append_ms, base64Encode(payloads.bytes) AS bytes
     FROM payloads INNER JOIN (
       SELECT log_id, idx, tenant, append_ms FROM ${entries} ORDER BY log_id, idx LIMIT {limit:UInt32}
     ) AS entry USING (log_id, idx)
     WHERE (payloads.log_id, payloads.idx) IN (SELECT log_id, idx FROM ${entries})
     ORDER BY log_id, idx`,
    {
      params: {
        topic: TOPICS.audit.name,
        key: ENTRY_TYPES.key,
        limit: MAX_CHANGES,
        ...(tenant === undefined ? {} : { tenant }),
      },
    },
  );
}
