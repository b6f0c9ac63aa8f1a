/**
 * Requests for approval, as hosts put them on record: intents with the verdict `approval_required`. Read from the store, so that
 * what a person is shown is what the ledger holds. All of it is a producer's word; what a grant binds is worked out from the
 * bytes that are shown.
 */
import { createHash } from 'node:crypto';
import { NO_ARGS_HASH, zApprovalId } from '../../../schemas/approval/v1.ts';
import { zPolicyStamp, type PolicyStamp } from '../../../schemas/event/v1.ts';
import type { SubjectKeys } from '../payloads/keys.ts';
import { PayloadReader, SEALED_COLUMNS, type SealedRow } from '../payloads/read.ts';
import type { SqlParameter, Store } from '../store/port.ts';
import { rawMember } from './raw-member.ts';

export interface ApprovalRequest {
  readonly id: string;
  readonly tenant: string;
  readonly session: string;
  readonly agent: string;
  /** On whose behalf the agent acts, as its host says. */
  readonly principal: string | undefined;
  readonly host: string | undefined;
  readonly server: string;
  readonly tool: string;
  readonly class: string;
  readonly policy: PolicyStamp | undefined;
  /** Exact text of the arguments; undefined where the call has none. */
  readonly args: string | undefined;
  readonly argsHash: string;
  /** By the bus's clock, Unix ms. */
  readonly requestedAtMs: number;
  /** Until when it may be answered. */
  readonly answerableUntilMs: number;
  readonly fourEyes: boolean;
  /** The arguments on record are not those that the host names by hash: nobody can grant that. */
  readonly isAltered: boolean;
  /** `<stream>-<seq>` of the intent. */
  readonly eventId: string;
}

interface Row {
  readonly tenant: string;
  readonly session_id: string;
  readonly approval_id: string;
  readonly agent: string;
  readonly principal: string;
  readonly host: string;
  readonly server: string;
  readonly tool: string;
  readonly class: string;
  readonly args_hash: string;
  readonly append_ms: string;
  readonly stream: string;
  readonly at_seq: string;
  readonly at_log: string;
  readonly at_idx: string;
}

export interface RequestQuery {
  /** Of sealed payloads. What was erased is asked for no more. */
  readonly keys: SubjectKeys | undefined;
  /** `*`: all tenants. */
  readonly tenant: string;
  readonly id?: string;
  readonly sinceMs: number;
  readonly limit: number;
}

/** The first intent of each request: only the host knows its id before, and repeats name it again. */
const COLUMNS = `tenant, session_id, approval_id, agent, principal, host, server, tool, class, args_hash,
  toString(toUnixTimestamp64Milli(append_time)) AS append_ms, lower(hex(stream_id)) AS stream, toString(seq) AS at_seq,
  lower(hex(log_id)) AS at_log, toString(idx) AS at_idx`;

/** Newest first. Rejects with the store's errors. */
export async function readApprovalRequests(
  store: Store,
  query: RequestQuery,
): Promise<readonly ApprovalRequest[]> {
  const where = [
    `kind = 'call.intent' AND verdict = 'approval_required' AND startsWith(approval_id, 'apr-')`,
    'append_time >= fromUnixTimestamp64Milli({since_ms:Int64})',
    ...(query.tenant === '*' ? [] : ['tenant = {tenant:String}']),
    ...(query.id === undefined ? [] : ['approval_id = {id:String}']),
  ].join(' AND ');
  const params: Record<string, SqlParameter> = {
    since_ms: Math.floor(query.sinceMs),
    row_limit: query.limit,
    ...(query.tenant === '*' ? {} : { tenant: query.tenant }),
    ...(query.id === undefined ? {} : { id: query.id }),
  };
  const first = `SELECT * FROM events WHERE ${where} ORDER BY append_time, partition, offset, line LIMIT 1 BY tenant, approval_id`;
  const newest = `SELECT * FROM (${first}) ORDER BY append_time DESC, approval_id LIMIT {row_limit:UInt32}`;
  const rows = await store.query<Row>(
    `SELECT ${COLUMNS} FROM (${newest}) ORDER BY append_time DESC, approval_id`,
    {
      params,
    },
  );
  if (rows.length === 0) return [];
  const lines = await store.query<SealedRow>(
    `SELECT ${SEALED_COLUMNS} FROM payloads WHERE (log_id, idx) IN (SELECT log_id, idx FROM (${newest}))`,
    { params },
  );
  const opened = await new PayloadReader(store, query.keys).open(lines);
  const byPlace = new Map(lines.map((line, at) => [`${line.at_log} ${line.at_idx}`, opened[at]]));
  return rows.flatMap((row) => {
    const line = byPlace.get(`${row.at_log} ${row.at_idx}`);
    const request = line?.kind === 'read' ? requestOf(row, line.bytes) : undefined;
    return request === undefined ? [] : [request];
  });
}

/** undefined where the line is no request that a host of ours would write. */
function requestOf(row: Row, line: Buffer): ApprovalRequest | undefined {
  const parsed = eventOf(line);
  if (!zApprovalId.safeParse(row.approval_id).success || parsed === undefined) return undefined;
  const args = rawMember(parsed.text, 'args');
  const argsHash =
    args === undefined ? NO_ARGS_HASH : createHash('sha256').update(args, 'utf8').digest('hex');
  return {
    id: row.approval_id,
    tenant: row.tenant,
    session: row.session_id,
    agent: row.agent,
    principal: given(row.principal),
    host: given(row.host),
    server: row.server,
    tool: row.tool,
    class: row.class,
    args,
    argsHash,
    isAltered: row.args_hash !== (args === undefined ? '' : argsHash),
    eventId: `${row.stream}-${row.at_seq}`,
    ...askedOf(parsed.event['policy'], Number(row.append_ms)),
  };
}

const given = (text: string): string | undefined => (text === '' ? undefined : text);

/** Without the host's word on it nobody has time to answer, and four eyes are asked for. */
function askedOf(
  value: unknown,
  requestedAtMs: number,
): Pick<ApprovalRequest, 'policy' | 'requestedAtMs' | 'answerableUntilMs' | 'fourEyes'> {
  const parsed = zPolicyStamp.safeParse(value);
  const policy = parsed.success ? parsed.data : undefined;
  const { ttlMs, fourEyes } = policy?.request ?? { ttlMs: 0, fourEyes: true };
  return { policy, requestedAtMs, answerableUntilMs: requestedAtMs + ttlMs, fourEyes };
}

function eventOf(
  line: Buffer,
): { readonly text: string; readonly event: Record<string, unknown> } | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line);
    return { text, event: JSON.parse(text) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}
