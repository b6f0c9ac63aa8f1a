/** Calls of the HTTP API with the bearer token. Faults become ApiError with the code of the service's one error table. */
import { fieldsOf, list, text, type Fields } from './fields.ts';
import { readAlert, readControl, readSession, readSessionSummary } from './read.ts';
import { readApprovals } from './read-approvals.ts';
import { readLedger } from './read-ledger.ts';
import type {
  Alert,
  Approval,
  Approvals,
  ApprovalVerdict,
  Control,
  ControlDraft,
  DispositionDraft,
  Ledger,
  Session,
  SessionSummary,
} from './types.ts';

const REQUEST_TIMEOUT_MS = 20_000;

export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly path: string;

  constructor(fault: {
    readonly code: string;
    readonly status: number;
    readonly message: string;
    readonly path?: string;
  }) {
    super(fault.message);
    this.name = 'ApiError';
    this.code = fault.code;
    this.status = fault.status;
    this.path = fault.path ?? '';
  }
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

/** Filters of a listing; empty ones are left out. */
export type Query = Readonly<Record<string, string>>;

export interface Api {
  alerts(query: Query, signal: AbortSignal): Promise<Page<Alert>>;
  sessions(query: Query, signal: AbortSignal): Promise<Page<SessionSummary>>;
  session(id: string, signal: AbortSignal): Promise<Session>;
  ledger(signal: AbortSignal): Promise<Ledger>;
  controls(signal: AbortSignal): Promise<Page<Control>>;
  /** `key`: the same for every attempt at one change, so that a lost answer makes no second control. */
  setControl(draft: ControlDraft, key: string): Promise<void>;
  liftControl(id: string, reason: string): Promise<void>;
  setDisposition(alertId: string, draft: DispositionDraft): Promise<void>;
  approvals(query: Query, signal: AbortSignal): Promise<Approvals>;
  /** Grants what was shown and nothing else: its hash goes along. */
  answerApproval(
    shown: Pick<Approval, 'id' | 'tenant' | 'argsHash'>,
    answer: { readonly verdict: ApprovalVerdict; readonly reason: string; readonly ttlMs: number },
  ): Promise<void>;
}

/** The API of the origin that served the page. */
export function createApi(token: string): Api {
  const get = (path: string, query: Query, signal: AbortSignal): Promise<unknown> =>
    request(token, withQuery(path, query), { signal });
  const post = (
    path: string,
    body: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<unknown> =>
    request(token, path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
  return {
    alerts: async (query, signal) => pageOf(await get('/v1/alerts', query, signal), readAlert),
    sessions: async (query, signal) => pageOf(await get('/v1/sessions', query, signal), readSessionSummary),
    session: async (id, signal) =>
      readSession(await get(`/v1/sessions/${encodeURIComponent(id)}`, {}, signal)),
    ledger: async (signal) => readLedger(await get('/v1/ledger', {}, signal)),
    controls: async (signal) => pageOf(await get('/v1/controls', { state: 'inForce' }, signal), readControl),
    setControl: async (draft, key) => void (await post('/v1/controls', draft, { 'idempotency-key': key })),
    liftControl: async (id, reason) =>
      void (await post(`/v1/controls/${encodeURIComponent(id)}/lift`, { reason })),
    setDisposition: async (alertId, draft) =>
      void (await post(`/v1/alerts/${encodeURIComponent(alertId)}/disposition`, draft)),
    approvals: async (query, signal) => readApprovals(await get('/v1/approvals', query, signal)),
    answerApproval: async ({ id, tenant, argsHash }, { verdict, reason, ttlMs }) => {
      const path = withQuery(`/v1/approvals/${encodeURIComponent(id)}/${verdict}`, { tenant });
      await post(path, verdict === 'grant' ? { argsHash, reason, ttlMs } : { reason });
    },
  };
}

function withQuery(path: string, query: Query): string {
  const filled = Object.entries(query).filter(([, value]) => value !== '');
  return filled.length === 0 ? path : `${path}?${new URLSearchParams(filled).toString()}`;
}

function pageOf<Item>(answer: unknown, read: (item: unknown) => Item): Page<Item> {
  const page = fieldsOf(answer);
  return { items: list(page, 'items').map(read), nextCursor: text(page, 'nextCursor') || null };
}

async function request(token: string, path: string, init: RequestInit): Promise<unknown> {
  const headers = new Headers(init.headers);
  headers.set('authorization', `Bearer ${token}`);
  headers.set('accept', 'application/json');
  const limits = [AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...(init.signal ? [init.signal] : [])];
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      headers,
      signal: AbortSignal.any(limits),
      credentials: 'omit',
      redirect: 'error',
      cache: 'no-store',
    });
  } catch {
    if (init.signal?.aborted === true)
      throw new ApiError({ code: 'cancelled', status: 0, message: 'cancelled' });
    throw new ApiError({ code: 'unreachable', status: 0, message: 'The service does not answer.' });
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw faultOf(response.status, fieldsOf(fieldsOf(answer)['error']));
}

function faultOf(status: number, error: Fields): ApiError {
  return new ApiError({
    code: text(error, 'code') || (status === 401 ? 'auth_invalid' : 'internal'),
    status,
    message: text(error, 'message') || `The service answered ${status}.`,
    path: text(error, 'path'),
  });
}
