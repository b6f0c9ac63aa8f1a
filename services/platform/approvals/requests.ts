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

/** Which intent raised a request. */
interface First {
  readonly tenant: string;
  readonly approval_id: string;
  readonly append_ms: string;
  readonly args_bytes: string;
  /** Hex. */
  readonly at_log: string;
  readonly at_idx: string;
}

interface Row extends First {
  readonly session_id: string;
  readonly agent: string;
  readonly principal: string;
  readonly host: string;
  readonly server: string;
  readonly tool: string;
  readonly class: string;
  readonly args_hash: string;
  readonly stream: string;
  readonly at_seq: string;
}

/** Where a request stands in the listing, newest first: append time in Unix ms, id, tenant. */
export type RequestPlace = readonly [appendMs: number, id: string, tenant: string];

export interface RequestQuery {
  /** Of sealed payloads. What was erased is asked for no more. */
  readonly keys: SubjectKeys | undefined;
  /** `*`: all tenants. */
  readonly tenant: string;
  readonly id?: string | undefined;
  readonly sinceMs: number;
  /** Without those that nobody may answer any more at this time, Unix ms. */
  readonly openAtMs?: number | undefined;
  /** Only those behind this place. */
  readonly after?: RequestPlace | undefined;
  /** Bodies are read of these alone; all by default. */
  readonly wants?: (tenant: string, id: string) => boolean;
}

/** A request that was looked at; undefined where it is not wanted, or no line that a host of ours would write. */
export interface FoundRequest {
  readonly place: RequestPlace;
  readonly request: ApprovalRequest | undefined;
}

/** Requests that are named at once, and bytes of arguments that are in memory at once. */
const PAGE_ROWS = 256;
const PAGE_BYTES = 4 * 1024 * 1024;

const HERE = 'tenant, approval_id, args_bytes, lower(hex(log_id)) AS at_log, toString(idx) AS at_idx';
const APPEND_MS = 'toUnixTimestamp64Milli(append_time)';
const COLUMNS = `${HERE}, toString(${APPEND_MS}) AS append_ms, session_id, agent, principal, host, server, tool, class,
  args_hash, lower(hex(stream_id)) AS stream, toString(seq) AS at_seq`;

/** Newest first, as many as are pulled. Rejects with the store's errors. */
export async function* readApprovalRequests(store: Store, query: RequestQuery): AsyncGenerator<FoundRequest> {
  let { after } = query;
  for (;;) {
    const firsts = await readFirsts(store, { ...query, after });
    const page = withinBytes(firsts);
    if (page.length === 0) return;
    yield* await readPage(store, query, page);
    if (page.length === firsts.length && firsts.length < PAGE_ROWS) return;
    after = placeOf(page.at(-1) as First);
  }
}

const placeOf = (row: First): RequestPlace => [Number(row.append_ms), row.approval_id, row.tenant];

/** One at least, however long its arguments are. */
function withinBytes(rows: readonly First[]): readonly First[] {
  let bytes = 0;
  const end = rows.findIndex((row) => (bytes += Number(row.args_bytes)) > PAGE_BYTES);
  return end < 0 ? rows : rows.slice(0, Math.max(1, end));
}

/**
 * The first intent of each request: only the host knows its id before, and repeats name it again. Index `by_approval` passes
 * over what names no approval, so that days of other calls cost little.
 */
async function readFirsts(store: Store, query: RequestQuery): Promise<readonly First[]> {
  const { tenant, id, sinceMs, openAtMs, after } = query;
  const params: Record<string, SqlParameter> = { since_ms: Math.floor(sinceMs), row_limit: PAGE_ROWS };
  const where = [
    `kind = 'call.intent' AND verdict = 'approval_required' AND approval_id >= 'apr-' AND approval_id < 'apr.'`,
    'append_time >= fromUnixTimestamp64Milli({since_ms:Int64})',
  ];
  const kept = ['1'];
  if (tenant !== '*') {
    where.push('tenant = {tenant:String}');
    params['tenant'] = tenant;
  }
  if (id !== undefined) {
    where.push('approval_id = {id:String}');
    params['id'] = id;
  }
  if (openAtMs !== undefined) {
    // Rows of before the column say nothing: their bytes are asked.
    kept.push(`(approval_ttl_ms = 0 OR ${APPEND_MS} + toInt64(approval_ttl_ms) > {open_ms:Int64})`);
    params['open_ms'] = Math.floor(openAtMs);
  }
  if (after !== undefined) {
    kept.push(`(${APPEND_MS}, approval_id, tenant) < ({a_ms:Int64}, {a_id:String}, {a_tenant:String})`);
    [params['a_ms'], params['a_id'], params['a_tenant']] = after;
  }
  return await store.query<First>(
    `SELECT ${HERE}, toString(${APPEND_MS}) AS append_ms FROM
       (SELECT tenant, approval_id, append_time, args_bytes, approval_ttl_ms, log_id, idx FROM events WHERE ${where.join(' AND ')}
        ORDER BY append_time, partition, offset, line LIMIT 1 BY tenant, approval_id)
     WHERE ${kept.join(' AND ')} ORDER BY append_time DESC, approval_id DESC, tenant DESC LIMIT {row_limit:UInt32}`,
    { params },
  );
}

const nameOf = (row: { readonly at_log: string; readonly at_idx: string }): string =>
  `${row.at_log} ${row.at_idx}`;

async function readPage(store: Store, query: RequestQuery, page: readonly First[]): Promise<FoundRequest[]> {
  const wanted = page.filter((row) => query.wants?.(row.tenant, row.approval_id) ?? true);
  const requests = new Map<string, ApprovalRequest | undefined>();
  if (wanted.length > 0) {
    const params = { ids: [...new Set(wanted.map((row) => row.approval_id))] };
    const places = `(log_id, idx) IN (${wanted.map(placeInStatement).join(', ')})`;
    const [rows, lines] = await Promise.all([
      store.query<Row>(
        `SELECT ${COLUMNS} FROM events WHERE approval_id IN {ids:Array(String)} AND ${places}`,
        { params },
      ),
      store.query<SealedRow>(`SELECT ${SEALED_COLUMNS} FROM payloads WHERE ${places}`),
    ]);
    const opened = await new PayloadReader(store, query.keys).open(lines);
    const byPlace = new Map(lines.map((line, at) => [nameOf(line), opened[at]]));
    for (const row of rows) {
      const line = byPlace.get(nameOf(row));
      requests.set(nameOf(row), line?.kind === 'read' ? requestOf(row, line.bytes) : undefined);
    }
  }
  return page.map((row) => ({ place: placeOf(row), request: requests.get(nameOf(row)) }));
}

/** In the statement, not as parameters: to a server those travel in the URL, which is too short for them. */
function placeInStatement({ at_log: log, at_idx: index }: First): string {
  if (!/^[0-9a-f]{64}$/u.test(log) || !/^\d{1,20}$/u.test(index))
    throw new RangeError('not a place in a log');
  return `(unhex('${log}'), ${index})`;
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
