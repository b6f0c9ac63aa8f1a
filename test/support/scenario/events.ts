/** Deterministic events: the n-th call of a session is the same bytes in every run. Streams bring their own sequence. */
import { createHash } from 'node:crypto';

const sha256Hex = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

export interface Call {
  readonly server: string;
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Other fields of the event, `kind` among them. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export interface Sent {
  readonly tenant: string;
  readonly session: string;
  readonly stream: string;
  readonly seq: number;
  readonly line: string;
}

/** One stream of one session, written call by call. `timeMs` of its events is the wall clock unless `startMs` is given. */
export class StreamWriter {
  readonly tenant: string;
  readonly session: string;
  readonly stream: string;
  #seq = 0;

  constructor(tenant: string, session: string) {
    this.tenant = tenant;
    this.session = session;
    this.stream = sha256Hex(`stream\0${tenant}\0${session}`).slice(0, 32);
  }

  get nextSeq(): number {
    return this.#seq;
  }

  event(call: Call, timeMs: number): Sent {
    const seq = this.#seq++;
    const { tenant, session, stream } = this;
    const line = JSON.stringify({
      v: 1,
      kind: 'call.intent',
      stream,
      seq,
      nonce: sha256Hex(`${stream}-${seq}`).slice(0, 32),
      time: new Date(timeMs).toISOString(),
      session,
      agent: 'agent-1',
      callId: `${session}-${seq}`,
      server: call.server,
      tool: call.tool,
      args: call.args,
      ...call.more,
    });
    return { tenant, session, stream, seq, line };
  }
}

export const CALLS = {
  search: { server: 'search', tool: 'web_search', args: { query: 'invoices of March' } },
  vault: { server: 'vault', tool: 'read_secret', args: { name: 'db' } },
  post: { server: 'poster', tool: 'http_post', args: { url: 'https://collect.example/x', body: '…' } },
  remove: { server: 'files', tool: 'delete_file', args: { path: 'reports/2025.csv' } },
  write: { server: 'files', tool: 'write_file', args: { path: 'notes/handover', content: 'see page' } },
  read: { server: 'files', tool: 'read_file', args: { path: 'notes/handover' } },
  list: { server: 'files', tool: 'list_directory', args: { path: '.' } },
} as const satisfies Record<string, Call>;

export const APPROVAL: Call = {
  server: 'console',
  tool: 'approve',
  args: {},
  more: { kind: 'approval', approval: { by: 'alice', verdict: 'granted' } },
};
